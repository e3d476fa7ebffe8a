//! The addresses of both ends of a connection, in 24 bytes: every connection pays for them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::listen::DrainOrder;
use crate::service::inspect::ListenerCounts;
use crate::service::{ListenerId, PeerAddress, Route, Tag};

/// A listener, as the connections that it has accepted see it. It outlives the socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenerInfo {
    pub(crate) id: ListenerId,
    /// `None` for a Unix-domain socket.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) drain_order: DrainOrder,
    pub(crate) counts: ListenerCounts,
}

/// The ends of a connection.
///
/// An address of IPv6 has no flow label, which accept(2) does not report.
#[derive(Debug)]
pub(crate) enum Ends {
    /// Accepted over IPv4. The local port is the listener's.
    V4 {
        remote: [u8; 4],
        remote_port: u16,
        local: [u8; 4],
    },
    /// Accepted over IPv6, at the listener's own address.
    V6 {
        remote: [u8; 16],
        remote_port: u16,
        scope: u32,
    },
    /// Accepted at a Unix-domain socket.
    Unix,
    /// Any other: outbound, through a proxy, or accepted over IPv6 at an unspecified address.
    Other(Box<OtherEnds>),
}

/// Ends that do not fit into the slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherEnds {
    remote: PeerAddress,
    local: Option<SocketAddr>,
    /// The tag of an outbound connection.
    tag: Option<Tag>,
    route: Route,
}

impl Ends {
    /// Returns the ends of a connection that was accepted at `local` by a listener at `listener`.
    pub(crate) fn accepted(
        remote: PeerAddress,
        local: Option<SocketAddr>,
        listener: Option<SocketAddr>,
    ) -> Self {
        match (remote, local) {
            (PeerAddress::Unix, None) => Self::Unix,
            (PeerAddress::Ip(SocketAddr::V4(remote)), Some(SocketAddr::V4(local)))
                if listener.is_some_and(|listener| listener.port() == local.port()) =>
            {
                Self::V4 {
                    remote: remote.ip().octets(),
                    remote_port: remote.port(),
                    local: local.ip().octets(),
                }
            }
            (PeerAddress::Ip(SocketAddr::V6(remote)), local) if local == listener => Self::V6 {
                remote: remote.ip().octets(),
                remote_port: remote.port(),
                scope: remote.scope_id(),
            },
            _ => Self::Other(Box::new(OtherEnds {
                remote,
                local,
                tag: None,
                route: Route::Direct,
            })),
        }
    }

    /// Returns the ends of an outbound connection. It has no local address yet.
    pub(crate) fn outbound(remote: PeerAddress, tag: Tag) -> Self {
        Self::Other(Box::new(OtherEnds {
            remote,
            local: None,
            tag: Some(tag),
            route: Route::Direct,
        }))
    }

    /// Sets the local address of an outbound connection, once it has one.
    pub(crate) fn set_local(&mut self, address: Option<SocketAddr>) {
        if let Self::Other(ends) = self {
            ends.local = address;
        }
    }

    /// Returns the ends of this connection for the client that a proxy has announced. `local` is the
    /// address at which the proxy has connected.
    pub(crate) fn announced(&self, client: PeerAddress, local: Option<SocketAddr>) -> Self {
        let route = match self.route() {
            Route::Direct | Route::Probe => Route::Proxy(self.remote()),
            again => again,
        };
        Self::Other(Box::new(OtherEnds {
            remote: client,
            local,
            tag: None,
            route,
        }))
    }

    /// Returns the peer's address.
    pub(crate) fn remote(&self) -> PeerAddress {
        match *self {
            Self::V4 {
                remote,
                remote_port,
                ..
            } => SocketAddr::new(Ipv4Addr::from(remote).into(), remote_port).into(),
            Self::V6 {
                remote,
                remote_port,
                scope,
            } => {
                let ip = Ipv6Addr::from(remote);
                SocketAddr::V6(SocketAddrV6::new(ip, remote_port, 0, scope)).into()
            }
            Self::Unix => PeerAddress::Unix,
            Self::Other(ref ends) => ends.remote,
        }
    }

    /// Returns the local address, given the listener's.
    pub(crate) fn local(&self, listener: Option<SocketAddr>) -> Option<SocketAddr> {
        match *self {
            Self::V4 { local, .. } => {
                let ip = IpAddr::from(Ipv4Addr::from(local));
                listener.map(|listener| SocketAddr::new(ip, listener.port()))
            }
            Self::V6 { .. } => listener,
            Self::Unix => None,
            Self::Other(ref ends) => ends.local,
        }
    }

    /// Returns the way of the connection from its client.
    pub(crate) fn route(&self) -> Route {
        match self {
            Self::Other(ends) => ends.route,
            Self::V4 { .. } | Self::V6 { .. } | Self::Unix => Route::Direct,
        }
    }

    /// Returns the tag of an outbound connection.
    pub(crate) fn tag(&self) -> Option<Tag> {
        match self {
            Self::Other(ends) => ends.tag,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn ends_of_an_accepted_connection_are_returned_unchanged() {
        for (remote, local, listener) in [
            ("127.0.0.1:6000", "127.0.0.1:1", "127.0.0.1:1"),
            ("192.0.2.1:65535", "192.0.2.7:1", "0.0.0.0:1"),
            ("192.0.2.1:65535", "192.0.2.7:9", "0.0.0.0:1"),
            ("[::1]:65535", "[::1]:80", "[::1]:80"),
            ("[::ffff:192.0.2.1]:7", "[::1]:80", "[::1]:80"),
            ("[fe80::1%3]:80", "[fe80::2%3]:443", "[::]:443"),
        ] {
            let (remote, local, listener) = (at(remote), Some(at(local)), Some(at(listener)));
            let ends = Ends::accepted(remote.into(), local, listener);
            assert_eq!(ends.remote(), remote.into());
            assert_eq!(ends.local(listener), local, "{remote}");
            assert_eq!(ends.tag(), None);
        }
        let ends = Ends::accepted(PeerAddress::Unix, None, None);
        assert_eq!((ends.remote(), ends.local(None)), (PeerAddress::Unix, None));
    }

    #[test]
    fn only_rare_connections_allocate_for_their_ends() {
        let inside = |remote: &str, local: &str, listener: &str| {
            let ends = Ends::accepted(at(remote).into(), Some(at(local)), Some(at(listener)));
            !matches!(ends, Ends::Other(_))
        };
        assert!(inside("192.0.2.1:9", "192.0.2.7:1", "0.0.0.0:1"));
        assert!(inside("[::1]:9", "[::1]:80", "[::1]:80"));
        assert!(!inside("[::1]:9", "[::1]:80", "[::]:80"));
        assert!(size_of::<Ends>() <= 24);
    }

    #[test]
    fn outbound_connection_has_its_tag_and_then_its_local_address() {
        let mut ends = Ends::outbound(at("192.0.2.1:9").into(), Tag::new(u64::MAX));
        assert_eq!(ends.local(None), None);
        ends.set_local(Some(at("192.0.2.7:1")));
        assert_eq!(ends.local(None), Some(at("192.0.2.7:1")));
        assert_eq!(ends.tag(), Some(Tag::new(u64::MAX)));
    }
}
