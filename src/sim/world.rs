//! The network itself: what is due when, and what it does.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::client::{Behaviour, Remote, Status};
use super::connection::{At, Connection, End, Owner, Presence, Side};
use super::pipe::Departure;
use super::poller::{Hints, Poller, Registration, Source, Trigger};
use super::trace::Trace;
use super::{Faults, Link, Random, Seen, Witness};
use oneloop::Time;

/// Everything there is. Handles share it; what needs it for long takes it apart.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) trigger: Trigger,
    pub(super) poller: Poller,
    pub(super) trace: Trace,
    pub(super) listeners: Vec<Listening>,
    pub(super) descriptors: Descriptors,
    pub(super) stop: Stop,
    pub(super) horizon: Option<Time>,
    pub(super) tally: super::Tally,
    /// The loop's registered ends.
    pub(super) live: Vec<At>,
    /// What the connections are like that the loop itself makes.
    pub(super) outbound_link: Link,
    /// Calls to these addresses are lost.
    pub(super) black_holes: Vec<SocketAddr>,
    connections: Vec<Connection>,
    clients: Vec<Actor>,
    /// Clients to which something has happened.
    awake: VecDeque<usize>,
    services: Vec<(SocketAddr, Spawn)>,
    pub(super) witness: Option<Box<dyn Witness>>,
    agenda: BinaryHeap<Reverse<Due>>,
    serial: u64,
}

pub(super) type Spawn = Box<dyn FnMut() -> Box<dyn Behaviour>>;

pub(super) struct Listening {
    pub(super) address: SocketAddr,
    pub(super) registration: Registration,
    pub(super) queue: VecDeque<At>,
    pub(super) backlog: usize,
    pub(super) send_buffer_bytes: usize,
    pub(super) receive_buffer_bytes: usize,
    pub(super) open: bool,
    /// Since when somebody waits, or since the last attempt to accept.
    pub(super) waiting_since: Option<Time>,
}

/// What the process has of descriptors.
#[derive(Debug)]
pub(super) struct Descriptors {
    pub(super) open: usize,
    pub(super) most: usize,
    pub(super) reserve: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    NotAsked,
    /// Asked for, and the poller is to return at once.
    Waking,
    Asked,
}

struct Actor {
    at: At,
    behaviour: Option<Box<dyn Behaviour>>,
    inbox: Vec<u8>,
    reads: bool,
    /// Outdates the timers set before.
    timer: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    when: Time,
    /// First come, first served.
    serial: u64,
    what: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Pump(Place),
    Arrive(Place, usize),
    FinishArrives(Place),
    ResetArrives(Place),
    CallArrives { connection: usize, attempt: u32 },
    CallAnswered { connection: usize },
    CallRefused { connection: usize },
    Raise(Place, u8),
    RaiseListener(usize),
    Act { client: usize, timer: u64 },
    GiveUp(Place),
    Stop,
}

/// [`At`], in a form that can be ordered.
type Place = (usize, bool);

impl World {
    pub(super) fn new(random: Random, trigger: Trigger) -> Self {
        Self {
            now: Time::START,
            random,
            faults: Faults::NONE,
            trigger,
            poller: Poller::default(),
            trace: Trace::default(),
            listeners: Vec::new(),
            descriptors: Descriptors {
                open: 0,
                most: usize::MAX,
                reserve: true,
            },
            stop: Stop::NotAsked,
            horizon: None,
            tally: super::Tally::default(),
            live: Vec::new(),
            outbound_link: Link::ideal(),
            black_holes: Vec::new(),
            connections: Vec::new(),
            clients: Vec::new(),
            awake: VecDeque::new(),
            services: Vec::new(),
            witness: None,
            agenda: BinaryHeap::new(),
            serial: 0,
        }
    }

    pub(super) fn set_witness(&mut self, witness: Box<dyn Witness>) {
        self.witness = Some(witness);
    }

    pub(super) fn serve(&mut self, address: SocketAddr, spawn: Spawn) {
        self.services.push((address, spawn));
    }

    /// A client begins to connect.
    pub(super) fn call(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        link: Link,
        behaviour: Option<Box<dyn Behaviour>>,
        when: Time,
    ) -> usize {
        let client = self.clients.len();
        let at = self.connect(Owner::Client(client), (from, to), link, when);
        self.add_actor(at, behaviour);
        client
    }

    /// Somebody begins to connect: the loop, or a client.
    pub(super) fn connect(
        &mut self,
        owner: Owner,
        (from, to): (SocketAddr, SocketAddr),
        link: Link,
        when: Time,
    ) -> At {
        let connection = self.connections.len();
        let send_buffer = link.send_buffer_bytes;
        let caller = End::new(from, owner, link.clone(), send_buffer);
        let called = End::new(to, Owner::Loop, link, send_buffer);
        self.connections.push(Connection::new(caller, called));
        let at = At::new(connection, Side::Caller);
        let end = self.connections[connection].end_mut(Side::Caller);
        let arrives = end.outgoing.arrival(when, &mut self.random);
        let attempt = 0;
        self.plan(
            arrives,
            Action::CallArrives {
                connection,
                attempt,
            },
        );
        at
    }

    /// Does all that is due by now, and lets the clients act on it.
    pub(super) fn run_due(&mut self) {
        self.run_clients();
        while let Some(Reverse(due)) = self.agenda.peek().copied() {
            if due.when > self.now {
                return;
            }
            self.agenda.pop();
            self.perform(due.what);
            self.run_clients();
        }
    }

    /// When the next thing is due.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.agenda.peek().map(|Reverse(due)| due.when)
    }

    pub(super) fn plan_stop(&mut self, when: Time) {
        self.plan(when, Action::Stop);
    }

    /// Something is possible at an end: the loop gets an event, a client is called.
    pub(super) fn notify(&mut self, at: At, hints: Hints) {
        let now = self.now;
        self.end_mut(at).note_possible(hints, now);
        let owner = self.end(at).owner;
        match owner {
            Owner::Client(client) => self.awake.push_back(client),
            Owner::Loop if self.random.chance(self.faults.late_events) => {
                let when = self.now + self.random.up_to(LATENESS);
                self.plan(when, Action::Raise(place(at), hints.bits()));
            }
            Owner::Loop => self.raise(at, hints),
        }
    }

    /// As [`notify`](Self::notify), a little later: what a needless `WouldBlock` owes.
    pub(super) fn notify_later(&mut self, at: At, hints: Hints) {
        let when = self.now + self.random.up_to(LATENESS);
        self.plan(when, Action::Raise(place(at), hints.bits()));
    }

    pub(super) fn notify_listener_later(&mut self, listener: usize) {
        let when = self.now + self.random.up_to(LATENESS);
        self.plan(when, Action::RaiseListener(listener));
    }

    /// After writing or finishing: lets the pipe run, now or once it has waited for more.
    pub(super) fn pump_soon(&mut self, at: At) {
        let connected = self.end(at).is_connected() || self.end(at).presence == Presence::Closed;
        let pipe = &mut self.end_mut(at).outgoing;
        if connected && pipe.plan_pump() {
            let when = self.now + self.end(at).outgoing.link.hold;
            self.plan(when, Action::Pump(place(at)));
        }
    }

    /// Closes an end in good order, or with a reset if something is unread: as close(2) does.
    pub(super) fn close(&mut self, at: At) {
        let unread = self.incoming(at).arrived() > 0;
        let was = std::mem::replace(&mut self.end_mut(at).presence, Presence::Closed);
        self.incoming(at).discard_arrived();
        match was {
            Presence::Open if unread => self.send_reset(at),
            Presence::Open => {
                self.end_mut(at).outgoing.finish();
                self.pump_soon(at);
            }
            _ => {}
        }
    }

    /// Closes an end with a reset, whatever is under way.
    pub(super) fn abort(&mut self, at: At) {
        let was = std::mem::replace(&mut self.end_mut(at).presence, Presence::Closed);
        self.incoming(at).discard_arrived();
        if was == Presence::Open {
            self.send_reset(at);
        }
    }

    /// The connection breaks in the middle: both ends find out.
    pub(super) fn tear(&mut self, at: At) {
        if self.end(at).presence != Presence::Open {
            return;
        }
        self.send_reset(at);
        self.break_end(at, io::ErrorKind::ConnectionReset);
    }

    /// The listener is gone, and with it whoever waits in its queue.
    pub(super) fn unlisten(&mut self, listener: usize) {
        self.listeners[listener].open = false;
        for at in std::mem::take(&mut self.listeners[listener].queue) {
            self.tally.abandoned += 1;
            self.abort(at);
        }
    }

    pub(super) fn see(&mut self, at: At, seen: Seen<'_>) {
        let detail = seen.detail();
        self.trace
            .note(self.now, seen.as_str(), at.connection, detail);
        let peer = self.end(at.other()).address;
        if let Some(witness) = &mut self.witness {
            witness.saw(self.now, peer, seen);
        }
    }

    pub(super) fn end_mut(&mut self, at: At) -> &mut End {
        self.connections[at.connection].end_mut(at.side)
    }

    pub(super) fn incoming(&mut self, at: At) -> &mut super::pipe::Pipe {
        &mut self.end_mut(at.other()).outgoing
    }

    pub(super) fn end(&self, at: At) -> &End {
        self.connections[at.connection].end(at.side)
    }

    pub(super) fn present(&self, at: At) -> Hints {
        self.end(at).present(&self.end(at.other()).outgoing)
    }

    /// One of the loop's registered ends.
    pub(super) fn any_registered(&mut self) -> Option<At> {
        if self.live.is_empty() {
            return None;
        }
        let place = self.random.below(self.live.len());
        Some(self.live[place])
    }

    /// The peer that the loop has neglected for longest, and since when.
    pub(super) fn most_neglected(&self) -> Option<(SocketAddr, Time)> {
        let neglected = self.live.iter().filter_map(|&at| {
            let since = self.end(at).neglected_since()?;
            Some((self.end(at.other()).address, since))
        });
        neglected.min_by_key(|&(_, since)| since)
    }

    /// Since when something can be read from `peer` that the loop has not tried to read.
    pub(super) fn unread_since(&self, peer: SocketAddr) -> Option<Time> {
        let mut ends = self.live.iter();
        let at = *ends.find(|at| self.end(at.other()).address == peer)?;
        self.end(at).care.read
    }

    fn perform(&mut self, what: Action) {
        match what {
            Action::Pump(from) => self.pump(at(from)),
            Action::Arrive(from, bytes) => self.arrive(at(from), bytes),
            Action::FinishArrives(from) => self.finish_arrives(at(from)),
            Action::ResetArrives(to) => self.reset_arrives(at(to)),
            Action::CallArrives {
                connection,
                attempt,
            } => self.call_arrives(connection, attempt),
            Action::CallAnswered { connection } => self.call_answered(connection),
            Action::CallRefused { connection } => self.call_refused(connection),
            Action::Raise(to, hints) => self.raise(at(to), Hints::from_bits(hints)),
            Action::RaiseListener(listener) => self.raise_listener(listener),
            Action::Act { client, timer } => {
                if self.clients[client].timer == timer {
                    self.awake.push_back(client);
                }
            }
            Action::GiveUp(end) => self.break_end(at(end), io::ErrorKind::TimedOut),
            Action::Stop => self.stop = Stop::Waking,
        }
    }

    fn pump(&mut self, from: At) {
        self.end_mut(from).outgoing.pump_begins();
        loop {
            let (now, end) = (
                self.now,
                self.connections[from.connection].end_mut(from.side),
            );
            match end.outgoing.depart(now, &mut self.random) {
                Some(Departure::Segment(bytes, when)) => {
                    self.plan(when, Action::Arrive(place(from), bytes));
                }
                Some(Departure::Finish(when)) => {
                    self.plan(when, Action::FinishArrives(place(from)));
                }
                None => break,
            }
        }
        if let (Owner::Client(client), 0) = (self.end(from).owner, self.end(from).outgoing.unsent())
        {
            self.awake.push_back(client);
        }
    }

    fn arrive(&mut self, from: At, bytes: usize) {
        let to = from.other();
        match self.end(to).presence {
            Presence::Vanished { .. } => return self.miss(to),
            Presence::Closed => return self.answer_with_reset(from, bytes),
            Presence::Broken { .. } => return,
            Presence::Connecting | Presence::Open => {}
        }
        self.trace
            .note(self.now, "bytes arrive", to.connection, bytes as u64);
        self.end_mut(from).outgoing.arrive(bytes);
        self.notify(to, Hints::READ);
        self.acknowledged(from);
    }

    fn acknowledged(&mut self, from: At) {
        if self.end_mut(from).outgoing.unblock_sender() && self.end(from).is_connected() {
            self.notify(from, Hints::WRITE);
        }
    }

    /// Whoever sends to a closed end gets a reset: nobody will ever read it.
    fn answer_with_reset(&mut self, from: At, bytes: usize) {
        let pipe = &mut self.end_mut(from).outgoing;
        pipe.arrive(bytes);
        pipe.discard_arrived();
        self.send_reset(from.other());
    }

    /// The sender repeats itself for a quarter of an hour and then gives up (tcp_retries2 in
    /// tcp(7)).
    fn miss(&mut self, vanished: At) {
        let presence = &mut self.end_mut(vanished).presence;
        if let Presence::Vanished { missed: false } = *presence {
            *presence = Presence::Vanished { missed: true };
            let when = self.now + PATIENCE;
            self.plan(when, Action::GiveUp(place(vanished.other())));
        }
    }

    fn finish_arrives(&mut self, from: At) {
        let to = from.other();
        if !matches!(self.end(to).presence, Presence::Open | Presence::Connecting) {
            return;
        }
        self.trace.note(self.now, "end arrives", to.connection, 0);
        self.end_mut(from).outgoing.finish_arrives();
        self.notify(to, Hints::FINISHED);
    }

    /// Sends a reset from an end: what has not left yet never will.
    fn send_reset(&mut self, from: At) {
        self.end_mut(from).outgoing.drop_unsent();
        let when = self.arrival(from);
        self.plan(when, Action::ResetArrives(place(from.other())));
    }

    fn reset_arrives(&mut self, to: At) {
        if self.end(to).presence != Presence::Open {
            return;
        }
        self.trace.note(self.now, "reset arrives", to.connection, 0);
        if self.random.chance(self.faults.resets_discard) {
            self.incoming(to).discard_arrived();
        }
        self.break_end(to, io::ErrorKind::ConnectionReset);
    }

    fn break_end(&mut self, at: At, why: io::ErrorKind) {
        if !matches!(self.end(at).presence, Presence::Open | Presence::Connecting) {
            return;
        }
        let reported = false;
        self.end_mut(at).presence = Presence::Broken { why, reported };
        self.end_mut(at).outgoing.drop_unsent();
        self.notify(at, Hints::BROKEN);
    }

    fn call_arrives(&mut self, connection: usize, attempt: u32) {
        let caller = At::new(connection, Side::Caller);
        if self.end(caller).presence != Presence::Connecting {
            return;
        }
        let to = self.connections[connection].to;
        if self.black_holes.contains(&to) {
            return self.call_again(connection, attempt);
        }
        if let Some(service) = self.services.iter().position(|(address, _)| *address == to) {
            return self.answer_by_service(service, connection);
        }
        match self.listeners.iter().position(|l| l.open && l.reaches(to)) {
            Some(listener) if self.listeners[listener].has_room() => {
                self.enqueue(listener, connection);
            }
            Some(_) => self.call_again(connection, attempt),
            None => self.refuse(connection),
        }
    }

    fn enqueue(&mut self, listener: usize, connection: usize) {
        let called = At::new(connection, Side::Called);
        let now = self.now;
        let listening = &mut self.listeners[listener];
        listening.queue.push_back(called);
        listening.waiting_since.get_or_insert(now);
        let send_buffer = listening.send_buffer_bytes;
        let receive_buffer = listening.receive_buffer_bytes;
        self.end_mut(called).outgoing.set_send_buffer(send_buffer);
        let incoming = self.incoming(called);
        incoming.link.receive_buffer_bytes = incoming.link.receive_buffer_bytes.min(receive_buffer);
        self.answer(connection);
        if self.random.chance(self.faults.late_events) {
            self.notify_listener_later(listener);
        } else {
            self.raise_listener(listener);
        }
    }

    fn answer_by_service(&mut self, service: usize, connection: usize) {
        let called = At::new(connection, Side::Called);
        let behaviour = (self.services[service].1)();
        self.end_mut(called).owner = Owner::Client(self.clients.len());
        self.add_actor(called, Some(behaviour));
        self.answer(connection);
        self.notify(called, Hints::WRITE);
    }

    fn answer(&mut self, connection: usize) {
        let called = At::new(connection, Side::Called);
        self.end_mut(called).presence = Presence::Open;
        let when = self.arrival(called);
        self.plan(when, Action::CallAnswered { connection });
    }

    fn call_answered(&mut self, connection: usize) {
        let caller = At::new(connection, Side::Caller);
        match self.end(caller).presence {
            Presence::Connecting => {
                self.end_mut(caller).presence = Presence::Open;
                self.notify(caller, Hints::WRITE);
                self.pump_soon(caller);
            }
            // Given up meanwhile: its kernel knows of no such connection.
            Presence::Closed => self.send_reset(caller),
            _ => {}
        }
    }

    /// The queue is full: the call is lost, and repeated after one second, two, four.
    fn call_again(&mut self, connection: usize, attempt: u32) {
        if attempt == CALL_ATTEMPTS {
            let caller = At::new(connection, Side::Caller);
            return self.break_end(caller, io::ErrorKind::TimedOut);
        }
        let when = self.now + Duration::from_secs(1 << attempt);
        let attempt = attempt + 1;
        self.plan(
            when,
            Action::CallArrives {
                connection,
                attempt,
            },
        );
    }

    fn refuse(&mut self, connection: usize) {
        let when = self.arrival(At::new(connection, Side::Called));
        self.plan(when, Action::CallRefused { connection });
    }

    fn call_refused(&mut self, connection: usize) {
        let caller = At::new(connection, Side::Caller);
        self.break_end(caller, io::ErrorKind::ConnectionRefused);
    }

    fn raise(&mut self, at: At, hints: Hints) {
        let trigger = self.trigger;
        if let Some(registration) = &mut self.end_mut(at).registration
            && registration.raise(hints, trigger)
        {
            self.poller.queue(Source::Stream(at));
        }
    }

    fn raise_listener(&mut self, listener: usize) {
        let trigger = self.trigger;
        let listening = &mut self.listeners[listener];
        if listening.open && listening.registration.raise(Hints::READ, trigger) {
            self.poller.queue(Source::Listener(listener));
        }
    }

    /// When a message that leaves this end now, in its turn, arrives at the other one.
    fn arrival(&mut self, from: At) -> Time {
        let end = self.connections[from.connection].end_mut(from.side);
        end.outgoing.arrival(self.now, &mut self.random)
    }

    fn plan(&mut self, when: Time, what: Action) {
        self.serial += 1;
        let serial = self.serial;
        self.agenda.push(Reverse(Due { when, serial, what }));
    }
}

/// The clients.
impl World {
    pub(super) fn client_sends(&mut self, client: usize, bytes: &[u8]) {
        let at = self.clients[client].at;
        let open = matches!(self.end(at).presence, Presence::Open | Presence::Connecting);
        if !open || self.end(at).outgoing.is_finishing() {
            return;
        }
        self.trace
            .note(self.now, "client sends", at.connection, bytes.len() as u64);
        self.end_mut(at).outgoing.push_all(bytes);
        self.pump_soon(at);
    }

    pub(super) fn client_reads(
        &mut self,
        client: usize,
        most: usize,
        buffer: &mut Vec<u8>,
    ) -> usize {
        let at = self.clients[client].at;
        let bytes = self.incoming(at).arrived().min(most);
        let start = buffer.len();
        buffer.resize(start + bytes, 0);
        self.incoming(at).read(&mut buffer[start..]);
        if bytes > 0 {
            self.trace
                .note(self.now, "client reads", at.connection, bytes as u64);
            self.pump_soon(at.other());
        }
        bytes
    }

    pub(super) fn client_finishes(&mut self, client: usize) {
        let at = self.clients[client].at;
        self.trace
            .note(self.now, "client finishes", at.connection, 0);
        self.end_mut(at).outgoing.finish();
        self.pump_soon(at);
    }

    pub(super) fn client_closes(&mut self, client: usize) {
        let at = self.clients[client].at;
        self.trace.note(self.now, "client closes", at.connection, 0);
        self.close(at);
    }

    pub(super) fn client_resets(&mut self, client: usize) {
        let at = self.clients[client].at;
        self.trace.note(self.now, "client resets", at.connection, 0);
        self.abort(at);
    }

    pub(super) fn client_vanishes(&mut self, client: usize) {
        let at = self.clients[client].at;
        self.trace
            .note(self.now, "client vanishes", at.connection, 0);
        self.end_mut(at).presence = match self.end(at).presence {
            Presence::Open => Presence::Vanished { missed: false },
            _ => Presence::Closed,
        };
        self.end_mut(at).outgoing.drop_unsent();
    }

    pub(super) fn set_reading(&mut self, client: usize, reads: bool) {
        self.clients[client].reads = reads;
        self.awake.push_back(client);
    }

    pub(super) fn take_inbox(&mut self, client: usize) -> Vec<u8> {
        std::mem::take(&mut self.clients[client].inbox)
    }

    pub(super) fn client_status(&self, client: usize) -> Status {
        match self.end(self.clients[client].at).presence {
            Presence::Connecting => Status::Connecting,
            Presence::Open => Status::Open,
            Presence::Broken { why, .. } => Status::Failed(why),
            Presence::Closed | Presence::Vanished { .. } => Status::Left,
        }
    }

    pub(super) fn client_at_end(&self, client: usize) -> bool {
        let incoming = &self.end(self.clients[client].at.other()).outgoing;
        incoming.has_finished() && incoming.arrived() == 0
    }

    pub(super) fn client_readable(&self, client: usize) -> usize {
        self.end(self.clients[client].at.other()).outgoing.arrived()
    }

    pub(super) fn client_unsent(&self, client: usize) -> usize {
        self.end(self.clients[client].at).outgoing.unsent()
    }

    pub(super) fn client_address(&self, client: usize) -> SocketAddr {
        self.end(self.clients[client].at).address
    }

    fn add_actor(&mut self, at: At, behaviour: Option<Box<dyn Behaviour>>) {
        self.clients.push(Actor {
            at,
            behaviour,
            inbox: Vec::new(),
            reads: true,
            timer: 0,
        });
    }

    fn run_clients(&mut self) {
        while let Some(client) = self.awake.pop_front() {
            match self.clients[client].behaviour.take() {
                Some(behaviour) => self.run_behaviour(client, behaviour),
                None => self.fill_inbox(client),
            }
        }
    }

    fn run_behaviour(&mut self, client: usize, mut behaviour: Box<dyn Behaviour>) {
        let again = behaviour.act(&mut Remote::new(self, client));
        let actor = &mut self.clients[client];
        actor.behaviour = Some(behaviour);
        actor.timer += 1;
        let timer = actor.timer;
        if let Some(when) = again {
            let when = when.max(self.now + SHORTEST_NAP);
            self.plan(when, Action::Act { client, timer });
        }
    }

    fn fill_inbox(&mut self, client: usize) {
        if !self.clients[client].reads {
            return;
        }
        let mut inbox = std::mem::take(&mut self.clients[client].inbox);
        self.client_reads(client, usize::MAX, &mut inbox);
        self.clients[client].inbox = inbox;
    }
}

impl Listening {
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < self.backlog.max(1)
    }

    /// An unspecified address is every address of its family.
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
            .field("due", &self.agenda.len())
            .finish_non_exhaustive()
    }
}

fn place(at: At) -> Place {
    (at.connection, at.side == Side::Called)
}

fn at((connection, called): Place) -> At {
    let side = if called { Side::Called } else { Side::Caller };
    At::new(connection, side)
}

/// How late an event may be under [`Faults::late_events`].
const LATENESS: Duration = Duration::from_millis(30);

/// A behaviour that asks to be called at once is not called at once: time must go on.
const SHORTEST_NAP: Duration = Duration::from_micros(1);

const CALL_ATTEMPTS: u32 = 6;

/// 15 retransmissions, as Linux counts them.
const PATIENCE: Duration = Duration::from_secs(924);
