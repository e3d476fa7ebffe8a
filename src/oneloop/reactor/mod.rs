//! The loop: one thread, one turn after the other, every connection in a slab.
//!
//! It does not know the meaning of the bytes; that is the [`Service`]'s business. Read
//! [`Reactor::turn`] first: the whole server is the order of its calls.

mod accept;
mod adjust;
mod admission;
mod buffer;
mod builder;
mod calls;
mod connect;
mod connection;
mod core;
mod drive;
mod embedding;
mod ends;
mod guard;
mod handle;
mod inspect;
mod keyed_timers;
mod lifecycle;
mod limits;
mod listen;
mod poll;
mod pool;
mod pressure;
mod readdress;
mod requests;
mod run_error;
mod shutdown;
mod slots;
mod timer_wheel;
mod timers;
mod token;
mod watch;
mod write;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use log::warn;

use self::core::Core;
use crate::log_limiter::LogLimiter;
use crate::net::{Net, Os};
use crate::service::inspect::ListenerCounts;
use crate::service::{Address, ListenerId, Service, Time};
pub use crate::service::{Counters, Usage};
use accept::Listener;
use admission::{Admission, Places};
use calls::Receiver;
use ends::ListenerInfo;
use shutdown::Drain;
use slots::Slots;
use watch::Watching;

pub use builder::{BuildError, Builder};
pub use handle::{CallError, Handle, Reply, ReplyError};
pub use limits::{InvalidLimits, Limits, WhenFull};
pub use listen::Listen;
pub use pool::{JobPanicked, Pool};
pub use run_error::RunError;
pub use watch::Watch;

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
    core: Core<S, N>,
    /// True until the first turn.
    is_new: bool,
    /// The longest wait of this turn, if it has a bound.
    wait_max: Option<Duration>,
    events: N::Events,
    /// The number of events dispatched so far in this turn.
    dispatched: usize,
    /// The end of the last poll.
    polled_at: Time,
    /// The number of events before it, if events may gather.
    events_before: u64,
    /// The number of timers that may still fire in this turn.
    deadlines_left: usize,
    /// The number of woken sessions that may still be driven in this turn.
    wakes_left: usize,
    /// The number of slots that may still be visited for reports in this turn.
    walks_left: usize,
    slots: Slots<N::Stream, S::Session>,
    listeners: Vec<Listener<N::Listener>>,
    admission: Admission,
    last_generation: u32,
    /// The calls of other threads, if there is a handle.
    receiver: Option<Box<Receiver<S>>>,
    drain: Option<Drain>,
    /// The next slot of the sweep that shortens deadlines.
    sweep: Option<u32>,
    accept_log: LogLimiter,
    /// The loop's measurements of itself, if it makes them.
    watching: Option<Box<Watching>>,
}

/// The result of a reactor's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Connections aborted when the drain timed out.
    pub aborted: usize,
}

/// Whether there will be another turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Turn {
    /// There will be another turn.
    Running,
    /// The drain is over, and every connection has ended.
    Stopped(Stopped),
}

impl<S: Service> Reactor<S, Os> {
    /// Creates a reactor on the operating system's network.
    ///
    /// # Errors
    /// If a limit is invalid, or the operating system has no poller.
    pub fn new(service: S, limits: Limits) -> Result<Self, BuildError> {
        Self::builder(service).limits(limits).build()
    }
}

impl<S: Service, N: Net> Reactor<S, N> {
    /// Creates a reactor on the given network.
    ///
    /// # Errors
    /// If the limits are invalid.
    pub fn with_net(service: S, limits: Limits, net: N) -> Result<Self, InvalidLimits> {
        limits.validate()?;
        let slots = limits.connections_max.saturating_add(limits.refusals_max);
        Ok(Self {
            core: Core::new(service, net, limits),
            is_new: true,
            wait_max: None,
            events: N::Events::default(),
            dispatched: 0,
            polled_at: Time::START,
            events_before: 0,
            deadlines_left: 0,
            wakes_left: 0,
            walks_left: 0,
            slots: Slots::new(slots),
            listeners: Vec::new(),
            admission: Admission::default(),
            last_generation: 0,
            receiver: None,
            drain: None,
            sweep: None,
            accept_log: LogLimiter::default(),
            watching: None,
        })
    }

    /// Binds a listener to `address` and returns its local address. Port 0 selects a free port.
    ///
    /// # Errors
    /// Returns the error of the underlying system call, usually because the address is in use or
    /// not local.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let id = self.add_listener(Listen::tcp(address));
        let id = id.map_err(|error| match error {
            BuildError::Listen { error, .. } => error,
            error => error.into(),
        })?;
        Ok(self.core.listeners[id.index()].local.unwrap_or(address))
    }

    /// Adds a listener of any kind.
    ///
    /// # Errors
    /// If it cannot be opened, or reserves more places than there are.
    pub fn add_listener(&mut self, listen: Listen) -> Result<ListenerId, BuildError> {
        let index = self.listeners.len();
        if index == token::LISTENERS_MAX {
            return Err(BuildError::TooManyListeners);
        }
        let places = Places::new(&listen);
        let limits = &self.core.limits;
        if !self.admission.can_reserve(&places, limits.connections_max) {
            let listener = listen.to_string();
            return Err(BuildError::Reserve { listener });
        }
        let (options, shown) = (listen.options(limits), listen.to_string());
        let socket = self
            .core
            .net
            .listen(listen.at, &options, token::listener(index))
            .map_err(|error| BuildError::Listen {
                listener: shown,
                error,
            })?;
        let id = ListenerId {
            index: index as u16,
            name: listen.name,
        };
        let address = self.core.net.local_addr(&socket);
        self.core.listeners.push(ListenerInfo {
            id,
            local: address.socket_addr(),
            drain_order: listen.drain_order,
            counts: ListenerCounts::NONE,
        });
        self.admission.add_listener(places);
        let backlog = options.backlog as usize;
        let mut listener = Listener::new(socket, address, backlog);
        (listener.when_full, listener.queue) = (listen.when_full, listen.queue);
        self.listeners.push(listener);
        Ok(id)
    }

    /// Returns the listeners and their addresses, until the drain's end.
    pub fn listeners(&self) -> impl Iterator<Item = (ListenerId, &Address)> {
        let listeners = self.core.listeners.iter().zip(&self.listeners);
        listeners.map(|(info, listener)| (info.id, &listener.address))
    }

    /// Runs until a drain is over. A drain is requested from outside or by the service.
    ///
    /// # Errors
    /// If polling is broken, or a listener is unusable.
    pub fn run(&mut self) -> Result<Stopped, RunError> {
        loop {
            if let Turn::Stopped(stopped) = self.turn()? {
                return Ok(stopped);
            }
        }
    }

    /// Runs one turn of the loop.
    ///
    /// Slots are freed after all events of the batch, and reused only after that, so no event can
    /// reach the wrong connection. Connections that end while accepting are reaped at once:
    /// otherwise a later wake-up or sweep could find a dead connection, and retire it twice.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn turn(&mut self) -> Result<Turn, RunError> {
        self.poll()?;
        self.dispatch_events();
        self.run_ready_queue();
        self.fire_timers();
        self.reap();
        self.accept()?;
        self.run_requests();
        if self.watching.is_some() {
            self.end_watched_turn();
        }
        Ok(self.progress())
    }

    /// Returns the service.
    pub fn service(&self) -> &S {
        &self.core.service
    }

    /// Returns the service, mutably.
    pub fn service_mut(&mut self) -> &mut S {
        &mut self.core.service
    }

    /// Returns the network.
    pub fn net(&self) -> &N {
        &self.core.net
    }

    /// Returns the network, mutably. For networks of tests: through it, the sockets of the loop could
    /// be used behind its back.
    #[doc(hidden)]
    pub fn net_mut(&mut self) -> &mut N {
        &mut self.core.net
    }

    /// Returns the counters.
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// Returns the number of open connections, including those being refused.
    pub fn open_connections(&self) -> usize {
        self.slots.len()
    }

    /// Measures the resources in use. This visits every slot: it is for tests and for diagnosis.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            connections: self.slots.len(),
            refused: self.admission.refused,
            ready: self.slots.ready(),
            addresses: self.admission.addresses(),
            timers: self.core.scratch.service.timers.of_sessions(),
            ..Usage::default()
        };
        self.slots.measure(&mut usage);
        usage
    }

    /// Logs a warning that peers can cause by the thousand, within a rate limit.
    fn warn_limited(&mut self, context: &str, error: &io::Error) {
        if let Some(suppressed) = self.accept_log.permit(self.core.now()) {
            warn!("{context}: {error} ({suppressed} similar messages suppressed)");
        }
    }
}
