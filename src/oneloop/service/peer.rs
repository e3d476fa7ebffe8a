//! The identity of a connection: its session, its addresses and where it comes from.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::part::Part;

/// Identifies one session. The id stays unique after the session's slot is reused.
///
/// Its order has no meaning: it is for ordered maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// The other end of a connection, and where the connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The id of the peer's session.
    pub id: SessionId,
    /// The peer's address.
    pub address: PeerAddress,
    /// The local address of the connection; `None` for a Unix-domain socket.
    ///
    /// For a connection that was accepted at an unspecified address, such as `0.0.0.0`, this is the
    /// address that the peer has connected to.
    pub local: Option<SocketAddr>,
    /// The listener that has accepted the connection; `None` for an outbound connection.
    pub listener: Option<ListenerId>,
    /// The tag of an outbound connection ([`Connect::tag`](super::Connect::tag)); `None` for an
    /// accepted one.
    pub tag: Option<Tag>,
    /// The way of the connection from its client.
    pub route: Route,
}

/// The way of a connection from its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// Direct, as far as is known. Also of an outbound connection.
    #[default]
    Direct,
    /// Through the proxy at this address. [`Peer::address`] is the address that it has announced.
    Proxy(PeerAddress),
    /// A connection of a proxy itself, for example to check that the server is up. Also one of which
    /// the proxy has not announced the client yet.
    Probe,
}

/// The answer of a proxy to the question which client a connection is for: see
/// [`Context::readdress`](super::Context::readdress).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Announced {
    /// The client at this address. It may be connected to the proxy's Unix-domain socket.
    Client(PeerAddress),
    /// None: the connection is the proxy's own.
    NoClient,
}

/// The address of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PeerAddress {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// The other end of a Unix-domain socket. Usually it has no name of its own.
    Unix,
}

/// Identifies a listener of a loop, in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId {
    pub(crate) index: u16,
    pub(crate) name: &'static str,
}

/// A service's own mark of an outbound connection. The loop does not interpret it.
///
/// Services that are composed into one cannot confuse their tags: each sees only its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    value: u64,
    /// The part of a composed service that has set the tag. Only composition sets it.
    pub(super) part: Part,
}

impl SessionId {
    /// The id during calls that do not belong to a session.
    pub(crate) const NONE: Self = Self {
        index: u32::MAX,
        generation: u32::MAX,
    };

    /// Returns the number of the session, counted from the first one.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.generation
    }
}

impl Peer {
    /// Returns the address of the proxy through which the connection has come, if it has.
    #[must_use]
    pub const fn via(&self) -> Option<PeerAddress> {
        match self.route {
            Route::Proxy(proxy) => Some(proxy),
            Route::Direct | Route::Probe => None,
        }
    }

    /// Returns true if the connection is a proxy's own: see [`Route::Probe`].
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        matches!(self.route, Route::Probe)
    }
}

impl PeerAddress {
    /// Returns the IP address and the port, if it has one.
    #[must_use]
    pub const fn socket_addr(self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(address),
            Self::Unix => None,
        }
    }

    /// Returns the IP address, if it has one.
    #[must_use]
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }
}

impl ListenerId {
    /// Returns the name that the listener was given; empty by default.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Returns the number of the listener, counted from 0 in the order in which they were added.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

impl Tag {
    /// Returns a tag with this value.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self {
            value,
            part: Part::WHOLE,
        }
    }

    /// Returns the value.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.value
    }
}

impl From<u64> for Tag {
    fn from(value: u64) -> Self {
        Self::new(value)
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for SessionId {
    /// Formats the number of the session, counted from the first one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.generation)
    }
}

impl fmt::Display for PeerAddress {
    /// Formats an IP address with its port, and `unix` for a Unix-domain socket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.pad("unix"),
        }
    }
}

impl fmt::Display for ListenerId {
    /// Formats the name, or the number of a listener without a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            "" => write!(f, "listener {}", self.index),
            name => f.pad(name),
        }
    }
}

impl fmt::Display for Tag {
    /// Formats the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_without_a_name_is_shown_by_its_number() {
        let id = |name| ListenerId { index: 3, name };
        assert_eq!(id("").to_string(), "listener 3");
        assert_eq!(id("admin").to_string(), "admin");
    }

    #[test]
    fn address_of_a_unix_peer_has_no_ip() {
        let ip = SocketAddr::from(([192, 0, 2, 1], 7));
        assert_eq!(PeerAddress::from(ip).ip(), Some(ip.ip()));
        assert_eq!(PeerAddress::Unix.ip(), None);
        assert_eq!(PeerAddress::Unix.to_string(), "unix");
        assert_eq!(PeerAddress::from(ip).to_string(), ip.to_string());
    }
}
