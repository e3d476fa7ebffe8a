//! oneloop: write a service as a state machine without I/O, get a single-threaded TCP server.
//!
//! The modules, in reading order; each may name only those before it. The items of `service` and
//! `reactor` are public here, at the root:
//!
//! | module | content | must not know |
//! |---|---|---|
//! | [`framing`] | the end of a message in a stream of bytes | services, sockets |
//! | `service` | the contract: [`Service`], its events, its answers | sockets, mio, clocks |
//! | [`layer`] | services around services | the loop, sockets, clocks |
//! | [`proxy`] | a service behind proxies that announce its clients | the loop, sockets, clocks |
//! | `admin` | a service for operators, with the feature `admin` | the loop, sockets, clocks |
//! | [`net`] | the operating system, as a small trait | services |
//! | `reactor` | the loop: [`Reactor`], connections, deadlines, limits | the meaning of the bytes |
//! | `tls` | a layer that encrypts connections (feature `tls`) | the loop, sockets |
//! | [`testing`] | steps a session by hand, for unit tests | the loop |
#![doc = include_str!("README.md")]

#[cfg(feature = "admin")]
pub mod admin;
pub mod framing;
pub mod layer;
mod log_limiter;
pub mod net;
pub mod proxy;
mod reactor;
mod service;
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;

#[cfg(unix)]
pub use net::DescriptorWatch;
pub use net::Stopper;
pub use reactor::{
    BuildError, Builder, CallError, Counters, Handle, InvalidLimits, JobPanicked, Limits, Listen,
    Pool, Reactor, Reply, ReplyError, RunError, Stopped, Turn, Usage, Watch, WhenFull,
};
pub use service::inspect;
pub use service::{
    Address, Announced, CloseReason, Connect, ConnectError, Context, EndReason, Event, ListenerId,
    Next, Peer, PeerAddress, Route, Service, ServiceContext, SessionId, SessionLimits, Shared, Tag,
    Time,
};
