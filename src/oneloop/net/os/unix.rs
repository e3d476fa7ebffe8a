//! Unix-domain sockets, and the files that name them.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token, event};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::configure;
use super::listener::listen;
use crate::net::{BufferSizes, ListenOptions};

/// A listening socket of the Unix domain.
#[derive(Debug)]
pub(super) struct UnixListener {
    listener: mio::net::UnixListener,
    /// The file that names it, if it is its own. It is removed with the listener.
    file: Option<SocketFile>,
}

/// A socket's file. Dropping it removes the file, unless another one has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// `None` if the file is to stay.
    identity: Option<Identity>,
}

/// The identity of a file: its device, its number there and when it was made, because the number is
/// used again.
type Identity = (u64, u64, Option<SystemTime>);

impl UnixListener {
    /// Binds a socket to `path`, and replaces a file there whose socket is closed.
    pub(super) fn bind(path: &Path, options: &ListenOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        configure(&socket, &options.buffers)?;
        if let Some(mode) = options.mode {
            restrict(&socket, mode)?;
        }
        bind_replacing(&socket, path)?;
        let file = SocketFile::at(path)?;
        if let Some(mode) = options.mode {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        listen(&socket, options)?;
        Ok(Self {
            listener: from_socket(socket),
            file: Some(file),
        })
    }

    /// Takes over a listening socket that is bound to `path`. Its file stays at the end, unless it
    /// becomes our own.
    pub(super) fn adopted(socket: Socket, path: &Path, owns_file: bool) -> Self {
        Self {
            listener: from_socket(socket),
            // Best effort: a file that stays is replaced by the next program to bind the path.
            file: owns_file.then(|| SocketFile::at(path).ok()).flatten(),
        }
    }

    /// Closes the socket, and leaves its file.
    pub(super) fn close_and_keep_file(self) {
        if let Some(file) = self.file {
            file.keep();
        }
    }

    pub(super) fn accept(&self, buffers: BufferSizes) -> io::Result<TcpStream> {
        let (stream, _) = self.listener.accept()?;
        // It does not inherit the listener's. Best effort: with the system's default it only holds
        // more output.
        let _ = SockRef::from(&stream).set_send_buffer_size(buffers.send_bytes as usize);
        let stream = std::os::unix::net::UnixStream::from(stream);
        Ok(into_stream(OwnedFd::from(stream)))
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl event::Source for UnixListener {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.listener.register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.listener.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.listener.deregister(registry)
    }
}

/// Connects to the socket at `path`. The result is immediate: a full queue is an error.
pub(super) fn connect(path: &Path, buffers: &BufferSizes) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    configure(&socket, buffers)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(into_stream(socket.into()))
}

/// Returns true if a socket listens.
#[cfg(not(any(target_os = "dragonfly", target_os = "netbsd", target_os = "openbsd")))]
pub(super) fn is_listening(socket: &Socket) -> io::Result<bool> {
    socket.is_listener()
}

#[cfg(any(target_os = "dragonfly", target_os = "netbsd", target_os = "openbsd"))]
pub(super) fn is_listening(_: &Socket) -> io::Result<bool> {
    Ok(true) // cannot be asked
}

/// Wraps a stream socket of either kind. Reading, writing and shutting down are the same calls for
/// both.
fn into_stream(descriptor: OwnedFd) -> TcpStream {
    TcpStream::from_std(descriptor.into())
}

fn from_socket(socket: Socket) -> mio::net::UnixListener {
    mio::net::UnixListener::from_std(OwnedFd::from(socket).into())
}

/// Gives a socket that is not bound yet no more permissions than `mode`, which its file takes over.
/// So the file never has more.
fn restrict(socket: &Socket, mode: u32) -> io::Result<()> {
    let file = File::from(socket.as_fd().try_clone_to_owned()?);
    match file.set_permissions(Permissions::from_mode(mode)) {
        // Not every system has permissions of a socket without a file.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// Binds a socket to `path`. If there is a file of a closed socket, removes it first.
fn bind_replacing(socket: &Socket, path: &Path) -> io::Result<()> {
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path, error)?;
            socket.bind(&address)
        }
        result => result,
    }
}

/// Removes the file of a closed socket. Returns `in_use` if the socket is open, or if the file is
/// not a socket's.
fn remove_stale(path: &Path, in_use: io::Error) -> io::Result<()> {
    let Some(stale) = stale_at(path)? else {
        return Err(in_use);
    };
    // Another program may have bound its own socket to the path since: so the file is moved away
    // and looked at again before it is removed.
    let aside = beside(path);
    fs::rename(path, &aside)?;
    let moved = fs::symlink_metadata(&aside).map(|file| identity(&file));
    if !matches!(moved, Ok(identity) if identity == stale) {
        let _ = fs::hard_link(&aside, path);
        fs::remove_file(&aside)?;
        return Err(in_use);
    }
    fs::remove_file(&aside)
}

/// Returns the identity of the file at `path` if it is that of a closed socket.
fn stale_at(path: &Path) -> io::Result<Option<Identity>> {
    let file = fs::symlink_metadata(path)?;
    if !file.file_type().is_socket() {
        let what = "there is a file that is not a socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Without waiting, if its queue is full.
    probe.set_nonblocking(true)?;
    let refused = probe.connect(&SockAddr::unix(path)?);
    let is_closed =
        matches!(refused, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused);
    Ok(is_closed.then(|| identity(&file)))
}

/// Returns a path in the same folder that no other process uses.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.stale", std::process::id()));
    path.with_file_name(name)
}

fn identity(file: &Metadata) -> Identity {
    (file.dev(), file.ino(), file.created().ok())
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let file = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            identity: Some(identity(&file)),
        })
    }

    /// Leaves the file where it is.
    fn keep(mut self) {
        self.identity = None;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |file: &Metadata| Some(identity(file)) == self.identity;
        if fs::symlink_metadata(&self.path).is_ok_and(|file| is_ours(&file)) {
            // Best effort: the next program to bind the path replaces the file.
            let _ = fs::remove_file(&self.path);
        }
    }
}
