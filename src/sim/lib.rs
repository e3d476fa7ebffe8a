//! Testing a service without sockets and without waiting.
//!
//! A [`Simulation`] is a whole server on a network in memory: the same loop that runs in
//! production, a virtual clock, and as many clients as a test wants. A minute passes in no time,
//! and one seed decides all that is left to chance, so a test that fails once fails always.
//!
//! ```
//! use std::time::Duration;
//!
//! use oneloop_sim::Simulation;
//! use oneloop::{
//!     CloseReason, Context, EndReason, Event, Limits, Next, Peer, Service, ServiceContext,
//! };
//!
//! /// Sends back what it gets, and gives up on who is silent for a minute.
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
//! // Half closed: what was sent before is still answered.
//! let bob = simulation.connect();
//! bob.send(b"bye");
//! bob.finish();
//! simulation.run_for(Duration::from_secs(1));
//! assert_eq!(bob.received(), b"bye");
//! assert!(bob.at_end());
//!
//! // A minute later, and the two seconds the loop waits for a peer to finish, nobody is left.
//! simulation.run_for(Duration::from_secs(62));
//! assert!(alice.at_end());
//! assert_eq!(simulation.reactor().counters().ended(EndReason::Timeout), 1);
//! assert_eq!(simulation.reactor().open_connections(), 0);
//! ```
//!
//! Bad weather comes with [`Network::set_faults`], bad lines with [`Simulation::connect_over`];
//! clients that act by themselves are a [`Script`].

mod client;
mod connection;
mod faults;
mod link;
mod network;
mod observer;
mod pipe;
mod poller;
mod rng;
mod syscalls;
mod trace;
mod world;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use oneloop::Service;
use oneloop::{Limits, Reactor, Stopped, Turn};

pub use client::{Client, RemotePeer, Script, Status};
pub use faults::Faults;
pub use link::LinkProfile;
pub use network::{Listener, Network, Stream};
pub use observer::{CallCounts, Observer, Syscall};
pub use rng::Rng;

/// A server for one service on a simulated network.
pub struct Simulation<S: Service, const SHORT_READ_DRAINS: bool = true> {
    network: Network<SHORT_READ_DRAINS>,
    reactor: Reactor<S, Network<SHORT_READ_DRAINS>>,
    address: SocketAddr,
    clients: u16,
}

impl<S: Service> Simulation<S> {
    /// A server on a network in good weather, with a poller as epoll is.
    ///
    /// # Panics
    /// If the limits cannot hold.
    pub fn new(service: S, limits: Limits, seed: u64) -> Self {
        Self::with_network(Network::new(seed), service, limits)
    }
}

impl<S: Service, const SHORT_READ_DRAINS: bool> Simulation<S, SHORT_READ_DRAINS> {
    /// A server on a network of your choice.
    ///
    /// # Panics
    /// If the limits cannot hold.
    pub fn with_network(network: Network<SHORT_READ_DRAINS>, service: S, limits: Limits) -> Self {
        let reactor = Reactor::with_net(service, limits, network.clone());
        let mut reactor = reactor.unwrap_or_else(|error| panic!("{error}"));
        let address = reactor
            .listen(SERVER)
            .expect("nobody else listens on a new network");
        Self {
            network,
            reactor,
            address,
            clients: 0,
        }
    }

    /// Another client begins to connect, over a link without delay.
    ///
    /// # Panics
    /// If there have been 65,535 clients.
    pub fn connect(&mut self) -> Client {
        self.connect_over(LinkProfile::ideal())
    }

    /// Another client begins to connect, over `link`. All have the same address but for the port.
    ///
    /// # Panics
    /// As [`connect`](Self::connect).
    pub fn connect_over(&mut self, link: LinkProfile) -> Client {
        let port = self.clients.checked_add(1).expect("ports for all clients");
        self.clients = port;
        let from = SocketAddr::new(CLIENTS, port);
        self.network.connect(from, self.address, link)
    }

    /// Runs the server for this much virtual time. It may be over sooner: see [`Turn`].
    ///
    /// # Panics
    /// If the loop fails, which on a simulated network means that the test asked for it.
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

    /// One turn of the loop.
    ///
    /// # Panics
    /// If the loop fails: if nothing will ever happen again, most likely.
    pub fn turn(&mut self) -> Turn {
        self.reactor
            .turn()
            .unwrap_or_else(|error| panic!("the loop failed at {:?}: {error}", self.network.time()))
    }

    /// Asks the server to stop, as a signal does, and runs it until it has.
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

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The network, to change its weather and to watch it.
    pub fn network(&self) -> &Network<SHORT_READ_DRAINS> {
        &self.network
    }

    /// The loop, with its service and its counters.
    pub fn reactor(&self) -> &Reactor<S, Network<SHORT_READ_DRAINS>> {
        &self.reactor
    }

    /// The loop, to change its service.
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
