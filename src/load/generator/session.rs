//! Sessions: comparing the input, and sending names.

use std::time::Duration;

use oneloop::{CloseReason, Context, Next, Time};
use oneloop_client::{Message, Name, Unexpected, wire};

use super::{Generator, Phase, Session, Socket, State};
use crate::errors::Fault;
use crate::plan::Scenario;

impl Generator {
    /// Returns the wait of a session: only a greeting has a deadline of its own.
    #[inline]
    pub(super) fn wait(&self, session: &Session) -> Next {
        let until = match session.state {
            State::Probing { until } => until,
            _ if session.client.is_greeted() => Time::UNBOUNDED,
            _ => self.slots[session.slot() as usize].begun + self.plan.grace,
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
        if let State::Probing { .. } = session.state {
            return self.recognise(cx.input());
        }
        while let Some(received) = session.client.receive(cx).transpose() {
            match received {
                Ok(Message::Answer(number)) => self.answered(session, number, now, cx),
                Ok(Message::Greeting) => self.greeted(session, cx),
                Ok(Message::GoodBye) => {}
                Err(unexpected) => return self.classify(unexpected, session, cx.input()),
            }
        }
        Ok(())
    }

    #[cold]
    pub(super) fn greeted(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        session.held_to = self.names_due(session.slot());
        self.set_socket(session.slot(), Socket::Open(cx.id()));
        self.tally.open += 1;
        self.tally.open_max = self.tally.open_max.max(self.tally.open);
        self.is_done_with(session.slot());
        self.go_on(cx);
    }

    /// Finds the fault behind input that differs from what must come.
    #[cold]
    pub(super) fn classify(
        &mut self,
        unexpected: Unexpected,
        session: &Session,
        input: &[u8],
    ) -> Result<(), Fault> {
        if !session.client.is_greeted() {
            return self.recognise(input);
        }
        Err(known_message(input).unwrap_or(match unexpected {
            Unexpected::Wrong => Fault::Wrong,
            Unexpected::Extra => Fault::Extra,
        }))
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
            State::Probing { .. } => Err(Fault::Missing),
            _ if session.client.is_greeted() => Ok(()),
            _ if cx.input().is_empty() => {
                cx.write_parts([wire::EXIT.as_bytes(), b"\r\n\r\n"]);
                let until = self.clock.now() + PROBE;
                session.state = State::Probing { until };
                Ok(())
            }
            _ => Err(Fault::Missing),
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
        if begins_like(input, wire::GREETING) {
            return Err(Fault::Missing); // it came too late
        }
        self.stranger.get_or_insert_with(|| first_line(input));
        Err(Fault::OtherProtocol)
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
        self.tally.in_flight -= 1;
        let sent = self.sent_at[self.place(session.slot(), number)];
        if session.slot() >= self.plan.active() {
            self.recorder.ended(sent, now, self.plan.timeout);
            return self.proved(session.slot(), cx);
        }
        match (&self.schedule, session.state) {
            (Some(schedule), _) => {
                let due = schedule.due_of(session.slot(), number);
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

    /// Handles the end of the stream.
    #[cold]
    pub(super) fn finish(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Next {
        let compared = self.compare(session, self.clock.now(), cx);
        match (compared, session.state) {
            (Ok(()), _) if session.client.has_parted() => self.part(session, cx),
            (Ok(()), State::Probing { .. }) => self.lose(session, Fault::Missing),
            (Ok(()), _) => self.lose(session, Fault::Closed),
            (Err(fault), _) => self.lose(session, fault),
        }
        self.go_on(cx);
        Next::Close(CloseReason::Eof)
    }

    /// Ends a complete conversation; in churn the next one follows.
    pub(super) fn part(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        let (slot, now) = (session.slot(), self.clock.now());
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
        let client = &session.client;
        match self.phase {
            _ if !client.is_greeted() || client.has_parted() || session.state == State::Done => {}
            Phase::Proving { .. } if client.is_talking() => self.send_name(session, now, cx),
            Phase::Leaving { .. } => {
                // The names in flight have had their time.
                self.count_unsent(session.slot(), client.sent(), now);
                if client.in_flight() > 0 || !client.is_talking() {
                    return Err(Fault::Missing);
                }
                session.client.send_exit(self.plan.framing.ending(), cx);
            }
            _ => self.send_names(session, now, cx),
        }
        Ok(())
    }

    /// Sends the names that may be sent now.
    #[inline]
    pub(super) fn send_names(&mut self, session: &mut Session, now: Time, cx: &mut Context<'_>) {
        if !session.client.is_talking() {
            return;
        }
        if let State::Conversing { left } = session.state {
            return self.converse(session, left, now, cx);
        }
        let mut names = self.names_allowed(session);
        while names > 0 && cx.room() > Name::BYTES {
            self.send_name(session, now, cx);
            names -= 1;
        }
        session.held_to = self.names_due(session.slot()).max(session.held_to);
    }

    /// Returns the number of names that this session may send now.
    #[inline]
    pub(super) fn names_allowed(&self, session: &Session) -> u64 {
        let in_flight = session.client.in_flight().min(self.ring as u32);
        let room = u64::from(self.plan.pace().in_flight() - in_flight);
        if session.slot() >= self.plan.active() {
            return 0;
        }
        match &self.schedule {
            Some(_) if self.phase.is_working() || self.phase.is_settling() => {
                let due = self.names_due(session.slot());
                room.min(due.saturating_sub(session.client.sent()))
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
        if session.client.in_flight() > 0 || self.phase == Phase::Opening {
            return;
        }
        if left == 0 {
            return session.client.send_exit(self.plan.framing.ending(), cx);
        }
        session.state = State::Conversing { left: left - 1 };
        self.send_name(session, now, cx);
    }

    #[inline]
    pub(super) fn send_name(&mut self, session: &mut Session, now: Time, cx: &mut Context<'_>) {
        let number = session.client.send_name(self.plan.framing.ending(), cx);
        let place = self.place(session.slot(), number);
        self.sent_at[place] = now;
        self.tally.in_flight += 1;
        if let Some(schedule) = &self.schedule
            && session.slot() < self.plan.active()
        {
            self.tally.sent += 1;
            let due = schedule.due_of(session.slot(), number);
            if number < session.held_to {
                self.recorder.held_back(due);
            } else {
                self.recorder.sent(due, now);
            }
        }
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
        .find(|(words, _)| !input.is_empty() && begins_like(input, words))
        .map(|(_, fault)| fault)
}

/// Returns true if `input` agrees with `words`, as far as both go.
fn begins_like(input: &[u8], words: &str) -> bool {
    input.iter().zip(words.as_bytes()).all(|(a, b)| a == b)
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
