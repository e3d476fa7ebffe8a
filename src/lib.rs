//! oneloop: write a service as a state machine without I/O, get a single-threaded TCP server.

pub mod escape;
pub mod greeting;
#[cfg(feature = "load")]
pub mod load;
pub mod net;
pub mod reactor;
pub mod service;

pub use reactor::{Counters, Limits, Reactor, Stopped, Turn, Usage, WhenFull};
pub use service::{Context, EndReason, Event, Full, Next, Peer, Service, SessionId, Time};
