//! A service that runs a scenario's closure, and records every call.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use oneloop::{
    CloseReason, ConnectError, Context, EndReason, Event, Limits, ListenerId, Next, Peer, Service,
    ServiceContext, SessionId, Tag, Time,
};
use oneloop_sim::{Client, LinkProfile, RemotePeer, Script, Simulation};

/// A service whose sessions are numbered from 0, in the order of opening.
pub(crate) struct Probe {
    act: Box<dyn FnMut(Step<'_, '_>) -> Next>,
    /// Called after each recorded call, except steps.
    pub(crate) besides: Besides,
    /// Called when the loop starts.
    pub(crate) on_start: Box<dyn FnMut(&mut ServiceContext)>,
    /// The message for refused connections. If it is empty, they get their listener's name.
    pub(crate) refusal: Vec<u8>,
    pub(crate) calls: Vec<(Time, Call)>,
    /// How many calls had been made at each start of the loop.
    pub(crate) starts: Vec<usize>,
    pub(crate) peers: Vec<Peer>,
}

type Besides = Box<dyn FnMut(Call, &mut ServiceContext)>;

/// The arguments of a session's step.
pub(crate) struct Step<'a, 'b> {
    pub(crate) number: u32,
    pub(crate) event: Event,
    /// The ids of all sessions so far, by number.
    pub(crate) ids: &'a [SessionId],
    pub(crate) cx: &'a mut Context<'b>,
}

/// A call of the loop to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Open(u32),
    Step(u32, Event),
    Closed(u32, EndReason),
    ConnectFailed(u64, ErrorKind),
    Timer(u64),
    Draining(usize),
}

/// Builds a server whose sessions run `act` at every step.
pub(crate) fn simulate(
    limits: Limits,
    act: impl FnMut(Step<'_, '_>) -> Next + 'static,
) -> Simulation<Probe> {
    Simulation::new(Probe::new(act), limits, 1)
}

impl Probe {
    pub(crate) fn new(act: impl FnMut(Step<'_, '_>) -> Next + 'static) -> Self {
        Self {
            act: Box::new(act),
            besides: Box::new(|_, _| {}),
            on_start: Box::new(|_| {}),
            refusal: Vec::new(),
            calls: Vec::new(),
            starts: Vec::new(),
            peers: Vec::new(),
        }
    }

    /// Returns the calls without their times.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.iter().map(|&(_, call)| call).collect()
    }

    /// Returns the events of one session.
    pub(crate) fn events(&self, number: u32) -> Vec<Event> {
        let event = |call: &(Time, Call)| match call.1 {
            Call::Step(of, event) if of == number => Some(event),
            _ => None,
        };
        self.calls.iter().filter_map(event).collect()
    }

    /// Returns the reason for which a session ended, if it has.
    pub(crate) fn end(&self, number: u32) -> Option<EndReason> {
        self.calls.iter().find_map(|&(_, call)| match call {
            Call::Closed(of, why) if of == number => Some(why),
            _ => None,
        })
    }

    /// Returns the time of the first such call.
    pub(crate) fn time_of(&self, call: Call) -> Option<Time> {
        let found = self.calls.iter().find(|&&(_, made)| made == call);
        found.map(|&(when, _)| when)
    }

    /// Returns the number of such calls.
    pub(crate) fn count(&self, call: Call) -> usize {
        self.calls.iter().filter(|&&(_, made)| made == call).count()
    }

    fn note(&mut self, call: Call, cx: &mut ServiceContext) {
        self.calls.push((cx.now(), call));
        (self.besides)(call, cx);
    }
}

impl Service for Probe {
    type Session = u32;

    fn started(&mut self, cx: &mut ServiceContext) {
        self.starts.push(self.calls.len());
        (self.on_start)(cx);
    }

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> u32 {
        let number = self.peers.len() as u32;
        self.peers.push(peer);
        self.note(Call::Open(number), cx);
        number
    }

    fn step(&mut self, &mut number: &mut u32, event: Event, cx: &mut Context<'_>) -> Next {
        self.calls.push((cx.now(), Call::Step(number, event)));
        let ids: Vec<_> = self.peers.iter().map(|peer| peer.id).collect();
        (self.act)(Step {
            number,
            event,
            ids: &ids,
            cx,
        })
    }

    fn closed(&mut self, number: u32, peer: Peer, why: EndReason, cx: &mut ServiceContext) {
        assert_eq!(peer, self.peers[number as usize]);
        self.note(Call::Closed(number, why), cx);
    }

    fn refusal_message(&self, listener: ListenerId, _: EndReason) -> &[u8] {
        match self.refusal.is_empty() {
            true => listener.name().as_bytes(),
            false => &self.refusal,
        }
    }

    fn connect_failed(&mut self, tag: Tag, error: &ConnectError, cx: &mut ServiceContext) {
        self.note(Call::ConnectFailed(tag.value(), error.kind()), cx);
    }

    fn on_timer(&mut self, key: u64, cx: &mut ServiceContext) {
        self.note(Call::Timer(key), cx);
    }

    fn draining(&mut self, open: usize, _: Duration, cx: &mut ServiceContext) {
        self.note(Call::Draining(open), cx);
    }
}

impl Step<'_, '_> {
    /// Takes all input and returns it.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let input = self.cx.input().to_vec();
        self.cx.consume(input.len());
        input
    }

    /// Waits for input.
    pub(crate) fn read_for(&self, wait: Duration) -> Next {
        Next::Read {
            until: self.cx.after(wait),
        }
    }

    /// Waits for a wake-up.
    pub(crate) fn pause_for(&self, wait: Duration) -> Next {
        Next::Pause {
            until: self.cx.after(wait),
        }
    }
}

/// Echoes all input, and waits for more.
pub(crate) fn echo(mut step: Step<'_, '_>) -> Next {
    let input = step.take();
    step.cx.write(&input);
    match step.event {
        Event::Eof => Next::Close(CloseReason::Eof),
        Event::Timeout => Next::Close(CloseReason::Timeout),
        Event::Drain => Next::Close(CloseReason::Shutdown),
        _ => step.read_for(MINUTE),
    }
}

/// Echoes all input in full duplex, whether there is room or not.
pub(crate) fn echo_in_duplex(step: Step<'_, '_>) -> Next {
    if step.event == Event::Open {
        step.cx.set_duplex(true);
    }
    echo(step)
}

/// Returns limits with kernel buffers of a kilobyte.
pub(crate) fn small_buffers() -> Limits {
    Limits {
        send_buffer_bytes: 1000,
        receive_buffer_bytes: 1000,
        ..Limits::default()
    }
}

/// Connects a client that does not read. Its kernel takes no more than a kilobyte.
pub(crate) fn connect_deaf<S: Service>(simulation: &mut Simulation<S>) -> Client {
    let client = simulation.connect_over(LinkProfile {
        receive_buffer_bytes: 1000,
        ..LinkProfile::default()
    });
    client.stop_reading();
    client
}

/// Connects a client that reads `bytes` bytes each second, behind a kernel's buffer.
pub(crate) fn connect_sipping<S: Service>(
    simulation: &Simulation<S>,
    bytes: usize,
    receive_buffer_bytes: usize,
) {
    let ends = (
        "10.0.0.3:1000".parse().expect("an address"),
        simulation.address(),
    );
    let link = LinkProfile {
        receive_buffer_bytes,
        ..LinkProfile::ideal()
    };
    let next_at = Time::START;
    let script = Sipping { bytes, next_at };
    simulation.network().connect_at(next_at, ends, link, script);
}

/// A peer that reads so many bytes each second.
struct Sipping {
    bytes: usize,
    next_at: Time,
}

impl Script for Sipping {
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
        if remote.now() >= self.next_at {
            remote.read(self.bytes, &mut Vec::new());
            self.next_at = remote.now() + SECOND;
        }
        Some(self.next_at)
    }
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Address of a server other than the simulated one.
pub(crate) const ELSEWHERE: &str = "10.0.0.9:7000";

pub(crate) fn elsewhere() -> SocketAddr {
    ELSEWHERE.parse().expect("an address")
}
