//! Sessions: comparing the input, and sending names.

use std::time::Duration;

use oneloop::{CloseReason, Context, Next, Time};

use super::{Generator, Phase, Session, Socket, State};
use crate::errors::Fault;
use crate::plan::Scenario;
use crate::wire::{self, Name, Verdict};

impl Generator {
    /// Returns the wait of a session: only a greeting has a deadline of its own.
    #[inline]
    pub(super) fn wait(&self, session: &Session) -> Next {
        let until = match session.state {
            State::Greeting => self.slots[session.slot as usize].begun + self.plan.grace,
            State::Probing { until } => until,
            _ => Time::UNBOUNDED,
        };
        Next::Read { until }
    }

    /// Compares the input, and sends the names that may be sent now.
    #[inline]
    pub(super) fn receive(
        &mut self,
        session: &mut Session,
        cx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let now = self.clock.now();
        self.compare(session, now, cx)?;
        self.send_names(session, now, cx);
        Ok(())
    }

    #[inline]
    pub(super) fn compare(
        &mut self,
        session: &mut Session,
        now: Time,
        cx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        match session.state {
            State::Greeting => self.read_greeting(session, cx)?,
            State::Probing { .. } => return self.recognise(cx.input()),
            _ => {}
        }
        self.read_answers(session, now, cx)?;
        if session.in_flight == 0 && !cx.input().is_empty() {
            self.read_farewell(session, cx)?;
        }
        Ok(())
    }

    #[cold]
    pub(super) fn read_greeting(
        &mut self,
        session: &mut Session,
        cx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        match wire::judge(cx.input(), wire::GREETING) {
            Verdict::Partial => return Ok(()),
            Verdict::Wrong => return self.recognise(cx.input()),
            Verdict::Whole => cx.consume(wire::GREETING.len()),
        }
        session.state = match self.plan.scenario {
            Scenario::Churn { names } => State::Conversing { left: names },
            _ => State::Talking,
        };
        session.held_to = self.names_due(session.slot);
        self.set_socket(session.slot, Socket::Open(cx.id()));
        self.tally.open += 1;
        self.tally.open_max = self.tally.open_max.max(self.tally.open);
        self.is_done_with(session.slot);
        self.go_on(cx);
        Ok(())
    }

    /// Handles a deadline: only the greeting has one. Many servers of other protocols are silent
    /// until they get a request; `exit` is one that almost all of them reject in their own words.
    #[cold]
    pub(super) fn expire(
        &mut self,
        session: &mut Session,
        cx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        match session.state {
            State::Greeting if cx.input().is_empty() => {
                cx.write_parts([wire::EXIT, b"\r\n\r\n"]);
                let until = self.clock.now() + PROBE;
                session.state = State::Probing { until };
                Ok(())
            }
            State::Greeting | State::Probing { .. } => Err(Fault::Missing),
            _ => Ok(()),
        }
    }

    /// Classifies a server that does not begin with the greeting.
    #[cold]
    pub(super) fn recognise(&mut self, input: &[u8]) -> Result<(), Fault> {
        if input.is_empty() {
            return Ok(());
        }
        if let Some(fault) = known_message(input) {
            return Err(fault);
        }
        if wire::judge(input, wire::GREETING) != Verdict::Wrong {
            return Err(Fault::Missing); // it came too late
        }
        self.stranger.get_or_insert_with(|| first_line(input));
        Err(Fault::OtherProtocol)
    }

    #[inline]
    pub(super) fn read_answers(
        &mut self,
        session: &mut Session,
        now: Time,
        cx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        while session.in_flight > 0 {
            let number = session.sent - u64::from(session.in_flight);
            match Name::new(session.slot, number).judge(cx.input()) {
                Verdict::Whole => cx.consume(wire::ANSWER_BYTES),
                Verdict::Partial => return Ok(()),
                Verdict::Wrong => return Err(known_message(cx.input()).unwrap_or(Fault::Wrong)),
            }
            session.in_flight -= 1;
            self.tally.in_flight -= 1;
            self.answered(session, number, now, cx);
        }
        Ok(())
    }

    /// Records the latency of an answer.
    #[inline]
    pub(super) fn answered(
        &mut self,
        session: &mut Session,
        number: u64,
        now: Time,
        cx: &mut Context<'_>,
    ) {
        let sent = self.sent_at[self.place(session.slot, number)];
        if session.slot >= self.plan.active() {
            self.recorder.ended(sent, now, self.plan.timeout);
            return self.proved(session.slot, cx);
        }
        match (&self.schedule, session.state) {
            (Some(schedule), _) => {
                let due = schedule.due_of(session.slot, number);
                self.recorder.ended(due, now, self.plan.timeout);
                self.recorder.served(due, sent, now);
            }
            // The whole conversation is timed.
            (None, State::Conversing { .. }) => {}
            (None, _) => self.recorder.ended(sent, now, self.plan.timeout),
        }
    }

    #[cold]
    pub(super) fn proved(&mut self, slot: u32, cx: &mut Context<'_>) {
        self.tally.proved += 1;
        self.is_done_with(slot);
        self.go_on(cx);
    }

    /// Handles input that comes when no answer is due.
    #[cold]
    pub(super) fn read_farewell(
        &mut self,
        session: &mut Session,
        cx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        match session.state {
            // Part of a greeting.
            State::Greeting | State::Probing { .. } => return Ok(()),
            State::Leaving => {}
            _ => return Err(known_message(cx.input()).unwrap_or(Fault::Extra)),
        }
        match wire::judge(cx.input(), wire::GOOD_BYE) {
            Verdict::Partial => return Ok(()),
            Verdict::Wrong => return Err(known_message(cx.input()).unwrap_or(Fault::Wrong)),
            Verdict::Whole => cx.consume(wire::GOOD_BYE.len()),
        }
        session.state = State::Parting;
        if cx.input().is_empty() {
            Ok(())
        } else {
            Err(Fault::Extra)
        }
    }

    /// Handles the end of the stream.
    #[cold]
    pub(super) fn finish(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Next {
        let compared = self.compare(session, self.clock.now(), cx);
        match (compared, session.state) {
            (Ok(()), State::Parting) => self.part(session, cx),
            (Ok(()), State::Probing { .. }) => self.lose(session, Fault::Missing),
            (Ok(()), _) => self.lose(session, Fault::Closed),
            (Err(fault), _) => self.lose(session, fault),
        }
        self.go_on(cx);
        Next::Close(CloseReason::Eof)
    }

    /// Ends a complete conversation; in churn the next one follows.
    pub(super) fn part(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        let (slot, now) = (session.slot, self.clock.now());
        self.retire(session);
        let Scenario::Churn { .. } = self.plan.scenario else {
            return;
        };
        self.tally.conversations -= 1;
        let begun = self.slots[slot as usize].begun;
        self.recorder.ended(begun, now, self.plan.timeout);
        if self.phase.is_working() {
            self.connect(slot, now, cx);
        }
    }

    /// Does the work of the present phase for a session that was woken for it.
    pub(super) fn act(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Result<(), Fault> {
        let now = self.clock.now();
        match (self.phase, session.state) {
            (_, State::Greeting | State::Probing { .. } | State::Parting | State::Done) => {}
            (Phase::Proving { .. }, State::Talking) => self.send_name(session, now, cx),
            (Phase::Leaving { .. }, state) => {
                // The names in flight have had their time.
                self.count_unsent(session.slot, session.sent, now);
                if session.in_flight > 0 || state == State::Leaving {
                    return Err(Fault::Missing);
                }
                self.send_exit(session, cx);
            }
            _ => self.send_names(session, now, cx),
        }
        Ok(())
    }

    /// Sends the names that may be sent now.
    #[inline]
    pub(super) fn send_names(&mut self, session: &mut Session, now: Time, cx: &mut Context<'_>) {
        match session.state {
            State::Talking => {
                let mut names = self.names_allowed(session);
                while names > 0 && cx.room() > wire::NAME_BYTES {
                    self.send_name(session, now, cx);
                    names -= 1;
                }
                session.held_to = self.names_due(session.slot).max(session.held_to);
            }
            State::Conversing { left } => self.converse(session, left, now, cx),
            State::Greeting
            | State::Probing { .. }
            | State::Leaving
            | State::Parting
            | State::Done => {}
        }
    }

    /// Returns the number of names that this session may send now.
    #[inline]
    pub(super) fn names_allowed(&self, session: &Session) -> u64 {
        let room =
            u64::from(self.plan.pace().in_flight() - session.in_flight.min(self.ring as u32));
        if session.slot >= self.plan.active() {
            return 0;
        }
        match &self.schedule {
            Some(_) if self.phase.is_working() || self.phase.is_settling() => {
                let due = self.names_due(session.slot);
                room.min(due.saturating_sub(session.sent))
            }
            None if self.phase.is_working() => room,
            _ => 0,
        }
    }

    /// Returns the number of this slot's names that were due so far; none without a schedule.
    #[inline]
    pub(super) fn names_due(&self, slot: u32) -> u64 {
        match &self.schedule {
            Some(schedule) => schedule.share(slot, self.announced),
            None => 0,
        }
    }

    pub(super) fn converse(
        &mut self,
        session: &mut Session,
        left: u32,
        now: Time,
        cx: &mut Context<'_>,
    ) {
        // A conversation that has begun is finished, but none begins while others are opened.
        if session.in_flight > 0 || self.phase == Phase::Opening {
            return;
        }
        if left == 0 {
            return self.send_exit(session, cx);
        }
        session.state = State::Conversing { left: left - 1 };
        self.send_name(session, now, cx);
    }

    #[inline]
    pub(super) fn send_name(&mut self, session: &mut Session, now: Time, cx: &mut Context<'_>) {
        let number = session.sent;
        let name = Name::new(session.slot, number).bytes();
        cx.write_parts([&name, self.plan.framing.ending()]);
        let place = self.place(session.slot, number);
        self.sent_at[place] = now;
        session.sent += 1;
        session.in_flight += 1;
        self.tally.in_flight += 1;
        if let Some(schedule) = &self.schedule
            && session.slot < self.plan.active()
        {
            self.tally.sent += 1;
            let due = schedule.due_of(session.slot, number);
            if number < session.held_to {
                self.recorder.held_back(due);
            } else {
                self.recorder.sent(due, now);
            }
        }
    }

    pub(super) fn send_exit(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        cx.write_parts([wire::EXIT, self.plan.framing.ending()]);
        session.state = State::Leaving;
    }

    /// Returns the place of the time at which a name was sent.
    #[inline]
    pub(super) fn place(&self, slot: u32, number: u64) -> usize {
        slot as usize * self.ring + (number as usize & (self.ring - 1))
    }
}

/// Recognises the messages with which a server ends a conversation of its own accord.
fn known_message(input: &[u8]) -> Option<Fault> {
    let known = [
        (wire::FULL, Fault::Full),
        (wire::TOO_SLOW, Fault::TooSlow),
        (wire::GOOD_BYE, Fault::Stopping),
    ];
    known
        .into_iter()
        .find(|(words, _)| !input.is_empty() && wire::judge(input, words) != Verdict::Wrong)
        .map(|(_, fault)| fault)
}

/// Returns the first line that a server sent, without its control characters, to be shown.
fn first_line(input: &[u8]) -> String {
    let line = input
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = &line[..line.len().min(60)];
    String::from_utf8_lossy(line)
        .trim_end()
        .chars()
        .map(|c| if c.is_control() { '.' } else { c })
        .collect()
}

/// The time that a server which has sent no greeting has to answer `exit`.
const PROBE: Duration = Duration::from_secs(1);
