//! The loop: one thread, one turn after the other, every connection in a slab.
//!
//! It knows nothing of what the bytes mean; that is the [`Service`]'s business. Read [`Reactor::turn`]
//! first: the whole server is the order of its calls.

mod accept;
mod admission;
mod buffer;
mod compact_addr;
mod connect;
mod connection;
mod core;
mod counters;
mod drive;
mod guard;
mod lifecycle;
mod limits;
mod log_limiter;
mod poll;
mod pressure;
mod requests;
mod shutdown;
mod slots;
mod timer_wheel;
mod timers;
mod token;
mod write;

use std::io;
use std::net::SocketAddr;

use log::warn;

use self::core::Core;
use crate::net::{ListenOptions, Net, Os};
use crate::service::{Service, Time};
use accept::Listener;
use admission::Admission;
use log_limiter::LogLimiter;
use shutdown::Drain;
use slots::Slots;

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
    core: Core<S, N>,
    events: N::Events,
    /// How many of the events have been acted on.
    served: usize,
    /// How many more deadlines may be acted on in this turn.
    deadlines_left: usize,
    slots: Slots<N::Stream, S::Session>,
    listeners: Vec<Listener<N::Listener>>,
    admission: Admission,
    last_generation: u32,
    timer: Time,
    drain: Option<Drain>,
    /// Where the sweep that shortens deadlines has got to.
    sweep: Option<u32>,
    accept_log: LogLimiter,
}

/// How a reactor's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Slots that had not finished when the time to drain was over.
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
        let slots = limits.connections_max.saturating_add(limits.refusals_max);
        Ok(Self {
            core: Core::new(service, net, limits),
            events: N::Events::default(),
            served: 0,
            deadlines_left: 0,
            slots: Slots::new(slots),
            listeners: Vec::new(),
            admission: Admission::default(),
            last_generation: 0,
            timer: Time::NEVER,
            drain: None,
            sweep: None,
            accept_log: LogLimiter::default(),
        })
    }

    /// Listens on `address`, and says which it really is, for port 0 means any free one.
    ///
    /// # Errors
    /// What the operating system says: the address is in use, most likely, or not ours.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        if self.listeners.len() == token::LISTENERS_MAX {
            return Err(io::Error::other("too many listeners"));
        }
        let options = ListenOptions {
            backlog: self.core.limits.backlog,
            buffers: self.buffer_sizes(),
        };
        let token = token::listener(self.listeners.len());
        let socket = self.core.net.listen(address, &options, token)?;
        let address = self.core.net.local_addr(&socket)?;
        self.listeners.push(Listener::new(socket, address));
        Ok(address)
    }

    /// Serves until somebody asks it to stop, and everybody has left.
    ///
    /// # Errors
    /// Only what makes ready_now impossible: polling is broken, or a listener is.
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
        self.dispatch_events();
        self.run_ready_queue();
        self.fire_timers();
        self.reap();
        self.accept()?;
        self.run_requests();
        Ok(self.progress())
    }

    /// The service.
    pub fn service(&self) -> &S {
        &self.core.service
    }

    /// The service, to change what all sessions share.
    pub fn service_mut(&mut self) -> &mut S {
        &mut self.core.service
    }

    /// The network.
    pub fn net(&self) -> &N {
        &self.core.net
    }

    /// The network, for what only it can do.
    pub fn net_mut(&mut self) -> &mut N {
        &mut self.core.net
    }

    /// What has been counted so far.
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// Slots that are open, those that are being turned away among them.
    pub fn open_connections(&self) -> usize {
        self.slots.len()
    }

    /// What is buffers at this moment. This looks at every slot: it is for tests and for diagnosis.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            connections: self.slots.len(),
            refused: self.admission.refused,
            ready: self.slots.ready(),
            addresses: self.admission.addresses(),
            ..Usage::default()
        };
        self.slots.measure(&mut usage);
        usage
    }

    /// Warns of what peers can cause by the thousand.
    fn warn_limited(&mut self, what: &str, error: &io::Error) {
        if let Some(suppressed) = self.accept_log.pass(self.core.now()) {
            warn!("{what}: {error} ({suppressed} lines like this buffers back)");
        }
    }
}

fn with_context(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
