//! The loop: one thread, one turn after the other, every connection in a slab.
//!
//! It knows nothing of what the bytes mean; that is the [`Service`]'s business. Read [`Reactor::turn`]
//! first: the whole server is the order of its calls.

mod address;
mod buffer;
mod connection;
mod connections;
mod counters;
mod deadlines;
mod drive;
mod limits;
mod listener;
mod muffle;
mod pressure;
mod tokens;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use log::{debug, warn};

use crate::net::{AcceptFailure, BufferSizes, ListenOptions, Net, Os};
use crate::service::{Connect, EndReason, Service, SessionId, Time};
use connection::{Connection, Flags, Origin, Phase};
use connections::Connections;
use drive::{Driven, Driver, refusal};
use listener::{Accepting, Admission, Listener};
use muffle::Muffle;
use tokens::Source;

pub use counters::{Counters, Usage};
pub use limits::{InvalidLimits, Limits, WhenFull};

/// A single-threaded server, and client, for one [`Service`].
///
/// ```no_run
/// # use oneloop::{Context, Event, Limits, Next, Peer, Reactor, Service, ServiceContext};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
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
    /// How many more deadlines may be acted on in this turn.
    deadlines_left: usize,
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
    aborted: usize,
}

/// How a reactor's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that had not finished when the time to drain was over.
    pub aborted: usize,
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
    /// If the limits cannot hold ([`InvalidLimits`], with the kind `InvalidInput`), or the
    /// operating system gives no poller.
    pub fn new(service: S, limits: Limits) -> io::Result<Self> {
        Ok(Self::with_net(service, limits, Os::new()?)?)
    }
}

impl<S: Service, N: Net> Reactor<S, N> {
    /// A reactor on a network of your choice.
    ///
    /// # Errors
    /// If the limits cannot hold.
    pub fn with_net(service: S, limits: Limits, net: N) -> Result<Self, InvalidLimits> {
        limits.validate()?;
        if limits.large_output_is_slow() {
            let (mark, buffer) = (limits.output_bytes_mark, limits.send_buffer_bytes);
            warn!(
                "output_bytes_mark={mark} send_buffer_bytes={buffer}: large messages leave slowly; \
                 see Limits::for_messages_up_to"
            );
        }
        let slots = limits.connections_max.saturating_add(limits.refusals_max);
        Ok(Self {
            driver: Driver::new(service, net, limits),
            events: N::Events::default(),
            served: 0,
            deadlines_left: 0,
            connections: Connections::new(slots),
            listeners: Vec::new(),
            admission: Admission::default(),
            last_serial: 0,
            alarm: Time::NEVER,
            drain: None,
            sweep: None,
            accept_log: Muffle::default(),
        })
    }

    /// Listens on `address`, and says which it really is, for port 0 means any free one.
    ///
    /// # Errors
    /// What the operating system says: the address is in use, most likely, or not ours.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        if self.listeners.len() == tokens::LISTENERS_MAX {
            return Err(io::Error::other("too many listeners"));
        }
        let options = ListenOptions {
            backlog: self.driver.limits.backlog,
            buffers: self.buffer_sizes(),
        };
        let token = tokens::listener(self.listeners.len());
        let socket = self.driver.net.listen(address, &options, token)?;
        let address = self.driver.net.local_address(&socket)?;
        self.listeners.push(Listener::new(socket, address));
        Ok(address)
    }

    /// Opens a connection to `to`, as [`Context::connect`](crate::service::Context::connect) does
    /// from within, but at once: a loop that waits for events could not be told.
    pub fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>, tag: u32) {
        self.driver.update_now();
        self.begin_connect(Connect { to, from, tag });
    }

    /// Begins to stop. Connections that are in the listeners' queues by now are accepted, and then
    /// no more; every session gets [`Event::Drain`](crate::service::Event::Drain) once the input
    /// that has arrived by now was read; those that have not finished after `Limits::drain_timeout` are cut
    /// off. Further calls do nothing.
    pub fn drain(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let grace = self.driver.limits.drain_timeout;
        // The clock is read, for the last turn may have been long ago.
        let until = self.driver.update_now() + grace;
        self.drain = Some(Drain { until, aborted: 0 });
        for listener in &mut self.listeners {
            listener.call_last(self.driver.limits.backlog as usize);
        }
        let open = self.admission.inside + self.admission.outbound;
        self.driver.call("draining", |service, cx| {
            service.draining(open, grace, cx);
        });
        self.driver.counters.looks += self.connections.len() as u64;
        self.connections.tell_all(Flags::DRAIN | Flags::READABLE);
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
        self.deadlines_left = self.driver.limits.turn_deadlines_max;
        self.guarded(Self::serve);
        self.driver.counters.events += std::mem::take(&mut self.served) as u64;
        self.reap_closed();
        if self.has_to_accept() {
            for listener in &mut self.listeners {
                listener.budget = self.driver.limits.turn_accepts_max;
            }
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
        self.driver.update_now();
        self.driver.counters.turns += 1;
        if is_interrupted(&polled) {
            return Ok(());
        }
        polled.map_err(|error| context(&error, "polling for events failed"))
    }

    /// How long the poll may wait; `None` for as long as it takes.
    fn timeout(&mut self) -> Option<Duration> {
        let at_once = self.connections.ready() > 0 || !self.driver.desk.service.requests.is_empty();
        if at_once || self.sweep.is_some() {
            return Some(Duration::ZERO);
        }
        let mut next = self.connections.next_deadline().min(self.alarm);
        if let Some(drain) = self.drain {
            next = next.min(drain.until);
        }
        if self.may_accept() {
            let retries = self.listeners.iter().map(Listener::due);
            next = retries.fold(next, Time::min);
        }
        // The clock is read: the turn may have been long, and whoever embeds the loop may have done
        // other work since.
        (next != Time::NEVER).then(|| next - self.driver.net.now())
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
            self.connections.settle(user.index, self.driver.now());
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
            hints.nth(last);
        }
        loop {
            self.served += 1;
            if self.served.is_multiple_of(CLOCK_READ_EVERY) {
                self.driver.update_now();
            }
            let Some(hint) = hints.next() else {
                break;
            };
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
                            let now = self.driver.now();
                            self.connections.put_back(id.index, driven, now);
                        }
                    }
                    None => self.driver.counters.stale_events += 1,
                },
                Source::Listener(number) => {
                    if let Some(listener) = self.listeners.get_mut(number) {
                        listener.announce();
                    }
                }
                Source::Poller => self.driver.net.woken(),
            }
        }
        self.served -= 1; // there was none
    }

    /// Drives the connections that stood in line when this turn began.
    fn serve_line(&mut self) {
        while let Some(index) = self.connections.first_in_line() {
            self.drive(index);
        }
    }

    /// Acts on the deadlines that have come. Those that only moved away are filed again.
    fn expire_deadlines(&mut self) {
        let now = self.driver.now();
        if self.drain.is_some_and(|drain| drain.until <= now) {
            self.cut_off();
        }
        while self.deadlines_left > 0 {
            let Some(index) = self.connections.fire(now) else {
                return;
            };
            let connection = &mut self.connections[index];
            if connection.due > now {
                self.connections.settle(index, now);
                continue;
            }
            self.deadlines_left -= 1;
            // What came in time counts, though its event may be in a batch still to come.
            connection.flags.add(Flags::READABLE | Flags::WRITABLE);
            self.driver.counters.looks += 1;
            self.drive(index);
            self.expire(index);
        }
    }

    /// Ends the wait of a connection, unless it has just been given a longer one.
    fn expire(&mut self, index: u32) {
        let connection = &mut self.connections[index];
        if connection.due <= self.driver.now() {
            self.driver.expire(connection);
            self.drive(index);
        }
    }

    /// Drives a connection that has no event.
    fn drive(&mut self, index: u32) {
        let id = self.connections.id(index);
        let driven = self.driver.drive_on(&mut self.connections[index], id);
        let now = self.driver.now();
        self.connections.put_back(index, driven, now);
    }

    /// Frees the slots of the connections that ended in this turn.
    #[inline]
    fn reap_closed(&mut self) {
        while let Some((index, connection)) = self.connections.next_dead() {
            self.reap(index, connection);
        }
    }

    #[inline(never)]
    fn reap(&mut self, index: u32, connection: Connection<N::Stream, S::Session>) {
        let why = connection.why.unwrap_or(EndReason::RegisterFailed);
        let (peer, origin) = (connection.peer(index), connection.origin);
        self.driver.counters.ended[why as usize] += 1;
        if why.is_abnormal() {
            // The peer must not take what it has got for the whole.
            self.driver.net.abort(connection.stream);
        } else {
            self.driver.net.close(connection.stream);
        }
        self.leave(peer.address, origin);
        if let Some(session) = connection.session {
            self.driver.call("closed", |service, cx| {
                service.closed(session, peer, why, cx);
            });
        }
    }

    /// True if a listener may have a connection for us.
    fn has_to_accept(&self) -> bool {
        let idle = |listener: &Listener<_>| listener.accepting == Accepting::Idle;
        !self.listeners.iter().all(idle)
    }

    /// Lets in who waits, within the budget, as long as there is room.
    fn accept(&mut self) -> io::Result<()> {
        let now = self.driver.now();
        for number in 0..self.listeners.len() {
            self.listeners[number].retry_if_due(now);
            while self.is_due(number) {
                self.listeners[number].budget -= 1;
                self.accept_one(number)?;
                // Now, for the next one may need its descriptor.
                self.reap_closed();
            }
            self.listeners[number].close_if_done();
        }
        Ok(())
    }

    /// Carries out what sessions and others have asked for.
    fn obey_commands(&mut self) {
        let now = self.driver.now();
        if self.alarm <= now {
            self.alarm = Time::NEVER;
            let called = self.driver.call("on_timer", |service, cx| service.on_timer(cx));
            if called.is_none() {
                self.alarm = now + ALARM_RETRY;
            }
        }
        if !self.driver.desk.service.requests.is_empty() {
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
        let requests = std::mem::take(&mut self.driver.desk.service.requests);
        if let Some(alarm) = requests.alarm {
            self.alarm = alarm;
        }
        for id in requests.wake {
            self.connections.tell(id, Flags::WOKEN);
        }
        for connect in requests.connect {
            self.begin_connect(connect);
        }
        if requests.drain {
            self.drain();
        }
    }

    /// Whether the drain is over, everybody having left.
    fn progress(&self) -> Turn {
        match self.drain {
            Some(Drain { aborted, .. }) if self.connections.is_empty() && !self.listens() => {
                Turn::Stopped(Stopped { aborted })
            }
            _ => Turn::Running,
        }
    }

    fn listens(&self) -> bool {
        self.listeners
            .iter()
            .any(|listener| listener.socket.is_some())
    }

    /// The time to drain is over: ends what is left, whether its output has left or not.
    fn cut_off(&mut self) {
        self.listeners.clear();
        self.connections.clear_ready();
        let mut cut = 0;
        for index in 0..self.connections.end() {
            let Some(connection) = self.connections.get_mut(index) else {
                continue;
            };
            if connection.phase == Phase::Connecting {
                let error = io::Error::new(io::ErrorKind::TimedOut, STOPPING);
                self.driver.connect_failed(connection, &error);
            } else if connection.is_unfinished() {
                connection.end(EndReason::DrainTimeout);
                cut += 1;
            }
            connection.phase = Phase::Dead;
            self.connections.settle(index, self.driver.now());
        }
        if let Some(drain) = &mut self.drain {
            drain.aborted += cut;
        }
    }

    /// Whether this listener is to be asked for a connection now.
    fn is_due(&self, number: usize) -> bool {
        let listener = &self.listeners[number];
        let ready = matches!(listener.accepting, Accepting::Ready { .. });
        ready && listener.budget > 0 && listener.last_calls != Some(0) && self.may_accept()
    }

    /// False while the server is full and those who come are to wait.
    fn may_accept(&self) -> bool {
        let limits = &self.driver.limits;
        limits.when_full == WhenFull::Refuse || self.admission.inside < limits.connections_max
    }

    fn accept_one(&mut self, number: usize) -> io::Result<()> {
        let listener = &mut self.listeners[number];
        let Some(socket) = &listener.socket else {
            listener.accepting = Accepting::Idle;
            return Ok(());
        };
        match self.driver.net.accept(socket) {
            Ok((stream, address)) => {
                listener.accepting = Accepting::Ready { failures: 0 };
                if let Some(left) = &mut listener.last_calls {
                    *left -= 1;
                }
                self.admit(stream, address);
            }
            Err(error) => match AcceptFailure::of(&error) {
                AcceptFailure::Empty => listener.accepting = Accepting::Idle,
                AcceptFailure::Passing => self.accept_failed(number, &error),
                AcceptFailure::Exhausted => self.accept_exhausted(number, &error),
                AcceptFailure::Broken => {
                    let address = listener.address;
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
        let (phase, origin) = match verdict {
            Ok(()) => (Phase::Live, Origin::Accepted),
            Err(_) => (Phase::Flushing, Origin::Refused),
        };
        match verdict {
            Ok(()) => self.admission.enter(address, per_address.is_some()),
            Err(_) => self.admission.refused += 1,
        }
        let Some(index) = self.insert(stream, address, (phase, origin)) else {
            return self.leave(address, origin);
        };
        let id = self.connections.id(index);
        let connection = &mut self.connections[index];
        match verdict {
            Ok(()) => {
                self.driver.open(connection, id);
                if self.drain.is_some() {
                    self.driver.counters.looks += 1;
                    connection.flags.add(Flags::DRAIN | Flags::READABLE);
                }
            }
            Err(why) => self.driver.turn_away(connection, why),
        }
        self.drive(index);
        if let Err(why) = verdict
            && self.admission.refused > self.driver.limits.refusals_max
        {
            // Too many linger already: this one has had its word, as well as could be.
            self.connections[index].end(why);
            self.connections.settle(index, self.driver.now());
        }
        self.watch_load();
    }

    /// Makes a slot for a stream and registers it. If that fails, the socket is closed, and
    /// nobody else notices.
    fn insert(
        &mut self,
        stream: N::Stream,
        address: SocketAddr,
        kind: (Phase, Origin),
    ) -> Option<u32> {
        self.last_serial = tokens::next_serial(self.last_serial);
        let connection = Connection::new(stream, self.last_serial, address, kind);
        let index = self.connections.insert(connection);
        let token = tokens::connection(self.connections.id(index));
        let stream = &mut self.connections[index].stream;
        match self.driver.net.register(stream, token) {
            Ok(()) => Some(index),
            Err(error) => {
                let connection = self.connections.remove(index);
                self.driver.net.close(connection.stream);
                self.driver.counters.ended[EndReason::RegisterFailed as usize] += 1;
                self.complain("closed a connection that could not be registered", &error);
                None
            }
        }
    }

    /// Accounts for a connection that is gone.
    fn leave(&mut self, address: SocketAddr, origin: Origin) {
        match origin {
            Origin::Refused => self.admission.refused -= 1,
            Origin::Outbound => self.admission.outbound -= 1,
            Origin::Accepted => {
                let counted = self.driver.limits.connections_per_address_max.is_some();
                self.admission.leave(address, counted);
            }
        }
        // A descriptor is free again: whoever waits need not wait for the timer.
        for listener in &mut self.listeners {
            listener.retry();
        }
        self.watch_load();
    }

    /// One connection could not be accepted. If that is so for as many in a row as one turn may
    /// accept, it is not about those connections: then the listener rests, or the loop would spin.
    fn accept_failed(&mut self, number: usize, error: &io::Error) {
        self.driver.counters.accept_failures += 1;
        debug!("a connection could not be accepted: {error}");
        let Accepting::Ready { failures } = &mut self.listeners[number].accepting else {
            return;
        };
        *failures += 1;
        if *failures >= self.driver.limits.turn_accepts_max {
            self.rest(number, error);
        }
    }

    /// Descriptors or kernel memory have run out.
    fn accept_exhausted(&mut self, number: usize, error: &io::Error) {
        self.driver.counters.accept_exhausted += 1;
        let listener = &mut self.listeners[number];
        if self.driver.limits.when_full == WhenFull::Refuse
            && let Some(socket) = &listener.socket
        {
            let farewell = refusal(&self.driver.service, EndReason::ServerFull);
            match self.driver.net.shed(socket, farewell) {
                Ok(()) => {
                    self.driver.counters.accepted += 1;
                    self.driver.counters.ended[EndReason::ServerFull as usize] += 1;
                    return self.complain("cannot accept connections", error);
                }
                Err(error) if AcceptFailure::of(&error) == AcceptFailure::Empty => {
                    listener.accepting = Accepting::Idle;
                    return;
                }
                Err(_) => {}
            }
        }
        self.rest(number, error);
    }

    /// Asks this listener for nothing until the retry timer, or somebody's leaving.
    fn rest(&mut self, number: usize, error: &io::Error) {
        let until = self.driver.now() + self.driver.limits.accept_retry;
        self.listeners[number].accepting = Accepting::BackingOff { until };
        self.complain("cannot accept connections", error);
    }

    /// Warns of what peers can cause by the thousand.
    fn complain(&mut self, what: &str, error: &io::Error) {
        if let Some(held_back) = self.accept_log.pass(self.driver.now()) {
            warn!("{what}: {error} ({held_back} lines like this held back)");
        }
    }

    fn begin_connect(&mut self, connect: Connect) {
        self.driver.counters.connecting += 1;
        if let Err(error) = self.try_connect(connect) {
            self.driver.call("connect_failed", |service, cx| {
                service.connect_failed(connect.tag, &error, cx);
            });
        }
    }

    /// Makes a slot for a connection that is to be established. Its first event says how it went.
    fn try_connect(&mut self, connect: Connect) -> io::Result<()> {
        let Connect { to, from, tag } = connect;
        let connected = if self.drain.is_some() {
            Err(io::Error::other(STOPPING))
        } else if self.admission.outbound >= self.driver.limits.outbound_max {
            Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                TOO_MANY_OUTBOUND,
            ))
        } else {
            let buffers = self.buffer_sizes();
            self.driver.net.connect(to, from, &buffers)
        };
        let ended = &mut self.driver.counters.ended[EndReason::ConnectFailed as usize];
        let stream = connected.inspect_err(|_| *ended += 1)?;
        self.admission.outbound += 1;
        let kind = (Phase::Connecting, Origin::Outbound);
        let Some(index) = self.insert(stream, to, kind) else {
            self.leave(to, Origin::Outbound);
            return Err(io::Error::other("the socket could not be registered"));
        };
        let connection = &mut self.connections[index];
        let until = self.driver.now() + self.driver.limits.connect_timeout;
        connection.tag = tag;
        connection.set_deadline(until, &self.driver.pressure);
        connection.flags.remove(Flags::WRITABLE);
        self.connections.settle(index, self.driver.now());
        Ok(())
    }

    fn buffer_sizes(&self) -> BufferSizes {
        BufferSizes {
            send_bytes: self.driver.limits.send_buffer_bytes,
            receive_bytes: self.driver.limits.receive_buffer_bytes,
        }
    }

    /// Adjusts how long waits may be to how full the server is. When they become shorter, those
    /// under way are shortened too, by a sweep over the slots.
    fn watch_load(&mut self) {
        let served = self.admission.inside;
        if self.driver.pressure.watch(served, &self.driver.limits) {
            self.sweep = Some(0);
        }
    }

    fn continue_sweep(&mut self) {
        let Some(from) = self.sweep else { return };
        let end = from.saturating_add(SWEEP_PER_TURN);
        for index in from..end {
            if let Some(connection) = self.connections.get_mut(index) {
                connection.shorten_deadline(&self.driver.pressure);
                self.connections.settle(index, self.driver.now());
            }
        }
        self.sweep = (end < self.connections.end()).then_some(end);
    }
}

impl<S: Service, N: Net> Drop for Reactor<S, N> {
    /// Ends every connection, so that the service gets back every session.
    fn drop(&mut self) {
        self.connections.clear_ready();
        for index in 0..self.connections.end() {
            if let Some(connection) = self.connections.get_mut(index) {
                if connection.is_unfinished() {
                    connection.end(EndReason::Dropped);
                }
                connection.phase = Phase::Dead;
                self.connections.settle(index, self.driver.now());
            }
        }
        self.reap_closed();
    }
}

fn is_interrupted<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::Interrupted)
}

fn context(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Events after which the clock is read again within a turn, so that waits that begin late in a
/// long turn do not end early: at most some 64 steps are taken for simultaneous.
const CLOCK_READ_EVERY: usize = 64;
/// When a service's alarm is called again that has panicked.
const ALARM_RETRY: Duration = Duration::from_secs(1);
const STOPPING: &str = "the loop is stopping";
const TOO_MANY_OUTBOUND: &str = "as many outbound connections as outbound_max allows are open";
/// Slots that the sweep looks at in one turn: some 50 µs of work.
const SWEEP_PER_TURN: u32 = 1024;
