//! The loop: one thread, one turn after the other, every connection in a slab.
//!
//! It knows nothing of what the bytes mean; that is the [`Service`]'s business. Read [`Reactor::turn`]
//! first: the whole server is the order of its calls.

mod address;
mod connection;
mod connections;
mod counters;
mod deadlines;
mod drive;
mod limits;
mod listener;
mod muffle;
mod tokens;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use log::{debug, warn};

use crate::bugs::{Bug, is_planted};
use crate::net::{AcceptFailure, ListenOptions, Net, Os};
use crate::service::{Connect, EndReason, Service, SessionId, Time};
use connection::{Connection, Flags, Phase};
use connections::Connections;
use drive::{Driven, Driver, refusal};
use listener::{Admission, Listener};
use muffle::Muffle;
use tokens::Source;

pub use counters::{Counters, Usage};
pub use limits::{Limits, WhenFull};

/// A single-threaded server, and client, for one [`Service`].
///
/// ```no_run
/// # use oneloop::{Context, Event, Limits, Next, Peer, Reactor, Service};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn open(&mut self, _: Peer, _: &mut Context<'_>) {}
/// #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
/// #         Next::Read { until: cx.after(std::time::Duration::from_secs(60)) }
/// #     }
/// # }
/// let mut reactor = Reactor::new(Echo, Limits::default())?;
/// let address = reactor.listen("127.0.0.1:0".parse().expect("an address"))?;
/// println!("listening on {address}");
/// reactor.run()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Reactor<S: Service, N: Net = Os> {
    driver: Driver<S, N>,
    events: N::Events,
    /// How many of the events have been acted on.
    served: usize,
    connections: Connections<N::Stream, S::Session>,
    listeners: Vec<Listener<N::Listener>>,
    admission: Admission,
    last_serial: u32,
    alarm: Time,
    drain: Option<Drain>,
    /// Where the sweep that shortens deadlines has got to.
    sweep: Option<u32>,
    accept_log: Muffle,
}

/// A drain under way.
#[derive(Clone, Copy, Debug)]
struct Drain {
    until: Time,
    cut: usize,
}

/// How a reactor's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that had not finished when the time to drain was over.
    pub cut: usize,
}

/// Whether there will be another turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The loop goes on.
    Running,
    /// The drain is over, and every connection gone.
    Stopped(Stopped),
}

impl<S: Service> Reactor<S, Os> {
    /// A reactor on the operating system's network.
    ///
    /// # Errors
    /// If the operating system gives no poller.
    pub fn new(service: S, limits: Limits) -> io::Result<Self> {
        Ok(Self::with_net(service, limits, Os::new()?))
    }
}

impl<S: Service, N: Net> Reactor<S, N> {
    /// A reactor on a network of your choice.
    pub fn with_net(service: S, limits: Limits, net: N) -> Self {
        let slots = limits.connections_max.saturating_add(limits.refusals_max);
        Self {
            driver: Driver::new(service, net, limits),
            events: N::Events::default(),
            served: 0,
            connections: Connections::new(slots),
            listeners: Vec::new(),
            admission: Admission::default(),
            last_serial: 0,
            alarm: Time::NEVER,
            drain: None,
            sweep: None,
            accept_log: Muffle::default(),
        }
    }

    /// Listens on `address`, and says which it really is, for port 0 means any free one.
    ///
    /// # Errors
    /// What the operating system says: the address is in use, most likely, or not ours.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        if self.listeners.len() == tokens::LISTENERS_MAX {
            return Err(io::Error::other("too many listeners"));
        }
        let limits = &self.driver.limits;
        let options = ListenOptions {
            backlog: limits.backlog,
            send_buffer_bytes: limits.send_buffer_bytes,
            receive_buffer_bytes: limits.receive_buffer_bytes,
        };
        let token = tokens::listener(self.listeners.len());
        let socket = self.driver.net.listen(address, &options, token)?;
        let address = self.driver.net.local_address(&socket)?;
        self.listeners.push(Listener::new(socket, address));
        Ok(address)
    }

    /// Opens a connection to `to`, as [`Context::connect`](crate::service::Context::connect) does
    /// from within, but at once: a loop that waits for events could not be told.
    pub fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>, ticket: u32) {
        self.driver.desk.now = self.driver.net.now();
        self.begin_connect(Connect { to, from, ticket });
    }

    /// Begins to stop: no more connections are accepted, every session gets
    /// [`Event::Drain`](crate::service::Event::Drain), and those that have not finished after
    /// `Limits::drain` are cut off. Further calls do nothing.
    pub fn drain(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let grace = self.driver.limits.drain;
        self.drain = Some(Drain {
            until: self.driver.desk.now + grace,
            cut: 0,
        });
        // Closed now, so that who connects is refused at once and does not wait in a queue that
        // nobody will look at.
        self.listeners.clear();
        let open = self.admission.inside;
        self.driver
            .call(SessionId::NOBODY, "draining", |service, _| {
                service.draining(open, grace)
            });
        self.connections.tell_all(Flags::DRAIN);
    }

    /// Serves until somebody asks it to stop, and everybody has left.
    ///
    /// # Errors
    /// Only what makes serving impossible: polling is broken, or a listener is.
    pub fn run(&mut self) -> io::Result<Stopped> {
        loop {
            if let Turn::Stopped(stopped) = self.turn()? {
                return Ok(stopped);
            }
        }
    }

    /// One turn of the loop.
    ///
    /// Slots are freed after all events of the batch, and given to new connections only after
    /// that, so no event can meet a connection that it is not for. Those who ended at the door are
    /// reaped at once: no later wake-up or sweep may find a connection that is on its way out, and
    /// send it that way twice.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn turn(&mut self) -> io::Result<Turn> {
        self.poll()?;
        self.connections.begin_turn();
        self.guarded(Self::serve);
        self.driver.counters.events += std::mem::take(&mut self.served) as u64;
        self.reap_closed();
        if self.listeners.iter().any(|listener| listener.ready) {
            self.guarded(Self::accept)?;
            self.reap_closed();
        }
        self.obey_commands();
        Ok(self.progress())
    }

    /// The service.
    pub fn service(&self) -> &S {
        &self.driver.service
    }

    /// The service, to change what all sessions share.
    pub fn service_mut(&mut self) -> &mut S {
        &mut self.driver.service
    }

    /// The network.
    pub fn net(&self) -> &N {
        &self.driver.net
    }

    /// The network, for what only it can do.
    pub fn net_mut(&mut self) -> &mut N {
        &mut self.driver.net
    }

    /// What has been counted so far.
    pub fn counters(&self) -> &Counters {
        &self.driver.counters
    }

    /// Connections that are open, those that are being turned away among them.
    pub fn open_connections(&self) -> usize {
        self.connections.len()
    }

    /// What is held at this moment. This looks at every slot: it is for tests and for diagnosis.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            connections: self.connections.len(),
            refused: self.admission.refused,
            ready: self.connections.ready(),
            addresses: self.admission.addresses(),
            ..Usage::default()
        };
        self.connections.weigh(&mut usage);
        usage
    }

    /// Waits until something can be done.
    fn poll(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        let mut polled = self.driver.net.poll(&mut self.events, timeout);
        if is_interrupted(&polled) {
            // Again, without waiting: what came while we slept is to be served before deadlines
            // are looked at. A process that was stopped for a while needs that most.
            polled = self.driver.net.poll(&mut self.events, Some(Duration::ZERO));
        }
        self.driver.desk.now = self.driver.net.now();
        self.driver.counters.turns += 1;
        if is_interrupted(&polled) {
            return Ok(());
        }
        polled.map_err(|error| context(&error, "polling for events failed"))
    }

    /// How long the poll may wait; `None` for as long as it takes.
    fn timeout(&mut self) -> Option<Duration> {
        let at_once = self.connections.ready() > 0 || !self.driver.desk.commands.is_empty();
        if at_once || self.sweep.is_some() {
            return Some(Duration::ZERO);
        }
        let mut next = self.connections.next_deadline().min(self.alarm);
        if let Some(drain) = self.drain {
            next = next.min(drain.until);
        }
        if self.may_accept() {
            let retries = self.listeners.iter().filter(|listener| listener.ready);
            next = retries
                .map(|listener| listener.retry_at)
                .fold(next, Time::min);
        }
        if next == Time::NEVER {
            return None;
        }
        let wait = next - self.driver.desk.now;
        // The time of this turn is as old as the turn. That matters for short waits only, and
        // busy servers, which could do without reading the clock twice a turn, have none.
        Some(if wait < SHORT_WAIT {
            next - self.driver.net.now()
        } else {
            wait
        })
    }

    /// Does `work`, which steps sessions, and survives their panics: the session that panicked
    /// ends, then the work goes on where it was. Each kind of work notes what it does next as done
    /// before it does it, so nothing is done twice.
    ///
    /// The seam is where a panic stops: what it may leave half-done is the session and the
    /// service's own fields. The loop's are in order at that point, but for the output of the step.
    fn guarded<T>(&mut self, work: impl Fn(&mut Self) -> T) -> T {
        loop {
            let panic = match catch_unwind(AssertUnwindSafe(|| work(self))) {
                Ok(done) => return done,
                Err(panic) => panic,
            };
            let user = std::mem::replace(&mut self.driver.desk.user, SessionId::NOBODY);
            if user == SessionId::NOBODY {
                resume_unwind(panic); // our own bug
            }
            self.driver.panicked(&mut self.connections[user.index]);
            self.connections.settle(user.index, self.driver.desk.now);
        }
    }

    /// Serves whom the events are for, then those who stood in line, then those whose time is over:
    /// what came in time counts.
    fn serve(&mut self) {
        self.serve_events();
        self.serve_line();
        self.expire_deadlines();
    }

    /// Drives the connections that the events are for, each within its share of the turn. One that
    /// stands in line already is driven when its turn comes.
    #[inline(never)]
    fn serve_events(&mut self) {
        let mut hints = N::hints(&self.events);
        if let Some(last) = self.served.checked_sub(1) {
            // A panic came in between.
            if is_planted(Bug::EventsLostInPanic) {
                return;
            }
            hints.nth(last);
        }
        for hint in hints {
            self.served += 1;
            let flags = Flags::of(hint);
            match tokens::source(hint.token) {
                Source::Connection(id) => match self.connections.find(id) {
                    Some(connection) => {
                        connection.flags.add(flags);
                        if connection.flags.has(Flags::QUEUED) {
                            continue;
                        }
                        let driven = self.driver.drive(connection, id);
                        if driven != Driven::Waiting || !connection.is_filed_in_time() {
                            let now = self.driver.desk.now;
                            self.connections.put_back(id.index, driven, now);
                        }
                    }
                    None => self.driver.counters.stale_events += 1,
                },
                Source::Listener(number) => {
                    if let Some(listener) = self.listeners.get_mut(number) {
                        listener.ready = true;
                    }
                }
                Source::Poller => self.driver.net.woken(),
            }
        }
    }

    /// Drives the connections that stood in line when this turn began.
    fn serve_line(&mut self) {
        while let Some(index) = self.connections.first_in_line() {
            self.drive(index);
        }
    }

    /// Acts on the deadlines that have come. Those that only moved away are filed again.
    fn expire_deadlines(&mut self) {
        let mut budget = self.driver.limits.turn_deadlines_max;
        let now = self.driver.desk.now;
        let over = self.drain.is_some_and(|drain| drain.until <= now);
        if over && !is_planted(Bug::DrainWithoutEnd) {
            self.cut_off();
        }
        while budget > 0 {
            let Some(index) = self.connections.fire(now) else {
                return;
            };
            let connection = &mut self.connections[index];
            if connection.due > now {
                if !is_planted(Bug::DeadlineNotRefiled) {
                    self.connections.settle(index, now);
                }
                continue;
            }
            budget -= 1;
            if now - connection.due > LATE {
                // What came in time counts, though its event may be in a batch still to come.
                connection.flags.add(Flags::READABLE | Flags::WRITABLE);
                self.driver.counters.late_deadlines += 1;
                self.drive(index);
            }
            self.expire(index);
        }
    }

    /// Ends the wait of a connection, unless it has just been given a longer one.
    fn expire(&mut self, index: u32) {
        let connection = &mut self.connections[index];
        if connection.due <= self.driver.desk.now {
            self.driver.expire(connection);
            self.drive(index);
        }
    }

    /// Drives a connection that has no event.
    fn drive(&mut self, index: u32) {
        let id = self.connections.id(index);
        let driven = self.driver.drive_on(&mut self.connections[index], id);
        self.connections
            .put_back(index, driven, self.driver.desk.now);
    }

    /// Frees the slots of the connections that ended in this turn.
    #[inline]
    fn reap_closed(&mut self) {
        while let Some(connection) = self.connections.next_dead() {
            self.reap(connection);
        }
    }

    #[inline(never)]
    fn reap(&mut self, connection: Connection<N::Stream, S::Session>) {
        let why = connection.why.unwrap_or(EndReason::SocketFailed);
        let address = connection.address();
        self.driver.counters.ended[why as usize] += 1;
        self.driver.net.close(connection.stream);
        self.leave(address, why);
        if let Some(session) = connection.session {
            self.driver.call(SessionId::NOBODY, "closed", |service, _| {
                service.closed(session, address, why);
            });
        }
    }

    /// Lets in who waits, within the budget, as long as there is room.
    fn accept(&mut self) -> io::Result<()> {
        for number in 0..self.listeners.len() {
            let mut budget = self.driver.limits.turn_accepts_max;
            while budget > 0 && self.is_due(number) {
                budget -= 1;
                self.accept_one(number)?;
                // Now, for the next one may need its descriptor.
                self.reap_closed();
            }
        }
        Ok(())
    }

    /// Carries out what sessions and others have asked for.
    fn obey_commands(&mut self) {
        let now = self.driver.desk.now;
        if self.alarm <= now {
            self.alarm = Time::NEVER;
            self.driver
                .call(SessionId::NOBODY, "alarm", |service, cx| service.alarm(cx));
        }
        if !self.driver.desk.commands.is_empty() {
            self.obey_sessions();
        }
        if self.driver.net.stop_requested() {
            self.drain();
        }
        if self.sweep.is_some() {
            self.continue_sweep();
        }
    }

    #[cold]
    fn obey_sessions(&mut self) {
        if let Some(alarm) = self.driver.desk.commands.alarm.take() {
            self.alarm = alarm;
        }
        while let Some(id) = self.driver.desk.commands.wake.pop() {
            self.connections.tell(id, Flags::WOKEN);
        }
        for connect in std::mem::take(&mut self.driver.desk.commands.connect) {
            self.begin_connect(connect);
        }
        if std::mem::take(&mut self.driver.desk.commands.drain) {
            self.drain();
        }
    }

    /// Whether the drain is over, everybody having left.
    fn progress(&self) -> Turn {
        match self.drain {
            Some(Drain { cut, .. }) if self.connections.is_empty() => {
                Turn::Stopped(Stopped { cut })
            }
            _ => Turn::Running,
        }
    }

    /// The time to drain is over: ends what is left, owed output or not.
    fn cut_off(&mut self) {
        let cut = self.connections.cut_off(self.driver.desk.now);
        if let Some(drain) = &mut self.drain {
            drain.cut += cut;
        }
    }

    /// Whether this listener is to be asked for a connection now.
    fn is_due(&self, number: usize) -> bool {
        let listener = &self.listeners[number];
        listener.ready && listener.retry_at <= self.driver.desk.now && self.may_accept()
    }

    /// False while the server is full and those who come are to wait.
    fn may_accept(&self) -> bool {
        let limits = &self.driver.limits;
        limits.when_full == WhenFull::Refuse || self.admission.inside < limits.connections_max
    }

    fn accept_one(&mut self, number: usize) -> io::Result<()> {
        match self.driver.net.accept(&self.listeners[number].socket) {
            Ok((stream, address)) => {
                self.listeners[number].failures = 0;
                self.listeners[number].ready &= !is_planted(Bug::OneAcceptPerEvent);
                self.admit(stream, address);
            }
            Err(error) => match AcceptFailure::of(&error) {
                AcceptFailure::Empty => self.listeners[number].ready = false,
                AcceptFailure::Passing => self.accept_failed(number, &error),
                AcceptFailure::Exhausted => self.accept_exhausted(number, &error),
                AcceptFailure::Broken => {
                    let address = self.listeners[number].address;
                    return Err(context(&error, &format!("cannot accept on {address}")));
                }
            },
        }
        Ok(())
    }

    /// Lets a new connection in, or turns it away.
    fn admit(&mut self, stream: N::Stream, address: SocketAddr) {
        self.driver.counters.accepted += 1;
        let limits = &self.driver.limits;
        let (max, per_address) = (limits.connections_max, limits.connections_per_address_max);
        let verdict = self.admission.check(address, max, per_address);
        match verdict {
            Ok(()) => self.admission.enter(address, per_address.is_some()),
            Err(_) => self.admission.refused += 1,
        }
        let Some(index) = self.insert(stream, address, Phase::Flushing) else {
            return self.leave(address, verdict.err().unwrap_or(EndReason::SocketFailed));
        };
        let id = self.connections.id(index);
        let connection = &mut self.connections[index];
        match verdict {
            Ok(()) => self.driver.open(connection, id, None),
            Err(why) => self.driver.turn_away(connection, why),
        }
        self.drive(index);
        if verdict.is_err() && self.admission.refused > self.driver.limits.refusals_max {
            // Too many linger already: this one has had its word, as well as could be.
            self.connections[index].phase = Phase::Dead;
            self.connections.settle(index, self.driver.desk.now);
        }
        self.watch_load();
    }

    /// Makes a slot for a stream and registers it. If that fails, the socket is closed, and
    /// nobody else notices.
    fn insert(&mut self, stream: N::Stream, address: SocketAddr, phase: Phase) -> Option<u32> {
        self.last_serial = tokens::next_serial(self.last_serial);
        let connection = Connection::new(stream, self.last_serial, address, phase);
        let index = self.connections.insert(connection);
        let token = tokens::connection(self.connections.id(index));
        let stream = &mut self.connections[index].stream;
        match self.driver.net.register(stream, token) {
            Ok(()) => Some(index),
            Err(error) => {
                let connection = self.connections.remove(index);
                self.driver.net.close(connection.stream);
                self.driver.counters.ended[EndReason::SocketFailed as usize] += 1;
                self.complain("closed a connection that could not be registered", &error);
                None
            }
        }
    }

    /// Accounts for a connection that is gone.
    fn leave(&mut self, address: SocketAddr, why: EndReason) {
        match why {
            EndReason::Full | EndReason::AddressFull if is_planted(Bug::RefusalNotForgotten) => {}
            EndReason::Full | EndReason::AddressFull => self.admission.refused -= 1,
            _ => {
                let counted = self.driver.limits.connections_per_address_max.is_some();
                let counted = counted && !is_planted(Bug::AddressNotForgotten);
                self.admission.leave(address, counted);
            }
        }
        // A descriptor is free again: whoever waits need not wait for the timer.
        for listener in &mut self.listeners {
            listener.retry_at = Time::START;
        }
        self.watch_load();
    }

    /// One connection could not be accepted. If that is so for as many in a row as one turn may
    /// accept, it is not about those connections: then the listener rests, or the loop would spin.
    fn accept_failed(&mut self, number: usize, error: &io::Error) {
        self.driver.counters.accept_failures += 1;
        debug!("a connection could not be accepted: {error}");
        let listener = &mut self.listeners[number];
        listener.failures += 1;
        if listener.failures >= self.driver.limits.turn_accepts_max {
            listener.failures = 0;
            self.rest(number, error);
        }
    }

    /// Descriptors or kernel memory have run out.
    fn accept_exhausted(&mut self, number: usize, error: &io::Error) {
        self.driver.counters.accept_exhausted += 1;
        let listener = &mut self.listeners[number];
        listener.ready &= !is_planted(Bug::AcceptRetryForgotten);
        if self.driver.limits.when_full == WhenFull::Refuse {
            let farewell = refusal(&self.driver.service, EndReason::Full);
            match self.driver.net.shed(&listener.socket, farewell) {
                Ok(()) => {
                    self.driver.counters.accepted += 1;
                    self.driver.counters.accepted += u64::from(is_planted(Bug::ShedCountedTwice));
                    self.driver.counters.ended[EndReason::Full as usize] += 1;
                    return self.complain("cannot accept connections", error);
                }
                Err(error) if AcceptFailure::of(&error) == AcceptFailure::Empty => {
                    listener.ready = false;
                    return;
                }
                Err(_) => {}
            }
        }
        self.rest(number, error);
    }

    /// Asks this listener for nothing until the retry timer, or somebody's leaving.
    fn rest(&mut self, number: usize, error: &io::Error) {
        self.listeners[number].retry_at = self.driver.desk.now + self.driver.limits.accept_retry;
        self.complain("cannot accept connections", error);
    }

    /// Warns of what peers can cause by the thousand.
    fn complain(&mut self, what: &str, error: &io::Error) {
        if let Some(held_back) = self.accept_log.pass(self.driver.desk.now) {
            warn!("{what}: {error} ({held_back} lines like this held back)");
        }
    }

    fn begin_connect(&mut self, connect: Connect) {
        self.driver.counters.connecting += 1;
        if let Err(error) = self.try_connect(connect) {
            self.driver
                .call(SessionId::NOBODY, "connect_failed", |service, cx| {
                    service.connect_failed(connect.ticket, &error, cx);
                });
        }
    }

    /// Makes a slot for a connection that is to be established. Its first event says how it went.
    fn try_connect(&mut self, connect: Connect) -> io::Result<()> {
        let Connect { to, from, ticket } = connect;
        let connected = match self.drain {
            None => self.driver.net.connect(to, from),
            Some(_) => Err(io::Error::other("the loop is stopping")),
        };
        let ended = &mut self.driver.counters.ended[EndReason::ConnectFailed as usize];
        let stream = connected.inspect_err(|_| *ended += 1)?;
        let counted = self.driver.limits.connections_per_address_max.is_some();
        self.admission.enter(to, counted);
        let Some(index) = self.insert(stream, to, Phase::Connecting { ticket }) else {
            self.leave(to, EndReason::SocketFailed);
            return Err(io::Error::other("the socket could not be registered"));
        };
        let connection = &mut self.connections[index];
        connection.due = self.driver.desk.now + self.driver.limits.connect_timeout;
        connection.flags.remove(Flags::WRITABLE);
        self.connections.settle(index, self.driver.desk.now);
        Ok(())
    }

    /// Adjusts how long waits may be to how full the server is. When they become shorter, those
    /// under way are shortened too, by a sweep over the slots.
    fn watch_load(&mut self) {
        let limits = &self.driver.limits;
        let open = self.admission.inside;
        let halvings = limits.wait_halvings(open);
        if halvings > self.driver.wait_halvings {
            self.driver.wait_halvings = halvings;
            self.sweep = Some(0);
        } else {
            // Down again only with some room, so that one connection coming and going at the
            // threshold does not shorten the others' waits each time.
            let calm = limits.wait_halvings(open + limits.connections_max / 20);
            self.driver.wait_halvings = self.driver.wait_halvings.min(calm);
        }
    }

    fn continue_sweep(&mut self) {
        let Some(from) = self.sweep else { return };
        let end = from.saturating_add(SWEEP_PER_TURN);
        for index in from..end {
            if let Some(connection) = self.connections.get_mut(index) {
                // From what was asked for, not from what an earlier sweep made of it.
                let asked = connection.deadline_asked_for();
                connection.due = connection.due.min(self.driver.shortened(asked));
                self.connections.settle(index, self.driver.desk.now);
            }
        }
        self.sweep = (end < self.connections.end()).then_some(end);
    }
}

fn is_interrupted<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::Interrupted)
}

fn context(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Waits below this are measured from the very present.
const SHORT_WAIT: Duration = Duration::from_secs(1);
/// A deadline that is met later than this tells of a loop that was held up. Events that came
/// meanwhile may fill several batches.
const LATE: Duration = Duration::from_millis(10);
/// Slots that the sweep looks at in one turn: some 50 µs of work.
const SWEEP_PER_TURN: u32 = 1024;
