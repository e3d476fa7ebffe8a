//! Tests of a service without sockets and without waiting.
//!
//! A [`Simulation`] is a whole server on a network in memory: the production loop, a virtual clock
//! and any number of clients. Waiting takes no time, and one seed determines all random choices,
//! so a failure is reproducible.
//!
//! ```
//! use std::time::Duration;
//!
//! use oneloop_sim::Simulation;
//! use oneloop::{
//!     CloseReason, Context, EndReason, Event, Limits, Next, Peer, Service, ServiceContext,
//! };
//!
//! /// Echoes its input, and closes after a minute without any.
//! struct Echo;
//!
//! impl Service for Echo {
//!     type Session = ();
//!
//!     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
//!
//!     fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
//!         let input = cx.input();
//!         cx.write(input);
//!         cx.consume(input.len());
//!         match event {
//!             Event::Eof => Next::Close(CloseReason::Eof),
//!             Event::Timeout => Next::Close(CloseReason::Timeout),
//!             _ => Next::Read { until: cx.after(Duration::from_secs(60)) },
//!         }
//!     }
//! }
//!
//! let mut simulation = Simulation::new(Echo, Limits::default(), 1);
//!
//! let alice = simulation.connect();
//! alice.send(b"hello");
//! simulation.run_for(Duration::from_secs(1));
//! assert_eq!(alice.received(), b"hello");
//!
//! // After a half-close, bytes sent before are still answered.
//! let bob = simulation.connect();
//! bob.send(b"bye");
//! bob.finish();
//! simulation.run_for(Duration::from_secs(1));
//! assert_eq!(bob.received(), b"bye");
//! assert!(bob.at_end());
//!
//! // Alice is closed after a minute, plus two seconds of lingering.
//! simulation.run_for(Duration::from_secs(62));
//! assert!(alice.at_end());
//! assert_eq!(simulation.reactor().counters().ended(EndReason::Timeout), 1);
//! assert_eq!(simulation.reactor().open_connections(), 0);
//! ```
//!
//! [`Network::set_faults`] injects faults, and [`Simulation::connect_over`] sets latency and
//! bandwidth. A [`Script`] is a client that acts by itself. [`storm`] runs many of them with all faults
//! and checks every byte.

mod client;
mod connection;
mod faults;
mod link;
mod network;
mod observer;
mod pipe;
mod poller;
mod rng;
mod storm;
mod syscalls;
mod trace;
mod unix;
mod workers;
mod world;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use oneloop::{
    Address, Builder, Limits, Listen, Reactor, Service, ServiceContext, Stopped, Time, Turn,
};

pub use client::{Client, RemotePeer, Script, Status};
pub use faults::Faults;
pub use link::LinkProfile;
pub use network::{Listener, Network, Stream};
pub use observer::{CallCounts, Observer, Syscall};
pub use rng::Rng;
pub use storm::{Dialog, Dialogs, storm};

/// A server for one service on a simulated network.
pub struct Simulation<S: Service, const SHORT_READ_DRAINS: bool = true> {
    network: Network<SHORT_READ_DRAINS>,
    reactor: Reactor<S, Network<SHORT_READ_DRAINS>>,
    /// The names and the addresses of the listeners.
    listeners: Vec<(&'static str, Address)>,
    clients: u16,
}

impl<S: Service> Simulation<S> {
    /// Creates a server on a network without faults, with a poller like epoll.
    ///
    /// # Panics
    /// If the limits are invalid.
    pub fn new(service: S, limits: Limits, seed: u64) -> Self {
        Self::with_network(Network::new(seed), service, limits)
    }
}

impl<S: Service, const SHORT_READ_DRAINS: bool> Simulation<S, SHORT_READ_DRAINS> {
    /// Creates a server on the given network.
    ///
    /// # Panics
    /// If the limits are invalid.
    pub fn with_network(network: Network<SHORT_READ_DRAINS>, service: S, limits: Limits) -> Self {
        let builder = Reactor::builder(service).limits(limits);
        Self::from_builder(network, builder.listen(Listen::tcp(SERVER)))
    }

    /// Creates a server with listeners of its own on the given network.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oneloop::{Context, Event, Next, Peer, Service, ServiceContext};
    /// # struct Whence;
    /// # impl Service for Whence {
    /// #     type Session = &'static str;
    /// #     fn open(&mut self, peer: Peer, _: &mut ServiceContext) -> &'static str {
    /// #         peer.listener.map_or("", |id| id.name())
    /// #     }
    /// #     fn step(&mut self, name: &mut &'static str, _: Event, cx: &mut Context<'_>) -> Next {
    /// #         cx.write(name.as_bytes());
    /// #         Next::Read { until: cx.after(Duration::from_secs(60)) }
    /// #     }
    /// # }
    /// use oneloop::{Listen, Reactor};
    /// use oneloop_sim::{Network, Simulation};
    ///
    /// let builder = Reactor::builder(Whence)
    ///     .listen(Listen::tcp(([10, 0, 0, 1], 80).into()).name("public"))
    ///     .listen(Listen::unix("/run/admin.sock").name("admin"));
    /// let network: Network = Network::new(1);
    /// let mut simulation = Simulation::from_builder(network, builder);
    /// let admin = simulation.connect_to("admin");
    /// simulation.run_for(Duration::from_secs(1));
    /// assert_eq!(admin.received(), b"admin");
    /// ```
    ///
    /// # Panics
    /// If the limits are invalid, or a listener cannot be opened.
    pub fn from_builder(network: Network<SHORT_READ_DRAINS>, builder: Builder<S>) -> Self {
        let reactor = builder.build_on(network.clone());
        let reactor = reactor.unwrap_or_else(|error| panic!("{error}"));
        let listeners = reactor.listeners();
        Self {
            listeners: listeners
                .map(|(id, address)| (id.name(), address.clone()))
                .collect(),
            network,
            reactor,
            clients: 0,
        }
    }

    /// Starts connecting a client to the first listener, over a link without delay.
    ///
    /// # Panics
    /// After 65,535 clients, or if there is no listener.
    pub fn connect(&mut self) -> Client {
        self.connect_over(LinkProfile::ideal())
    }

    /// Starts connecting a client to the first listener, over `link`. Clients differ only by their
    /// port.
    ///
    /// # Panics
    /// As [`connect`](Self::connect).
    pub fn connect_over(&mut self, link: LinkProfile) -> Client {
        let (_, address) = self.listeners.first().expect("a listener");
        self.connect_at(address.clone(), link)
    }

    /// Starts connecting a client to the listener with this name, over a link without delay.
    ///
    /// # Panics
    /// After 65,535 clients, or if no listener has this name.
    pub fn connect_to(&mut self, listener: &str) -> Client {
        let named = self.listeners.iter().find(|(name, _)| *name == listener);
        let (_, address) = named.unwrap_or_else(|| panic!("no listener is called {listener}"));
        self.connect_at(address.clone(), LinkProfile::ideal())
    }

    fn connect_at(&mut self, address: Address, link: LinkProfile) -> Client {
        let port = self.clients.checked_add(1).expect("ports for all clients");
        self.clients = port;
        match address {
            Address::Unix(path) => self.network.connect_unix(path, link),
            address => {
                let to = address.socket_addr().expect("an IP address");
                let from = SocketAddr::new(CLIENTS, port);
                self.network.connect(from, to, link)
            }
        }
    }

    /// Runs the server for this much virtual time, or until it stops.
    ///
    /// # Panics
    /// If the loop fails, which requires a fault that the test injected.
    pub fn run_for(&mut self, duration: Duration) -> Turn {
        let end = self.network.time() + duration;
        self.network.stop_poll_at(Some(end));
        while self.network.time() < end {
            if let stopped @ Turn::Stopped(_) = self.turn() {
                return stopped;
            }
        }
        Turn::Running
    }

    /// Runs one turn of the loop.
    ///
    /// # Panics
    /// If the loop fails, for example because no event is scheduled and it waits without a timeout.
    pub fn turn(&mut self) -> Turn {
        self.reactor
            .turn()
            .unwrap_or_else(|error| panic!("the loop failed at {:?}: {error}", self.network.time()))
    }

    /// Calls the service at the time `when`, as a handle does in another thread.
    ///
    /// # Panics
    /// When the time comes, if the queue of calls is full.
    pub fn call_at(
        &mut self,
        when: Time,
        task: impl FnOnce(&mut S, &mut ServiceContext) + Send + 'static,
    ) where
        S: 'static,
    {
        let handle = self.reactor.handle();
        self.network.act_at(when, move || {
            handle.run(task).expect("a loop that takes calls");
        });
    }

    /// Requests a shutdown, as a signal does, and runs the server until it has stopped.
    ///
    /// # Panics
    /// As [`turn`](Self::turn).
    pub fn drain(&mut self) -> Stopped {
        self.network.stop_poll_at(None);
        self.network.stop();
        loop {
            if let Turn::Stopped(stopped) = self.turn() {
                return stopped;
            }
        }
    }

    /// Returns the address of the first listener.
    ///
    /// # Panics
    /// If there is no listener, or it is a Unix-domain socket.
    pub fn address(&self) -> SocketAddr {
        let first = self.listeners.first().map(|(_, address)| address);
        let address = first.and_then(Address::socket_addr);
        address.expect("a listener with an IP address")
    }

    /// Returns the network, to inject faults and to observe calls.
    pub fn network(&self) -> &Network<SHORT_READ_DRAINS> {
        &self.network
    }

    /// Returns the loop, with its service and its counters.
    pub fn reactor(&self) -> &Reactor<S, Network<SHORT_READ_DRAINS>> {
        &self.reactor
    }

    /// Returns the loop, to change its service.
    pub fn reactor_mut(&mut self) -> &mut Reactor<S, Network<SHORT_READ_DRAINS>> {
        &mut self.reactor
    }
}

impl<S: Service, const SHORT_READ_DRAINS: bool> fmt::Debug for Simulation<S, SHORT_READ_DRAINS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("network", &self.network)
            .field("counters", self.reactor.counters())
            .finish_non_exhaustive()
    }
}

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 6000);
const CLIENTS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
