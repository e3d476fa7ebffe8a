//! Listening sockets: of TCP, of the Unix domain, and adopted ones.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use socket2::{Domain, Protocol, Socket, Type};

#[cfg(unix)]
use super::unix::{self, UnixListener};
use super::{configure, configure_tcp};
use crate::net::{Address, BufferSizes, ListenAt, ListenOptions, PeerAddress};

/// A listening socket of the operating system.
#[derive(Debug)]
pub struct OsListener {
    kind: Kind,
    address: Address,
    /// The buffers of accepted connections that do not inherit them.
    buffers: BufferSizes,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl OsListener {
    /// Opens a listening socket, or takes over one that is open.
    pub(super) fn open(at: ListenAt, options: &ListenOptions) -> io::Result<Self> {
        match at {
            ListenAt::Address(Address::Ip(address)) => listen_tcp(address, options),
            #[cfg(unix)]
            ListenAt::Address(Address::Unix(path)) => {
                let listener = UnixListener::bind(&path, options)?;
                let kind = Kind::Unix(listener);
                Ok(Self::new(kind, Address::Unix(path), options))
            }
            #[cfg(not(unix))]
            ListenAt::Address(Address::Unix(_)) => Err(io::ErrorKind::Unsupported.into()),
            #[cfg(unix)]
            ListenAt::Adopted(descriptor) => adopt(descriptor.into(), options),
        }
    }

    fn new(kind: Kind, address: Address, options: &ListenOptions) -> Self {
        Self {
            kind,
            address,
            buffers: options.buffers,
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: mio::Token) -> io::Result<()> {
        match &mut self.kind {
            Kind::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            #[cfg(unix)]
            Kind::Unix(listener) => registry.register(listener, token, Interest::READABLE),
        }
    }

    /// Closes the socket. Its file stays, because another process has the socket open.
    pub(super) fn close_and_keep_file(self) {
        match self.kind {
            Kind::Tcp(listener) => drop(listener),
            #[cfg(unix)]
            Kind::Unix(listener) => listener.close_and_keep_file(),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    #[inline]
    pub(super) fn accept(&self) -> io::Result<(TcpStream, PeerAddress)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((stream, peer.into()))
            }
            #[cfg(unix)]
            Kind::Unix(listener) => {
                let stream = listener.accept(self.buffers)?;
                Ok((stream, PeerAddress::Unix))
            }
        }
    }
}

#[cfg(unix)]
impl AsFd for OsListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Tcp(listener) => listener.as_fd(),
            Kind::Unix(listener) => listener.as_fd(),
        }
    }
}

fn listen_tcp(address: SocketAddr, options: &ListenOptions) -> io::Result<OsListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // Not on Windows: there it would let another program take the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        share_port(&socket)?;
    }
    if address.is_ipv6() {
        // `[::]` means IPv6 only, on every system; `--listen` may be repeated.
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit these (tcp(7)), so they cost no call per connection.
    configure_tcp(&socket, &options.buffers)?;
    socket.bind(&address.into())?;
    listen(&socket, options)?;
    from_tcp(socket, options)
}

/// Listens, with the requested backlog.
///
/// Not through mio or std, which listen with a backlog of 128: beyond it a connecting peer waits a
/// second or more until its SYN is sent again.
pub(super) fn listen(socket: &Socket, options: &ListenOptions) -> io::Result<()> {
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))
}

fn from_tcp(socket: Socket, options: &ListenOptions) -> io::Result<OsListener> {
    let listener = TcpListener::from_std(socket.into());
    let address = Address::Ip(listener.local_addr()?);
    Ok(OsListener::new(Kind::Tcp(listener), address, options))
}

#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos")))))]
fn share_port(_: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Takes over a socket that another program has opened. The socket itself shows what it is.
#[cfg(unix)]
fn adopt(socket: Socket, options: &ListenOptions) -> io::Result<OsListener> {
    let address = socket.local_addr()?;
    if socket.r#type()? != Type::STREAM || !unix::is_listening(&socket)? {
        return Err(invalid("it is not a listening stream socket"));
    }
    if let Some(unix) = address.as_unix() {
        configure(&socket, &options.buffers)?;
        let path = unix.as_pathname().unwrap_or_else(|| "".as_ref()).to_owned();
        let listener = UnixListener::adopted(socket, &path, options.owns_file);
        let kind = Kind::Unix(listener);
        return Ok(OsListener::new(kind, Address::Unix(path), options));
    }
    if address.as_socket().is_none() {
        return Err(invalid("it is neither of TCP nor of the Unix domain"));
    }
    configure_tcp(&socket, &options.buffers)?;
    from_tcp(socket, options)
}

#[cfg(unix)]
fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
