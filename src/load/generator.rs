//! The generator: a service whose connections are all outbound.
//!
//! It says names, compares every byte that comes back with what must come, and takes the time.
//! Like every service it does no I/O, so it is a second witness that the loop is generic.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::clock::Clock;
use super::errors::Fault;
use super::plan::{Pace, Plan, Scenario};
use super::record::{Recorder, Window};
use super::schedule::Schedule;
use super::walk::Walk;
use super::wire::{self, Name, Verdict};
use oneloop::{
    CloseReason, Context, EndReason, Event, Next, Peer, Service, ServiceContext, SessionId, Time,
};

/// The generator of one run.
#[derive(Debug)]
pub(crate) struct Generator {
    plan: Plan,
    clock: Clock,
    phase: Phase,
    phase_began: Time,
    walk: Walk,
    slots: Vec<Slot>,
    /// When each name in flight was sent: a ring for each slot.
    sent_at: Vec<Time>,
    ring: usize,
    schedule: Option<Schedule>,
    /// How many scheduled names the slots know of.
    announced: u64,
    /// When lost connections are tried again. All wait equally long, so it is in order.
    retries: VecDeque<(Time, u32)>,
    /// Slots that connect as soon as fewer than [`CONNECTING_MAX`] connects are under way.
    waiting: VecDeque<u32>,
    /// Connects under way: begun, and not greeted yet.
    connecting: u32,
    /// Connections that ended without having been greeted.
    ungreeted: u32,
    /// The first bytes of a server that speaks another protocol.
    stranger: Option<String>,
    /// Scheduled names that were counted as missing without having been sent.
    never_sent: u64,
    next_alarm: Time,
    tally: Tally,
    recorder: Recorder,
}

/// What a run goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections are opened.
    Opening,
    /// They work, unmeasured.
    WarmingUp { until: Time },
    /// They work, or are idle.
    Measuring { until: Time },
    /// Nothing new is begun; answers to what is in flight are waited for.
    Settling { until: Time },
    /// Idle connections are asked for a sign of life.
    Proving { until: Time },
    /// Each connection says `exit`.
    Leaving { until: Time },
    /// Nothing is left to do.
    Over,
}

/// What is counted about connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Connections made, over the whole run.
    pub(crate) connected: u64,
    /// Connections that have been greeted and are open.
    pub(crate) open: u32,
    /// The most of them at one time.
    pub(crate) open_max: u32,
    /// How many were open at the end of the measured part.
    pub(crate) held: u32,
    /// Idle connections that have answered at the end.
    pub(crate) proved: u32,
    /// How long it took to open all connections.
    pub(crate) opening: Duration,
    /// Names in flight.
    in_flight: u64,
    /// Scheduled names sent.
    sent: u64,
    /// Conversations under way, in churn.
    conversations: u32,
}

/// One of the connections that the plan asks for, whichever socket it has at present.
#[derive(Clone, Copy, Debug)]
struct Slot {
    socket: Socket,
    /// Whether the walk waits for this slot.
    awaited: bool,
    /// When its connection was begun.
    begun: Time,
    /// Names said over its earlier connections.
    sent: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    None,
    Connecting,
    /// Greeted.
    Open(SessionId),
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    slot: u32,
    in_flight: u32,
    /// Names said over this and earlier connections of the slot.
    sent: u64,
    /// Names below this number were due when the connection could not take them.
    held_to: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The greeting has not come yet.
    Greeting,
    /// It has not come in time; `exit` was sent to find out which protocol the server speaks.
    Probing { until: Time },
    /// Names may be said.
    Talking,
    /// A conversation with so many names left to say.
    Conversing { left: u32 },
    /// `exit` is said; the farewell has not come yet.
    Leaving,
    /// The farewell has come, the end of the stream has not.
    Parting,
    /// Everything that was to be counted is counted.
    Done,
}

impl Generator {
    pub(crate) fn new(plan: Plan, clock: Clock) -> Self {
        let ring = plan.pace().in_flight().next_power_of_two() as usize;
        let slots = plan.connections as usize;
        let interval = interval_for(plan.duration);
        Self {
            clock,
            phase: Phase::Opening,
            phase_began: clock.now(),
            walk: Walk::new(1, plan.connections),
            slots: vec![Slot::NEW; slots],
            sent_at: vec![Time::START; ring * slots],
            ring,
            schedule: None,
            announced: 0,
            retries: VecDeque::new(),
            waiting: VecDeque::new(),
            connecting: 0,
            ungreeted: 0,
            stranger: None,
            never_sent: 0,
            next_alarm: Time::UNBOUNDED,
            tally: Tally::default(),
            recorder: Recorder::new(interval),
            plan,
        }
    }

    /// The slot whose connection the caller must open to set all in motion.
    pub(crate) fn begin(&mut self) -> u32 {
        self.walk = Walk::new(0, self.plan.connections);
        let first = self.walk.begin(1).expect("a plan has a connection");
        let now = self.clock.now();
        self.phase_began = now;
        self.note_connect(first, now);
        self.slots[first as usize].awaited = true;
        first
    }

    /// Ends the run now.
    pub(crate) fn interrupt(&mut self) {
        if let Phase::WarmingUp { .. } | Phase::Measuring { .. } = self.phase {
            self.tally.held = self.tally.open;
        }
        self.phase = Phase::Over;
    }

    /// Takes the first bytes of a server that speaks another protocol.
    pub(crate) fn take_stranger(&mut self) -> Option<String> {
        self.stranger.take()
    }

    /// Closes the books, and takes what is in them.
    pub(crate) fn take_records(&mut self) -> (Recorder, Tally) {
        self.recorder.close_interval(self.clock.now());
        let empty = Recorder::new(Duration::MAX);
        (std::mem::replace(&mut self.recorder, empty), self.tally)
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Exchanges, or conversations, measured so far.
    #[inline]
    pub(crate) fn completed(&self) -> u64 {
        self.recorder.completed()
    }

    pub(crate) fn faults(&self) -> u64 {
        self.recorder.faults.total()
    }

    pub(crate) fn latest_p99(&self) -> Option<Duration> {
        let latest = self.recorder.series.last()?;
        latest.latency.map(|spread| spread.p99)
    }

    /// When the generator wants to be woken next.
    #[inline]
    pub(crate) fn next_alarm(&self) -> Time {
        self.next_alarm
    }
}

impl Service for Generator {
    type Session = Session;

    fn open(&mut self, peer: Peer, _: &mut ServiceContext) -> Session {
        let slot = peer.tag.expect("the generator does not listen");
        let took = self.clock.now().since(self.slots[slot as usize].begun);
        self.recorder
            .connect
            .saturating_record(took.as_nanos() as u64);
        self.tally.connected += 1;
        Session {
            slot,
            in_flight: 0,
            sent: self.slots[slot as usize].sent,
            held_to: 0,
            state: State::Greeting,
        }
    }

    #[inline]
    fn step(&mut self, session: &mut Session, event: Event, cx: &mut Context<'_>) -> Next {
        let outcome = match event {
            Event::Data => self.hear(session, cx),
            Event::Wake => self.act(session, cx),
            Event::Eof => return self.finish(session, cx),
            Event::Drain => return Next::Close(CloseReason::Shutdown),
            Event::Timeout => self.expire(session, cx),
            _ => Ok(()),
        };
        match outcome {
            Ok(()) => self.wait(session),
            Err(fault) => {
                self.lose(session, fault);
                self.go_on(cx);
                Next::Close(CloseReason::ProtocolError)
            }
        }
    }

    fn closed(&mut self, mut session: Session, _: Peer, why: EndReason, cx: &mut ServiceContext) {
        if session.state != State::Done {
            let fault = match why {
                EndReason::Reset | EndReason::WriteTimeout => Fault::Reset,
                _ => Fault::Closed,
            };
            self.lose(&mut session, fault);
            self.go_on(cx);
        }
    }

    fn connect_failed(&mut self, slot: u32, error: &io::Error, cx: &mut ServiceContext) {
        let fault = Fault::of(error, self.source(slot));
        self.recorder.faults.add(fault, 1);
        self.give_up(slot);
        self.go_on(cx);
    }

    fn on_timer(&mut self, cx: &mut ServiceContext) {
        let now = self.clock.now();
        self.recorder.tick(now);
        self.retry(now, cx);
        self.connect_waiting(cx);
        self.announce(now, cx);
        self.advance(now, cx);
        self.next_alarm = self.soonest(now);
        cx.set_timer(self.next_alarm);
    }
}

/// What a session does.
impl Generator {
    /// A greeting is waited for on its own; all else is looked at when the run ends.
    #[inline]
    fn wait(&self, session: &Session) -> Next {
        let until = match session.state {
            State::Greeting => self.slots[session.slot as usize].begun + self.plan.grace,
            State::Probing { until } => until,
            _ => Time::UNBOUNDED,
        };
        Next::Read { until }
    }

    /// Compares what has come, and says what may be said now.
    #[inline]
    fn hear(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Result<(), Fault> {
        let now = self.clock.now();
        self.compare(session, now, cx)?;
        self.speak(session, now, cx);
        Ok(())
    }

    #[inline]
    fn compare(
        &mut self,
        session: &mut Session,
        now: Time,
        cx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        match session.state {
            State::Greeting => self.hear_greeting(session, cx)?,
            State::Probing { .. } => return self.recognise(cx.input()),
            _ => {}
        }
        self.hear_answers(session, now, cx)?;
        if session.in_flight == 0 && !cx.input().is_empty() {
            self.hear_farewell(session, cx)?;
        }
        Ok(())
    }

    #[cold]
    fn hear_greeting(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Result<(), Fault> {
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
    fn expire(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Result<(), Fault> {
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

    /// Finds out what a server is that does not begin with the greeting.
    #[cold]
    fn recognise(&mut self, input: &[u8]) -> Result<(), Fault> {
        if input.is_empty() {
            return Ok(());
        }
        if let Some(fault) = known_words(input) {
            return Err(fault);
        }
        if wire::judge(input, wire::GREETING) != Verdict::Wrong {
            return Err(Fault::Missing); // it came too late
        }
        self.stranger.get_or_insert_with(|| first_line(input));
        Err(Fault::OtherProtocol)
    }

    #[inline]
    fn hear_answers(
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
                Verdict::Wrong => return Err(known_words(cx.input()).unwrap_or(Fault::Wrong)),
            }
            session.in_flight -= 1;
            self.tally.in_flight -= 1;
            self.answered(session, number, now, cx);
        }
        Ok(())
    }

    /// Takes the time of an answer.
    #[inline]
    fn answered(&mut self, session: &mut Session, number: u64, now: Time, cx: &mut Context<'_>) {
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
            // What is timed is the whole conversation.
            (None, State::Conversing { .. }) => {}
            (None, _) => self.recorder.ended(sent, now, self.plan.timeout),
        }
    }

    #[cold]
    fn proved(&mut self, slot: u32, cx: &mut Context<'_>) {
        self.tally.proved += 1;
        self.is_done_with(slot);
        self.go_on(cx);
    }

    /// Takes what comes when no answer is due.
    #[cold]
    fn hear_farewell(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Result<(), Fault> {
        match session.state {
            // Part of a greeting.
            State::Greeting | State::Probing { .. } => return Ok(()),
            State::Leaving => {}
            _ => return Err(known_words(cx.input()).unwrap_or(Fault::Extra)),
        }
        match wire::judge(cx.input(), wire::GOOD_BYE) {
            Verdict::Partial => return Ok(()),
            Verdict::Wrong => return Err(known_words(cx.input()).unwrap_or(Fault::Wrong)),
            Verdict::Whole => cx.consume(wire::GOOD_BYE.len()),
        }
        session.state = State::Parting;
        if cx.input().is_empty() {
            Ok(())
        } else {
            Err(Fault::Extra)
        }
    }

    /// The server has said all it will.
    #[cold]
    fn finish(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Next {
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

    /// A conversation has ended as it should; in churn the next one follows.
    fn part(&mut self, session: &mut Session, cx: &mut Context<'_>) {
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

    /// Does what the phase of the run asks of a session that was woken for it.
    fn act(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Result<(), Fault> {
        let now = self.clock.now();
        match (self.phase, session.state) {
            (_, State::Greeting | State::Probing { .. } | State::Parting | State::Done) => {}
            (Phase::Proving { .. }, State::Talking) => self.say_name(session, now, cx),
            (Phase::Leaving { .. }, state) => {
                // What was in flight has had its time.
                self.count_unsent(session.slot, session.sent, now);
                if session.in_flight > 0 || state == State::Leaving {
                    return Err(Fault::Missing);
                }
                self.say_exit(session, cx);
            }
            _ => self.speak(session, now, cx),
        }
        Ok(())
    }

    /// Says what may be said now.
    #[inline]
    fn speak(&mut self, session: &mut Session, now: Time, cx: &mut Context<'_>) {
        match session.state {
            State::Talking => {
                let mut names = self.names_allowed(session);
                while names > 0 && cx.room() > wire::NAME_BYTES {
                    self.say_name(session, now, cx);
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

    /// How many names this session may say now.
    #[inline]
    fn names_allowed(&self, session: &Session) -> u64 {
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

    /// How many names of this slot's schedule were due so far; none without one.
    #[inline]
    fn names_due(&self, slot: u32) -> u64 {
        match &self.schedule {
            Some(schedule) => schedule.share(slot, self.announced),
            None => 0,
        }
    }

    fn converse(&mut self, session: &mut Session, left: u32, now: Time, cx: &mut Context<'_>) {
        // A conversation that has begun is finished, but none begins while others are opened.
        if session.in_flight > 0 || self.phase == Phase::Opening {
            return;
        }
        if left == 0 {
            return self.say_exit(session, cx);
        }
        session.state = State::Conversing { left: left - 1 };
        self.say_name(session, now, cx);
    }

    #[inline]
    fn say_name(&mut self, session: &mut Session, now: Time, cx: &mut Context<'_>) {
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

    fn say_exit(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        cx.write_parts([wire::EXIT, self.plan.framing.ending()]);
        session.state = State::Leaving;
    }

    /// Where the time at which a name was sent is kept.
    #[inline]
    fn place(&self, slot: u32, number: u64) -> usize {
        slot as usize * self.ring + (number as usize & (self.ring - 1))
    }
}

/// Connections that end.
impl Generator {
    /// Counts a connection that ended as it should not have, and the answers it owed.
    #[cold]
    fn lose(&mut self, session: &mut Session, fault: Fault) {
        if session.in_flight > 0 {
            self.lose_answers(session, fault);
        } else {
            self.recorder.faults.add(fault, 1);
        }
        let was_greeted = !matches!(session.state, State::Greeting | State::Probing { .. });
        if was_greeted {
            self.retire(session);
        }
        session.state = State::Done;
        self.give_up_greeted(session.slot, was_greeted);
    }

    /// Counts the names in flight of a connection that is lost.
    fn lose_answers(&mut self, session: &mut Session, fault: Fault) {
        let oldest = session.sent - u64::from(session.in_flight);
        let sent = self.sent_at[self.place(session.slot, oldest)];
        let age = self.clock.now().since(sent);
        let mut answers = u64::from(std::mem::take(&mut session.in_flight));
        self.tally.in_flight -= answers;
        match fault {
            Fault::Missing => {}
            // The oldest name was answered, if wrongly.
            Fault::Wrong => {
                self.recorder.faults.add(fault, 1);
                answers -= 1;
            }
            _ => self.recorder.faults.add(fault, 1),
        }
        if answers > 0 {
            self.recorder.missing(answers, age);
        }
    }

    /// A greeted connection is over.
    fn retire(&mut self, session: &mut Session) {
        session.state = State::Done;
        self.tally.open -= 1;
        self.set_socket(session.slot, Socket::None);
        self.slots[session.slot as usize].sent = session.sent;
        self.is_done_with(session.slot);
    }

    fn give_up(&mut self, slot: u32) {
        self.give_up_greeted(slot, false);
    }

    /// Leaves a slot without a connection, to be tried again if the scenario is one in which the
    /// slot still has something to do.
    fn give_up_greeted(&mut self, slot: u32, was_greeted: bool) {
        self.set_socket(slot, Socket::None);
        self.is_done_with(slot);
        self.ungreeted += u32::from(!was_greeted);
        if let Scenario::Churn { .. } = self.plan.scenario {
            self.tally.conversations -= 1;
        }
        // An idle connection that the server has ended is a finding, not to be covered up.
        let may_retry = slot < self.plan.active() || !was_greeted;
        if may_retry && (self.phase.is_working() || self.phase == Phase::Opening) {
            self.retries
                .push_back((self.clock.now() + RETRY_AFTER, slot));
        }
    }

    /// The walk need not wait for this slot any more.
    fn is_done_with(&mut self, slot: u32) {
        if std::mem::take(&mut self.slots[slot as usize].awaited) {
            self.walk.end();
        }
    }
}

/// The run.
impl Generator {
    /// A slot is done with: the alarm goes on with the walk, or to the next phase.
    fn go_on(&mut self, cx: &mut ServiceContext) {
        self.connect_waiting(cx);
        if !self.phase.is_working() {
            cx.set_timer(cx.now());
        }
    }

    /// Goes on with the phase under way, or to the next.
    fn advance(&mut self, now: Time, cx: &mut ServiceContext) {
        self.walk_on(now, cx);
        let next = match self.phase {
            Phase::Opening if self.walk.is_over() || self.is_hopeless() => self.begin_work(now, cx),
            Phase::WarmingUp { until } if now >= until => Phase::Measuring {
                until: until + self.plan.duration,
            },
            Phase::Measuring { until } if now >= until => {
                self.tally.held = self.tally.open;
                self.waiting.clear();
                let until = now + self.plan.grace;
                Phase::Settling { until }
            }
            Phase::Settling { until } if now >= until || self.has_settled() => {
                self.begin_proof(now)
            }
            Phase::Proving { until } if now >= until || self.walk.is_over() => {
                self.begin_farewell(now)
            }
            Phase::Leaving { until } if now >= until || self.walk.is_over() => {
                self.abandon_rest(now);
                Phase::Over
            }
            _ => return,
        };
        self.phase = next;
        self.phase_began = now;
        self.walk_on(now, cx);
    }

    fn begin_work(&mut self, now: Time, cx: &mut ServiceContext) -> Phase {
        self.tally.opening = now.since(self.phase_began);
        if self.tally.open == 0 {
            return Phase::Over; // there is nothing to measure
        }
        let until = now + self.plan.warm_up;
        let window = Window {
            start: until,
            end: until + self.plan.duration,
        };
        self.recorder.measure(window);
        let lasts = self.plan.warm_up.saturating_add(self.plan.duration);
        let active = self.plan.active();
        match self.plan.pace() {
            Pace::Open { rate, .. } => {
                self.schedule = Some(Schedule::new(now, rate, lasts, active));
            }
            Pace::Closed { .. } => self.wake(0..active, cx),
        }
        Phase::WarmingUp { until }
    }

    fn begin_proof(&mut self, now: Time) -> Phase {
        self.retries.clear();
        self.begin_walk(self.plan.active());
        if self.plan.scenario == Scenario::Idle {
            // What is timed in this scenario is how fast the sleepers answer.
            self.recorder.close_interval(now);
            self.recorder.measure(Window {
                start: now,
                end: Time::UNBOUNDED,
            });
        }
        let until = now + self.plan.grace;
        Phase::Proving { until }
    }

    fn begin_farewell(&mut self, now: Time) -> Phase {
        self.recorder.close_interval(now);
        self.begin_walk(0);
        let until = now + self.plan.grace;
        Phase::Leaving { until }
    }

    /// Begins a walk through the slots from `first` on. It waits for none that an earlier walk
    /// still waits for.
    fn begin_walk(&mut self, first: u32) {
        for slot in &mut self.slots {
            slot.awaited = false;
        }
        self.walk = Walk::new(first, self.plan.connections);
    }

    /// Counts what the connections still owe that the farewell has not reached in time.
    fn abandon_rest(&mut self, now: Time) {
        let farewells = u64::from(self.walk.under_way());
        self.recorder.faults.add(Fault::Missing, farewells);
        if self.tally.in_flight > 0 {
            // They were sent before the farewell began.
            let age = now.since(self.phase_began);
            self.recorder.missing(self.tally.in_flight, age);
        }
        if let Some(schedule) = &self.schedule {
            let counted = self.tally.sent + self.never_sent;
            let unsent = schedule.total().saturating_sub(counted);
            if unsent > 0 {
                let age = now.since(schedule.due(self.tally.sent));
                self.recorder.missing(unsent, age);
            }
        }
    }

    /// Returns `true` if so many connections have failed, and none has been greeted, that trying
    /// the rest is a waste of time.
    fn is_hopeless(&self) -> bool {
        self.tally.open_max == 0 && self.ungreeted >= CONNECTING_MAX
    }

    /// True when everything that was begun has ended.
    fn has_settled(&self) -> bool {
        let owed = self.schedule.map_or(0, |schedule| schedule.total());
        self.tally.in_flight == 0 && self.tally.sent >= owed && self.tally.conversations == 0
    }

    /// Begins with as many slots as may be under way.
    fn walk_on(&mut self, now: Time, cx: &mut ServiceContext) {
        let limit = self.walk_limit(now);
        while let Some(slot) = self.next_slot(limit) {
            self.slots[slot as usize].awaited = true;
            match (self.phase, self.slots[slot as usize].socket) {
                (Phase::Opening, _) => self.connect(slot, now, cx),
                (_, Socket::Open(id)) => cx.wake(id),
                _ => self.pass_over(slot, now),
            }
        }
    }

    fn next_slot(&mut self, limit: u32) -> Option<u32> {
        match self.phase {
            Phase::Opening | Phase::Proving { .. } | Phase::Leaving { .. } => {
                self.walk.begin(limit)
            }
            _ => None,
        }
    }

    /// Passes over a slot without a connection: it has nothing to prove and nothing to close; but
    /// names that were due in the meantime were never answered.
    fn pass_over(&mut self, slot: u32, now: Time) {
        self.is_done_with(slot);
        if let Phase::Leaving { .. } = self.phase {
            self.count_unsent(slot, self.slots[slot as usize].sent, now);
        }
    }

    /// Counts the names of a slot that were due and could not be sent as missing since they were
    /// due.
    fn count_unsent(&mut self, slot: u32, sent: u64, now: Time) {
        if let Some(schedule) = &self.schedule
            && slot < self.plan.active()
        {
            let unsent = schedule.share(slot, schedule.total()).saturating_sub(sent);
            if unsent > 0 {
                let age = now.since(schedule.due_of(slot, sent));
                self.never_sent += unsent;
                self.recorder.missing(unsent, age);
            }
        }
    }

    /// Before which slot the walk must stop for now.
    fn walk_limit(&self, now: Time) -> u32 {
        if self.phase != Phase::Opening || self.plan.ramp.is_zero() {
            return u32::MAX;
        }
        let part = now.since(self.phase_began).as_secs_f64() / self.plan.ramp.as_secs_f64();
        (part * f64::from(self.plan.connections)) as u32 + 1
    }

    /// Connects a slot as soon as the number of connects under way allows it.
    fn connect(&mut self, slot: u32, now: Time, cx: &mut ServiceContext) {
        if self.connecting >= CONNECTING_MAX {
            return self.waiting.push_back(slot);
        }
        self.note_connect(slot, now);
        cx.connect(self.plan.target, self.source(slot), slot);
    }

    /// Connects the slots that were waiting for it.
    fn connect_waiting(&mut self, cx: &mut ServiceContext) {
        while self.connecting < CONNECTING_MAX
            && let Some(slot) = self.waiting.pop_front()
        {
            self.connect(slot, self.clock.now(), cx);
        }
    }

    fn note_connect(&mut self, slot: u32, now: Time) {
        self.set_socket(slot, Socket::Connecting);
        self.slots[slot as usize].begun = now;
        if let Scenario::Churn { .. } = self.plan.scenario {
            self.tally.conversations += 1;
        }
    }

    fn set_socket(&mut self, slot: u32, socket: Socket) {
        let before = std::mem::replace(&mut self.slots[slot as usize].socket, socket);
        self.connecting += u32::from(socket == Socket::Connecting);
        self.connecting -= u32::from(before == Socket::Connecting);
    }

    /// The local address that a slot connects from.
    pub(crate) fn source(&self, slot: u32) -> Option<std::net::IpAddr> {
        let sources = &self.plan.sources;
        let count = sources.len().max(1);
        sources.get(slot as usize % count).copied()
    }

    fn retry(&mut self, now: Time, cx: &mut ServiceContext) {
        while let Some(&(at, slot)) = self.retries.front()
            && at <= now
        {
            self.retries.pop_front();
            self.connect(slot, now, cx);
        }
    }

    /// Tells the slots of the names that have become due.
    fn announce(&mut self, now: Time, cx: &mut ServiceContext) {
        let Some(schedule) = &self.schedule else {
            return;
        };
        let due = schedule.due_by(now);
        let active = u64::from(self.plan.active());
        let fresh = self.announced..due.min(self.announced + active);
        self.announced = due;
        for number in fresh {
            let slot = (number % active) as u32;
            self.wake(slot..slot + 1, cx);
        }
    }

    fn wake(&self, slots: std::ops::Range<u32>, cx: &mut ServiceContext) {
        for slot in slots {
            if let Socket::Open(id) = self.slots[slot as usize].socket {
                cx.wake(id);
            }
        }
    }

    /// When there is something to do next.
    fn soonest(&self, now: Time) -> Time {
        let mut next = now + LOOK_AFTER;
        if let Phase::WarmingUp { until } | Phase::Measuring { until } = self.phase {
            let tick = self.recorder.next_tick().max(now);
            next = until.min(tick).min(now + SHOW_AFTER);
        }
        if let Some(schedule) = &self.schedule
            && self.announced < schedule.total()
        {
            next = next.min(schedule.due(self.announced).max(now + TOGETHER));
        }
        if let Some(&(at, _)) = self.retries.front() {
            next = next.min(at);
        }
        next
    }
}

impl Phase {
    #[inline]
    pub(crate) fn is_working(self) -> bool {
        matches!(self, Self::WarmingUp { .. } | Self::Measuring { .. })
    }

    fn is_settling(self) -> bool {
        matches!(self, Self::Settling { .. })
    }
}

impl Slot {
    const NEW: Self = Self {
        socket: Socket::None,
        awaited: false,
        begun: Time::START,
        sent: 0,
    };
}

/// What a server says that ends a conversation on its own account.
fn known_words(input: &[u8]) -> Option<Fault> {
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

/// Some hundred intervals, from ten a second to one: closing one costs as much as some twenty
/// exchanges.
fn interval_for(duration: Duration) -> Duration {
    (duration / 100).clamp(Duration::from_millis(100), Duration::from_secs(1))
}

/// The first line that a server sent, without its control characters, to be shown.
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

/// The most connects under way: enough to keep both sides busy, and too few to overflow a backlog
/// of 511, which is what many servers have.
const CONNECTING_MAX: u32 = 256;
/// How long a server that has sent no greeting may take to answer `exit`.
const PROBE: Duration = Duration::from_secs(1);
/// How long a slot waits before it tries again: a server that is down is not to be hammered.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Names due within this time are sent together. A wake-up for each would cost more than sending
/// it, and what it makes them late is little, and reported.
const TOGETHER: Duration = Duration::from_micros(50);
/// How often the phases that end when everybody has answered are looked at.
const LOOK_AFTER: Duration = Duration::from_millis(5);
/// How often there is a turn at least, for whoever watches.
const SHOW_AFTER: Duration = Duration::from_millis(100);
