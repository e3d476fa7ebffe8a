//! oneloop: write a service as a state machine without I/O, get a single-threaded TCP server.
//!
//! The layers, in the order in which to read them; each may name only those before it:
//!
//! | module | what it is | what it must not know |
//! |---|---|---|
//! | [`service`] | the seam: [`Service`], its events, what it may ask for | sockets, mio, clocks |
//! | [`greeting`] | the first service: the greeting protocol | sockets, the loop |
//! | [`net`] | what the loop needs of an operating system | services |
//! | [`reactor`] | the loop: connections, deadlines, limits | what the bytes mean |
//! | [`sim`] | a whole server on a network in memory, for tests | which service it runs |
//! | `load` | the load generator (feature `load`), a service that calls others | the greeting's code |
//!
#![doc = include_str!("../README.md")]

pub mod escape;
pub mod greeting;
#[cfg(feature = "load")]
pub mod load;
pub mod net;
pub mod reactor;
pub mod service;
pub mod sim;

pub use reactor::{Counters, Limits, Reactor, Stopped, Turn, Usage, WhenFull};
pub use service::{
    CloseReason, Context, EndReason, Event, Next, Peer, Service, ServiceContext, SessionId, Time,
};

/// The examples of the testing guide are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../docs/testing.md")]
mod testing_guide {}
