//! Listeners: where they listen, and the limits of each.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Limits, WhenFull};
use crate::net::{ListenAt, ListenOptions};
use crate::service::Address;

/// A listener to be opened: its address, its name and its own limits.
///
/// ```
/// use oneloop::{Listen, WhenFull};
///
/// let public = Listen::tcp(([0, 0, 0, 0], 6000).into()).when_full(WhenFull::Queue);
/// let admin = Listen::unix("/run/echo/admin.sock")
///     .mode(0o660)
///     .name("admin")
///     .connections_max(4)
///     .reserve(2)
///     .drain_last();
/// ```
///
/// Pass it to [`Builder::listen`](super::Builder::listen).
#[derive(Debug)]
#[must_use = "it does nothing until it is passed to `listen`"]
pub struct Listen {
    pub(crate) at: ListenAt,
    pub(crate) name: &'static str,
    pub(crate) connections_max: Option<usize>,
    pub(crate) reserve: usize,
    pub(crate) when_full: Option<WhenFull>,
    pub(crate) drain_order: DrainOrder,
    pub(crate) queue: QueueOwner,
    backlog: Option<u32>,
    reuse_port: bool,
    mode: Option<u32>,
    owns_file: bool,
}

/// Which process serves the connections that are in a listener's queue when it closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueOwner {
    /// This one: no other has the socket open.
    Own,
    /// Another one, which has the socket open as well.
    Shared,
}

/// When the connections of a listener drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainOrder {
    /// As soon as the drain begins.
    First,
    /// Once all those have ended, or their time is nearly over.
    Last,
}

impl Listen {
    /// Listens at an address of TCP. Port 0 selects a free port.
    ///
    /// An unspecified address of IPv6, `[::]`, accepts IPv6 alone.
    pub const fn tcp(address: SocketAddr) -> Self {
        Self::new(ListenAt::Address(Address::Ip(address)))
    }

    /// Listens at the path of a Unix-domain socket. On Windows this fails.
    ///
    /// A file of a socket that is closed is replaced; one of an open socket, and any other kind of
    /// file, is an error. The file is removed with the listener if it is still its own.
    ///
    /// `Limits::connections_per_address_max` does not count these connections. Such a socket has no
    /// reset: the peer of a connection that ends abnormally reads the end of the stream.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::new(ListenAt::Address(Address::Unix(path.into())))
    }

    /// Takes over a socket that listens already, for example one that was inherited.
    ///
    /// The socket shows whether it is of TCP or of the Unix domain. Its backlog, its port and its
    /// file stay as they are; the sizes of its buffers are set.
    #[cfg(unix)]
    pub fn adopt(socket: impl Into<std::os::fd::OwnedFd>) -> Self {
        Self::new(ListenAt::Adopted(socket.into()))
    }

    /// Takes over `socket` instead of opening one. The name, the limits and the other options stay.
    ///
    /// It is as [`adopt`](Self::adopt) with the options of another listener: of the same one in an
    /// earlier process, for example.
    #[cfg(unix)]
    pub fn with_socket(mut self, socket: impl Into<std::os::fd::OwnedFd>) -> Self {
        self.at = ListenAt::Adopted(socket.into());
        self
    }

    const fn new(at: ListenAt) -> Self {
        Self {
            at,
            name: "",
            connections_max: None,
            reserve: 0,
            when_full: None,
            drain_order: DrainOrder::First,
            queue: QueueOwner::Own,
            backlog: None,
            reuse_port: false,
            mode: None,
            owns_file: false,
        }
    }

    /// Sets the name, which sessions find in [`Peer::listener`](crate::Peer::listener). Default:
    /// empty.
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Sets the most connections served at once that this listener has accepted. Default: only
    /// `Limits::connections_max`, which bounds all listeners together, limits them.
    pub const fn connections_max(mut self, most: usize) -> Self {
        self.connections_max = Some(most);
        self
    }

    /// Reserves places for this listener: the others cannot fill them. Default 0.
    ///
    /// They are a part of `Limits::connections_max`. So an administration service answers while the
    /// main one is full.
    pub const fn reserve(mut self, places: usize) -> Self {
        self.reserve = places;
        self
    }

    /// Sets the treatment of a connection for which there is no place. Default:
    /// `Limits::when_full`.
    pub const fn when_full(mut self, treatment: WhenFull) -> Self {
        self.when_full = Some(treatment);
        self
    }

    /// Makes this listener and its connections drain last: until all others have ended, it accepts
    /// and serves as before.
    ///
    /// They drain at the latest when a tenth of `Limits::drain_timeout` is left.
    pub const fn drain_last(mut self) -> Self {
        self.drain_order = DrainOrder::Last;
        self
    }

    /// Lets several sockets listen at the same address (`SO_REUSEPORT`), for example one of each
    /// process: the kernel spreads the connections. All of them must allow it.
    pub const fn reuse_port(mut self) -> Self {
        self.reuse_port = true;
        self
    }

    /// Leaves the queue to another process at a drain.
    ///
    /// It is for a socket that another process has open as well: a service manager, or a process
    /// that is to take over. The connections that the kernel has queued are then not accepted at the
    /// drain, and the file of a Unix-domain socket stays. Without such a process they are reset.
    ///
    /// With [`reuse_port`](Self::reuse_port) it is right only if the kernel moves the queue of a
    /// closed socket to the others of the port: on Linux if `net.ipv4.tcp_migrate_req` is 1.
    pub const fn shared(mut self) -> Self {
        self.queue = QueueOwner::Shared;
        self
    }

    /// Removes the file of an adopted Unix-domain socket with the listener, if it is still the file
    /// at the socket's path. Default: it stays.
    ///
    /// It is for a socket of a predecessor that has [handed it over](super::Reactor::hand_over).
    pub const fn own_file(mut self) -> Self {
        self.owns_file = true;
        self
    }

    /// Sets the most established connections that may wait in the kernel. Default:
    /// `Limits::backlog`.
    pub const fn backlog(mut self, connections: u32) -> Self {
        self.backlog = Some(connections);
        self
    }

    /// Sets the permissions of the file of a Unix-domain socket, such as `0o660`. Default: those
    /// that the process's umask leaves.
    ///
    /// To connect to it, a program needs the permission to write. The file never has more
    /// permissions than these, not even while it is made.
    pub const fn mode(mut self, permissions: u32) -> Self {
        self.mode = Some(permissions);
        self
    }

    /// Returns the options of the socket.
    pub(crate) fn options(&self, limits: &Limits) -> ListenOptions {
        ListenOptions {
            backlog: self.backlog.unwrap_or(limits.backlog),
            buffers: limits.buffer_sizes(),
            reuse_port: self.reuse_port,
            mode: self.mode,
            owns_file: self.owns_file,
        }
    }
}

impl From<Address> for Listen {
    fn from(address: Address) -> Self {
        Self::new(ListenAt::Address(address))
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::tcp(address)
    }
}

impl fmt::Display for Listen {
    /// Formats the address, and the name if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            ListenAt::Address(address) => address.fmt(f)?,
            #[cfg(unix)]
            ListenAt::Adopted(_) => f.write_str("an adopted socket")?,
        }
        match self.name {
            "" => Ok(()),
            name => write!(f, " ({name})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_is_shown_by_address_and_name() {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        assert_eq!(Listen::tcp(address).to_string(), "127.0.0.1:80");
        let named = Listen::unix("/run/x").name("admin");
        assert_eq!(named.to_string(), "unix:/run/x (admin)");
    }

    #[test]
    fn options_of_its_own_precede_those_of_the_limits() {
        let limits = Limits::default();
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let options = Listen::tcp(address).options(&limits);
        assert_eq!(options.backlog, limits.backlog);
        assert!(!options.reuse_port);
        let options = Listen::tcp(address)
            .backlog(7)
            .reuse_port()
            .mode(0o600)
            .options(&limits);
        assert_eq!((options.backlog, options.mode), (7, Some(0o600)));
        assert!(options.reuse_port);
    }
}
