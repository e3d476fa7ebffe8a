//! A service behind proxies, which announce the address of each client.
//!
//! A proxy such as HAProxy or nginx makes the connections of all clients its own. With the PROXY
//! protocol (`doc/proxy-protocol.txt` of HAProxy) it sends a header before the client's bytes. A
//! [`Proxied`] service reads that header before its session is opened, so that the session,
//! the limits, the log and the metrics have the client's address:
//!
//! ```
//! use oneloop::proxy::{ProxyProtocol, Versions};
//! # use oneloop::{Context, Event, Next, Peer, Service, ServiceContext, Time};
//! # struct Echo;
//! # impl Service for Echo {
//! #     type Session = ();
//! #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
//! #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
//! #         Next::Read { until: Time::UNBOUNDED }
//! #     }
//! # }
//!
//! let proxies = ["192.0.2.0/28".parse()?, "2001:db8::/64".parse()?];
//! let service = ProxyProtocol::new(Versions::Any, proxies).before(Echo);
//! # let _: &dyn std::any::Any = &service;
//! # Ok::<(), oneloop::proxy::InvalidNetwork>(())
//! ```
//!
//! It is the outermost layer, and serves all listeners of its service. To accept clients without a
//! proxy at another listener, put the service [beside](crate::layer::Fork) one without this layer.
//!
//! **Trust.** Only the configured networks may announce a client, and they must: the layer does not
//! guess. A connection from elsewhere is closed ([`CloseReason::Refused`]). The first wrong byte of
//! a header ends the connection ([`CloseReason::ProtocolError`]), and so does the
//! [deadline](ProxyProtocol::timeout). Nothing is sent before the header is whole, except the refusal
//! of a full server.
//!
//! **Limits.** A connection from a proxy does not count for the proxy's address, but for the
//! client's once that is announced; a client that has its share is refused then.
//!
//! **Probes.** A connection that stands for no client is the proxy's own: its header announces none
//! (LOCAL in version 2, UNKNOWN in version 1), or the proxy's own end of the connection (HAProxy's
//! checks with version 1), or the proxy closes or resets it before its header is whole. With such a
//! header it is served, from the proxy's address; [`Route::Probe`] marks it. Its ordinary end is
//! counted as [`EndReason::Probe`], and logged at the level `debug`.
//!
//! **Cost.** A comparison at each step. While the header is awaited, 16 bytes in the session; once a
//! client is announced, 120 bytes on the heap for the addresses.

mod crc32c;
mod cursor;
mod header;
mod network;
mod service;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use header::{Header, Versions, Violation};
pub use network::{InvalidNetwork, Network};
pub use service::{Proxied, ProxiedSession, ProxyProtocol};

#[cfg(doc)]
use crate::service::{CloseReason, EndReason, Route};
