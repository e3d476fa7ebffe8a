//! The network's state, and its event queue.

mod clients;
mod handshake;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::client::Script;
use super::connection::{Connection, Endpoint, EndpointId, Owner, Side, TcpState};
use super::pipe::Departure;
use super::poller::{Poller, ReadySet, Registration, Source, Trigger};
use super::trace::Trace;
use super::unix::UnixNames;
use super::workers::{Deed, Workers};
use super::{Faults, LinkProfile, Observer, Rng, Syscall};
use clients::ClientState;
use oneloop::{Address, Time};

/// The state of a network, shared by its handles.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    pub(super) trigger: Trigger,
    pub(super) poller: Poller,
    pub(super) trace: Trace,
    pub(super) listeners: Vec<ListenerState>,
    pub(super) descriptors: Descriptors,
    pub(super) stop: Stop,
    /// True from a wake-up of the loop until its poll returns.
    pub(super) woken: Arc<AtomicBool>,
    pub(super) workers: Workers,
    /// The time that a job takes.
    pub(super) job_time: RangeInclusive<Duration>,
    pub(super) poll_until: Option<Time>,
    pub(super) call_counts: super::CallCounts,
    /// The registered endpoints of the loop.
    pub(super) registered: Vec<EndpointId>,
    /// The link of outbound connections.
    pub(super) outbound_link: LinkProfile,
    /// SYNs to these addresses are dropped.
    pub(super) unanswered: HashSet<SocketAddr>,
    pub(super) unix: UnixNames,
    connections: Vec<Connection>,
    clients: Vec<ClientState>,
    /// Clients whose scripts must run.
    runnable: VecDeque<usize>,
    services: HashMap<SocketAddr, Spawn>,
    pub(super) observer: Option<Box<dyn Observer>>,
    event_queue: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
}

pub(super) type Spawn = Box<dyn FnMut() -> Box<dyn Script>>;

pub(super) struct ListenerState {
    pub(super) address: SocketAddr,
    pub(super) registration: Registration,
    pub(super) queue: VecDeque<EndpointId>,
    pub(super) backlog: usize,
    pub(super) send_buffer_bytes: usize,
    pub(super) receive_buffer_bytes: usize,
    /// True while any process has it open.
    pub(super) open: bool,
    /// True if only another process has it open.
    pub(super) is_released: bool,
    pub(super) shares_port: bool,
    /// Since when a connection waits, or since the last attempt to accept.
    pub(super) waiting_since: Option<Time>,
}

/// The descriptors of the process.
#[derive(Debug)]
pub(super) struct Descriptors {
    pub(super) open: usize,
    pub(super) limit: usize,
    pub(super) reserve: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    NotAsked,
    /// Requested, and the next poll must return at once.
    Waking,
    Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Scheduled {
    when: Time,
    /// Keeps events of one time in the order of scheduling.
    sequence: u64,
    what: NetEvent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NetEvent {
    Transmit(EndpointKey),
    Arrive(EndpointKey, usize),
    FinishArrives(EndpointKey),
    ResetArrives(EndpointKey),
    SynArrives { connection: usize, attempt: u32 },
    SynAckArrives { connection: usize },
    RstArrives { connection: usize },
    Raise(EndpointKey, u8),
    RaiseListener(usize),
    RunScript { client: usize, timer: u64 },
    UserTimeout(EndpointKey),
    Stop,
    Act(usize),
}

/// [`EndpointId`], in a form that can be ordered.
type EndpointKey = (usize, bool);

impl World {
    pub(super) fn new(rng: Rng, trigger: Trigger) -> Self {
        Self {
            now: Time::START,
            rng,
            faults: Faults::NONE,
            trigger,
            poller: Poller::default(),
            trace: Trace::default(),
            listeners: Vec::new(),
            descriptors: Descriptors {
                open: 0,
                limit: usize::MAX,
                reserve: true,
            },
            stop: Stop::NotAsked,
            woken: Arc::default(),
            workers: Workers::default(),
            job_time: JOB_TIME,
            poll_until: None,
            call_counts: super::CallCounts::default(),
            registered: Vec::new(),
            outbound_link: LinkProfile::ideal(),
            unanswered: HashSet::new(),
            unix: UnixNames::default(),
            connections: Vec::new(),
            clients: Vec::new(),
            runnable: VecDeque::new(),
            services: HashMap::new(),
            observer: None,
            event_queue: BinaryHeap::new(),
            sequence: 0,
        }
    }

    pub(super) fn set_observer(&mut self, observer: Box<dyn Observer>) {
        self.observer = Some(observer);
    }

    pub(super) fn serve(&mut self, address: SocketAddr, spawn: Spawn) {
        self.services.entry(address).or_insert(spawn);
    }

    /// Starts connecting a client.
    pub(super) fn connect_client(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        link: LinkProfile,
        script: Option<Box<dyn Script>>,
        when: Time,
    ) -> usize {
        let client = self.clients.len();
        let at = self.connect(Owner::Client(client), (from, to), link, when);
        self.add_client(at, script);
        client
    }

    /// Returns the addresses of a new client and of the socket at `path`.
    pub(super) fn unix_ends(&mut self, path: PathBuf) -> (SocketAddr, SocketAddr) {
        (self.unix.client(), self.unix.inside(&Address::Unix(path)))
    }

    /// Starts a connection of the loop or of a client.
    pub(super) fn connect(
        &mut self,
        owner: Owner,
        (from, to): (SocketAddr, SocketAddr),
        link: LinkProfile,
        when: Time,
    ) -> EndpointId {
        let connection = self.connections.len();
        let send_buffer = link.send_buffer_bytes;
        let active = Endpoint::new(from, owner, link.clone(), send_buffer);
        let passive = Endpoint::new(to, Owner::Loop, link, send_buffer);
        self.connections.push(Connection::new(active, passive));
        let at = EndpointId::new(connection, Side::Active);
        let end = self.connections[connection].end_mut(Side::Active);
        let arrives = end.outgoing.arrival(when, &mut self.rng);
        let attempt = 0;
        self.schedule(
            arrives,
            NetEvent::SynArrives {
                connection,
                attempt,
            },
        );
        at
    }

    /// Executes all events that are due, and the scripts that they make runnable.
    pub(super) fn run_due(&mut self) {
        self.run_clients();
        while let Some(Reverse(due)) = self.event_queue.peek().copied() {
            if due.when > self.now {
                return;
            }
            self.event_queue.pop();
            self.execute(due.what);
            self.run_clients();
        }
    }

    /// Returns the time of the next event.
    pub(super) fn next_event_at(&self) -> Option<Time> {
        self.event_queue.peek().map(|Reverse(due)| due.when)
    }

    pub(super) fn schedule_stop(&mut self, when: Time) {
        self.schedule(when, NetEvent::Stop);
    }

    /// Keeps something that happens outside of the loop until its time.
    pub(super) fn act_at(&mut self, when: Time, deed: Deed) {
        let number = self.workers.keep(deed);
        self.schedule(when, NetEvent::Act(number));
    }

    /// Gives jobs to the idle workers.
    pub(super) fn start_jobs(&mut self) {
        while let Some(job) = self.workers.start_job() {
            let (least, most) = (*self.job_time.start(), *self.job_time.end());
            let takes = least + self.rng.duration_up_to(most.saturating_sub(least));
            self.act_at(self.now + takes, job);
        }
    }

    /// Notifies the owner of an endpoint of its readiness.
    pub(super) fn notify(&mut self, at: EndpointId, ready: ReadySet) {
        let now = self.now;
        self.end_mut(at).note_ready(ready, now);
        let owner = self.end(at).owner;
        match owner {
            Owner::Client(client) => self.runnable.push_back(client),
            Owner::Loop if self.rng.random_bool(self.faults.late_events) => {
                let when = self.now + self.rng.duration_up_to(EVENT_DELAY_MAX);
                self.schedule(when, NetEvent::Raise(key(at), ready.bits()));
            }
            Owner::Loop => self.raise(at, ready),
        }
    }

    /// Notifies the owner later, as must follow a needless `WouldBlock`.
    pub(super) fn notify_later(&mut self, at: EndpointId, ready: ReadySet) {
        let when = self.now + self.rng.duration_up_to(EVENT_DELAY_MAX);
        self.schedule(when, NetEvent::Raise(key(at), ready.bits()));
    }

    pub(super) fn notify_listener_later(&mut self, listener: usize) {
        let when = self.now + self.rng.duration_up_to(EVENT_DELAY_MAX);
        self.schedule(when, NetEvent::RaiseListener(listener));
    }

    /// Schedules a transmission after a write or a shutdown, once the pipe's hold time is over.
    pub(super) fn schedule_transmit(&mut self, at: EndpointId) {
        let connected = self.end(at).is_connected() || self.end(at).state == TcpState::Closed;
        let pipe = &mut self.end_mut(at).outgoing;
        if connected && pipe.needs_transmit() {
            let when = self.now + self.end(at).outgoing.link.hold;
            self.schedule(when, NetEvent::Transmit(key(at)));
        }
    }

    /// Closes an endpoint as close(2) does: with a reset if input is unread.
    pub(super) fn close(&mut self, at: EndpointId) {
        let unread = self.incoming(at).arrived() > 0;
        let was = std::mem::replace(&mut self.end_mut(at).state, TcpState::Closed);
        self.incoming(at).discard_arrived();
        match was {
            TcpState::Open if unread => self.send_reset(at),
            TcpState::Open => {
                self.end_mut(at).outgoing.finish();
                self.schedule_transmit(at);
            }
            _ => {}
        }
    }

    /// Closes an endpoint with a reset.
    pub(super) fn abort(&mut self, at: EndpointId) {
        let was = std::mem::replace(&mut self.end_mut(at).state, TcpState::Closed);
        self.incoming(at).discard_arrived();
        if was == TcpState::Open {
            self.send_reset(at);
        }
    }

    /// Resets a connection at both endpoints.
    pub(super) fn reset_both(&mut self, at: EndpointId) {
        if self.end(at).state != TcpState::Open {
            return;
        }
        self.send_reset(at);
        self.break_end(at, io::ErrorKind::ConnectionReset);
    }

    /// Leaves a listener and its queue to another process. The simulation has none, so that the
    /// connections stay in the queue.
    pub(super) fn release_listener(&mut self, listener: usize) {
        self.listeners[listener].is_released = true;
        self.call_counts.released += self.listeners[listener].queue.len() as u64;
    }

    /// Closes a listener and resets its queued connections, unless another process has it open.
    pub(super) fn close_listener(&mut self, listener: usize) {
        if self.listeners[listener].is_released {
            return;
        }
        self.listeners[listener].open = false;
        for at in std::mem::take(&mut self.listeners[listener].queue) {
            self.call_counts.abandoned += 1;
            self.abort(at);
        }
    }

    pub(super) fn observe(&mut self, at: EndpointId, call: Syscall<'_>) {
        let detail = call.detail();
        self.trace
            .note(self.now, call.as_str(), at.connection, detail);
        let peer = self.end(at.other()).address;
        if let Some(observer) = &mut self.observer {
            observer.observe(self.now, peer, call);
        }
    }

    pub(super) fn end_mut(&mut self, at: EndpointId) -> &mut Endpoint {
        self.connections[at.connection].end_mut(at.side)
    }

    pub(super) fn incoming(&mut self, at: EndpointId) -> &mut super::pipe::Pipe {
        &mut self.end_mut(at.other()).outgoing
    }

    pub(super) fn end(&self, at: EndpointId) -> &Endpoint {
        self.connections[at.connection].end(at.side)
    }

    pub(super) fn present(&self, at: EndpointId) -> ReadySet {
        self.end(at).present(&self.end(at.other()).outgoing)
    }

    /// Draws one of the loop's registered endpoints.
    pub(super) fn any_registered(&mut self) -> Option<EndpointId> {
        if self.registered.is_empty() {
            return None;
        }
        let place = self.rng.below(self.registered.len());
        Some(self.registered[place])
    }

    /// Returns the most neglected peer of the loop, and since when.
    pub(super) fn most_starved(&self) -> Option<(SocketAddr, Time)> {
        let starved = self.registered.iter().filter_map(|&at| {
            let since = self.end(at).starved_since()?;
            Some((self.end(at.other()).address, since))
        });
        starved.min_by_key(|&(_, since)| since)
    }

    /// Returns since when input from `peer` has been unread.
    pub(super) fn unread_since(&self, peer: SocketAddr) -> Option<Time> {
        let mut ends = self.registered.iter();
        let at = *ends.find(|at| self.end(at.other()).address == peer)?;
        self.end(at).starvation.read
    }

    fn execute(&mut self, what: NetEvent) {
        match what {
            NetEvent::Transmit(from) => self.transmit(at(from)),
            NetEvent::Arrive(from, bytes) => self.arrive(at(from), bytes),
            NetEvent::FinishArrives(from) => self.finish_arrives(at(from)),
            NetEvent::ResetArrives(to) => self.reset_arrives(at(to)),
            NetEvent::SynArrives {
                connection,
                attempt,
            } => self.syn_arrives(connection, attempt),
            NetEvent::SynAckArrives { connection } => self.syn_ack_arrives(connection),
            NetEvent::RstArrives { connection } => self.rst_arrives(connection),
            NetEvent::Raise(to, ready) => self.raise(at(to), ReadySet::from_bits(ready)),
            NetEvent::RaiseListener(listener) => self.raise_listener(listener),
            NetEvent::RunScript { client, timer } => {
                if self.clients[client].timer == timer {
                    self.runnable.push_back(client);
                }
            }
            NetEvent::UserTimeout(end) => self.break_end(at(end), io::ErrorKind::TimedOut),
            NetEvent::Stop => self.stop = Stop::Waking,
            NetEvent::Act(number) => {
                self.trace.note(self.now, "another thread acts", number, 0);
                self.workers.act(number);
                self.start_jobs();
            }
        }
    }

    fn transmit(&mut self, from: EndpointId) {
        self.end_mut(from).outgoing.transmit_begins();
        loop {
            let (now, end) = (
                self.now,
                self.connections[from.connection].end_mut(from.side),
            );
            match end.outgoing.depart(now, &mut self.rng) {
                Some(Departure::Segment(bytes, when)) => {
                    self.schedule(when, NetEvent::Arrive(key(from), bytes));
                }
                Some(Departure::Finish(when)) => {
                    self.schedule(when, NetEvent::FinishArrives(key(from)));
                }
                None => break,
            }
        }
        if let (Owner::Client(client), 0) = (self.end(from).owner, self.end(from).outgoing.unsent())
        {
            self.runnable.push_back(client);
        }
    }

    fn arrive(&mut self, from: EndpointId, bytes: usize) {
        let to = from.other();
        match self.end(to).state {
            TcpState::Unreachable { .. } => return self.start_retransmit_timer(to),
            TcpState::Closed => return self.answer_with_reset(from, bytes),
            TcpState::Broken { .. } => return,
            TcpState::Connecting | TcpState::Open => {}
        }
        self.trace
            .note(self.now, "bytes arrive", to.connection, bytes as u64);
        self.end_mut(from).outgoing.arrive(bytes);
        self.notify(to, ReadySet::READ);
        self.acknowledged(from);
    }

    fn acknowledged(&mut self, from: EndpointId) {
        if self.end_mut(from).outgoing.unblock_sender() && self.end(from).is_connected() {
            self.notify(from, ReadySet::WRITE);
        }
    }

    /// Answers data to a closed endpoint with a reset.
    fn answer_with_reset(&mut self, from: EndpointId, bytes: usize) {
        let pipe = &mut self.end_mut(from).outgoing;
        pipe.arrive(bytes);
        pipe.discard_arrived();
        self.send_reset(from.other());
    }

    /// Starts the sender's retransmissions, which time out after a quarter of an hour (tcp_retries2
    /// in tcp(7)).
    fn start_retransmit_timer(&mut self, vanished: EndpointId) {
        let state = &mut self.end_mut(vanished).state;
        if let TcpState::Unreachable {
            retransmitting: false,
        } = *state
        {
            *state = TcpState::Unreachable {
                retransmitting: true,
            };
            let when = self.now + TCP_USER_TIMEOUT;
            self.schedule(when, NetEvent::UserTimeout(key(vanished.other())));
        }
    }

    fn finish_arrives(&mut self, from: EndpointId) {
        let to = from.other();
        if !matches!(self.end(to).state, TcpState::Open | TcpState::Connecting) {
            return;
        }
        self.trace.note(self.now, "end arrives", to.connection, 0);
        self.end_mut(from).outgoing.finish_arrives();
        self.notify(to, ReadySet::EOF);
    }

    /// Sends a reset and discards the unsent bytes.
    fn send_reset(&mut self, from: EndpointId) {
        self.end_mut(from).outgoing.drop_unsent();
        let when = self.arrival(from);
        self.schedule(when, NetEvent::ResetArrives(key(from.other())));
    }

    fn reset_arrives(&mut self, to: EndpointId) {
        if self.end(to).state != TcpState::Open {
            return;
        }
        self.trace.note(self.now, "reset arrives", to.connection, 0);
        if self.rng.random_bool(self.faults.resets_discard) {
            self.incoming(to).discard_arrived();
        }
        self.break_end(to, io::ErrorKind::ConnectionReset);
    }

    fn break_end(&mut self, at: EndpointId, error: io::ErrorKind) {
        if !matches!(self.end(at).state, TcpState::Open | TcpState::Connecting) {
            return;
        }
        let reported = false;
        self.end_mut(at).state = TcpState::Broken { error, reported };
        self.end_mut(at).outgoing.drop_unsent();
        self.notify(at, ReadySet::ERROR);
    }

    fn raise(&mut self, at: EndpointId, ready: ReadySet) {
        let trigger = self.trigger;
        if let Some(registration) = &mut self.end_mut(at).registration
            && registration.raise(ready, trigger)
        {
            self.poller.queue(Source::Stream(at));
        }
    }

    fn raise_listener(&mut self, listener: usize) {
        let trigger = self.trigger;
        let state = &mut self.listeners[listener];
        if state.is_registered() && state.registration.raise(ReadySet::READ, trigger) {
            self.poller.queue(Source::Listener(listener));
        }
    }

    /// Returns the arrival of a message that this endpoint sends now.
    fn arrival(&mut self, from: EndpointId) -> Time {
        let end = self.connections[from.connection].end_mut(from.side);
        end.outgoing.arrival(self.now, &mut self.rng)
    }

    fn schedule(&mut self, when: Time, what: NetEvent) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.event_queue.push(Reverse(Scheduled {
            when,
            sequence,
            what,
        }));
    }
}

impl ListenerState {
    /// Returns true while the loop has it open.
    pub(super) fn is_registered(&self) -> bool {
        self.open && !self.is_released
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < self.backlog.max(1)
    }

    /// Returns true if the listener accepts connections to `to`. An unspecified address stands for
    /// every address of its family.
    pub(super) fn reaches(&self, to: SocketAddr) -> bool {
        let any = match self.address.ip() {
            IpAddr::V4(ip) => ip.is_unspecified() && to.is_ipv4(),
            IpAddr::V6(ip) => ip.is_unspecified() && to.is_ipv6(),
        };
        self.address.port() == to.port() && (any || self.address.ip() == to.ip())
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now)
            .field("connections", &self.connections.len())
            .field("due", &self.event_queue.len())
            .finish_non_exhaustive()
    }
}

fn key(at: EndpointId) -> EndpointKey {
    (at.connection, at.side == Side::Passive)
}

fn at((connection, passive): EndpointKey) -> EndpointId {
    let side = if passive { Side::Passive } else { Side::Active };
    EndpointId::new(connection, side)
}

/// The maximum delay under [`Faults::late_events`].
const EVENT_DELAY_MAX: Duration = Duration::from_millis(30);

/// The time that a job takes, unless the test sets another.
const JOB_TIME: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_millis(10);

/// 15 retransmissions, as on Linux.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(924);
