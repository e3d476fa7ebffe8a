//! The generator: a service whose connections are all outbound.
//!
//! It sends names, compares every byte of the answers, and measures their latency.
//! Like every service it does no I/O, so it is a second witness that the loop is generic.

mod connections;
mod phases;
mod session;

use std::collections::VecDeque;
use std::time::Duration;

use super::clock::Clock;
use super::errors::Fault;
use super::plan::{Plan, Scenario};
use super::record::Recorder;
use super::schedule::Schedule;
use super::walk::Walk;
use oneloop::{
    CloseReason, ConnectError, Context, EndReason, Event, Next, Peer, Service, ServiceContext,
    SessionId, Tag, Time,
};
use oneloop_client::Client;

/// The generator of one run.
#[derive(Debug)]
pub(crate) struct Generator {
    plan: Plan,
    clock: Clock,
    phase: Phase,
    phase_began: Time,
    walk: Walk,
    slots: Vec<Slot>,
    /// The times at which the names in flight were sent: a ring for each slot.
    sent_at: Vec<Time>,
    ring: usize,
    schedule: Option<Schedule>,
    /// The number of scheduled names that the slots know of.
    announced: u64,
    /// The times at which lost connections are tried again. All wait equally long, so it is sorted.
    retries: VecDeque<(Time, u32)>,
    /// Slots that connect as soon as fewer than [`UNDER_WAY_MAX`](super::walk::UNDER_WAY_MAX) connects are under way.
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

/// The phases of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections are opened.
    Opening,
    /// They work, unmeasured.
    WarmingUp { until: Time },
    /// They work, or are idle.
    Measuring { until: Time },
    /// Nothing new is begun; answers to names in flight are waited for.
    Settling { until: Time },
    /// Idle connections prove that they are alive.
    Proving { until: Time },
    /// Each connection sends `exit`.
    Leaving { until: Time },
    /// The run has ended.
    Over,
}

/// The counters of connections and names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Connections made, over the whole run.
    pub(crate) connected: u64,
    /// Connections that have been greeted and are open.
    pub(crate) open: u32,
    /// The most of them at one time.
    pub(crate) open_max: u32,
    /// Those open at the end of the measured part.
    pub(crate) held: u32,
    /// Idle connections that have answered at the end.
    pub(crate) proved: u32,
    /// The time it took to open all connections.
    pub(crate) opening: Duration,
    /// Names in flight.
    in_flight: u64,
    /// Scheduled names sent.
    sent: u64,
    /// Conversations under way, in churn.
    conversations: u32,
}

/// One of the connections of the plan, with whichever socket it has at present.
#[derive(Clone, Copy, Debug)]
struct Slot {
    socket: Socket,
    /// `true` while the walk waits for this slot.
    awaited: bool,
    /// The time at which its connection was begun.
    begun: Time,
    /// Names sent over its earlier connections.
    sent: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    None,
    Connecting,
    /// Greeted.
    Open(SessionId),
}

/// One connection. Its client has the number of its slot.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    /// Names below this number were due when the connection could not take them.
    held_to: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Names are sent until the run ends.
    Exchanging,
    /// A conversation that still has so many names to send.
    Conversing { left: u32 },
    /// The greeting has not come in time; `exit` was sent to find out which protocol the server
    /// speaks.
    Probing { until: Time },
    /// Everything that was to be counted is counted.
    Done,
}

impl Session {
    #[inline]
    fn slot(&self) -> u32 {
        self.client.number()
    }
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

    /// Returns the slot whose connection the caller must open to set all in motion.
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

    /// Closes the last interval, and takes the records.
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

    /// Returns the exchanges, or conversations, measured so far.
    #[inline]
    pub(crate) fn completed(&self) -> u64 {
        self.recorder.completed()
    }

    /// Returns the exchanges, or conversations, that have ended so far, measured or not.
    #[inline]
    pub(crate) fn ended(&self) -> u64 {
        self.recorder.ended_in_all()
    }

    pub(crate) fn faults(&self) -> u64 {
        self.recorder.faults.total()
    }

    pub(crate) fn latest_p99(&self) -> Option<Duration> {
        let latest = self.recorder.series.last()?;
        latest.latency.map(|spread| spread.p99)
    }

    /// Returns the time at which the generator has to be woken next.
    #[inline]
    pub(crate) fn next_alarm(&self) -> Time {
        self.next_alarm
    }
}

impl Service for Generator {
    type Session = Session;

    fn open(&mut self, peer: Peer, _: &mut ServiceContext) -> Session {
        let slot = slot_of(peer.tag.expect("the generator does not listen"));
        let took = self.clock.now().since(self.slots[slot as usize].begun);
        self.recorder
            .connect
            .saturating_record(took.as_nanos() as u64);
        self.tally.connected += 1;
        Session {
            client: Client::new(slot, self.slots[slot as usize].sent),
            held_to: 0,
            state: match self.plan.scenario {
                Scenario::Churn { names } => State::Conversing { left: names },
                _ => State::Exchanging,
            },
        }
    }

    #[inline]
    fn step(&mut self, session: &mut Session, event: Event, cx: &mut Context<'_>) -> Next {
        let outcome = match event {
            Event::Data => self.receive(session, cx),
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

    fn connect_failed(&mut self, tag: Tag, error: &ConnectError, cx: &mut ServiceContext) {
        let slot = slot_of(tag);
        let fault = Fault::of(error, self.source(slot));
        self.recorder.faults.add(fault, 1);
        self.give_up(slot);
        self.go_on(cx);
    }

    fn on_timer(&mut self, _: u64, cx: &mut ServiceContext) {
        let now = self.clock.now();
        self.recorder.tick(now);
        self.retry(now, cx);
        self.connect_waiting(cx);
        self.announce(now, cx);
        self.advance(now, cx);
        self.next_alarm = self.soonest(now);
        cx.set_service_timer(ALARM, self.next_alarm);
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

/// Returns the slot of the connection with this tag.
fn slot_of(tag: Tag) -> u32 {
    tag.value() as u32
}

/// Returns the length of an interval: some hundred in a run, from ten a second to one. Closing one
/// costs as much as some twenty exchanges.
fn interval_for(duration: Duration) -> Duration {
    (duration / 100).clamp(Duration::from_millis(100), Duration::from_secs(1))
}

/// The key of the generator's only timer.
const ALARM: u64 = 0;
