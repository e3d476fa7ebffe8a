//! A request for an outbound connection.

use std::fmt;
use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::Tag;

/// A connection to make: its destination, and how to connect.
///
/// ```
/// use oneloop::{Connect, Tag};
/// use std::time::Duration;
///
/// let connect = Connect::tcp(([192, 0, 2, 1], 6379).into())
///     .timeout(Duration::from_millis(300))
///     .tag(Tag::new(7));
/// ```
///
/// Pass it to [`ServiceContext::connect`](super::ServiceContext::connect).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it does nothing until it is passed to `connect`"]
pub struct Connect {
    pub(crate) to: Address,
    pub(crate) from: Option<IpAddr>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) send_buffer_bytes: Option<u32>,
    pub(crate) receive_buffer_bytes: Option<u32>,
    pub(crate) tag: Tag,
}

/// An address to listen at or to connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// The path of a Unix-domain socket; empty if it has no name.
    Unix(PathBuf),
}

impl Connect {
    /// Connects over TCP.
    pub const fn tcp(to: SocketAddr) -> Self {
        Self::to(Address::Ip(to))
    }

    /// Connects to the Unix-domain socket at `path`. On Windows this fails.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::to(Address::Unix(path.into()))
    }

    /// Connects to an address of either kind.
    pub const fn to(to: Address) -> Self {
        Self {
            to,
            from: None,
            timeout: None,
            send_buffer_bytes: None,
            receive_buffer_bytes: None,
            tag: Tag::new(0),
        }
    }

    /// Sets the local address to connect from. Default: the system selects it. A Unix-domain socket
    /// has none.
    pub const fn from(mut self, from: IpAddr) -> Self {
        self.from = Some(from);
        self
    }

    /// Sets the time in which the connection must be established. Default: the limit
    /// `Limits::connect_timeout`.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the sizes of the kernel's buffers, as `SO_SNDBUF` and `SO_RCVBUF` take them. Default:
    /// the limits `Limits::send_buffer_bytes` and `Limits::receive_buffer_bytes`.
    pub const fn buffers(mut self, send_bytes: u32, receive_bytes: u32) -> Self {
        self.send_buffer_bytes = Some(send_bytes);
        self.receive_buffer_bytes = Some(receive_bytes);
        self
    }

    /// Sets the tag, which [`Peer::tag`](super::Peer::tag) and
    /// [`Service::connect_failed`](super::Service::connect_failed) return. Default: the tag 0.
    pub const fn tag(mut self, tag: Tag) -> Self {
        self.tag = tag;
        self
    }
}

impl Address {
    /// Returns the IP address and the port, if it has one.
    #[must_use]
    pub const fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl FromStr for Address {
    type Err = AddrParseError;

    /// Parses the path of a Unix-domain socket, which begins with `unix:` or contains a slash, or an
    /// IP address and a port.
    ///
    /// ```
    /// use oneloop::Address;
    ///
    /// assert_eq!("./echo.sock".parse(), Ok(Address::Unix("./echo.sock".into())));
    /// assert_eq!("unix:echo.sock".parse(), Ok(Address::Unix("echo.sock".into())));
    /// assert_eq!("[::1]:80".parse(), Ok(Address::Ip("[::1]:80".parse()?)));
    /// assert!("localhost".parse::<Address>().is_err());
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        match text.strip_prefix("unix:") {
            Some(path) => Ok(Self::Unix(path.into())),
            None if text.contains('/') => Ok(Self::Unix(text.into())),
            None => text.parse().map(Self::Ip),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for Address {
    /// Formats an IP address with its port, or `unix:` and the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
