//! What the loop needs of an operating system, as one small trait.
//!
//! [`Os`] is mio and socket2 over the real kernel. The loop is generic over [`Net`] and
//! monomorphised, so the seam costs nothing; a simulated network can take the kernel's place.

pub mod errno;
mod os;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::service::Time;

#[cfg(unix)]
pub use os::WriteWatch;
pub use os::{Os, Stopper};

/// A network, a poller and a clock, edge-triggered like epoll with `EPOLLET` and kqueue with
/// `EV_CLEAR`.
///
/// The loop assumes no more than mio promises: an event may be spurious, late, merged with another
/// one or split in two; only reading, writing and accepting tell the truth. What the loop must be
/// able to rely on is that new readiness after a `WouldBlock` is announced by an event.
pub trait Net {
    /// A connection.
    type Stream;
    /// A listening socket.
    type Listener;
    /// What a poll brings. It belongs to the loop, which goes through it while it uses the network.
    type Events: Default;

    /// Whether a read that returns less than was asked for has emptied the socket, provided that
    /// no event has said that the peer has finished. True for epoll (epoll(7), question 9) and
    /// kqueue; false where only `WouldBlock` re-arms the event, as on Windows.
    const SHORT_READ_DRAINS: bool;

    /// Waits for events, at most for `timeout`; `None` waits for as long as it takes. They take the
    /// place of those that `events` held; a poll that fails leaves none.
    ///
    /// # Errors
    /// `Interrupted` is to be treated as no events; anything else means that polling is broken.
    fn poll(&mut self, events: &mut Self::Events, timeout: Option<Duration>) -> io::Result<()>;

    /// What the events say. Those with [`Token::WAKER`] go back to [`woken`](Self::woken).
    fn hints(events: &Self::Events) -> impl Iterator<Item = Readiness>;

    /// An event had the poller's own token: somebody has woken the loop. It looks whether it is to
    /// stop ([`stop_requested`](Self::stop_requested)) after this.
    fn woken(&mut self) {}

    /// The present.
    fn now(&mut self) -> Time;

    /// True from the moment that somebody outside the loop has asked it to stop.
    fn stop_requested(&self) -> bool;

    /// Opens a listening socket whose accepted streams inherit the sizes of its buffers, and
    /// registers it.
    ///
    /// # Errors
    /// What the operating system says.
    fn listen(
        &mut self,
        address: SocketAddr,
        options: &ListenOptions,
        token: Token,
    ) -> io::Result<Self::Listener>;

    /// The address a listener is really bound to.
    ///
    /// # Errors
    /// What the operating system says.
    fn local_addr(&self, listener: &Self::Listener) -> io::Result<SocketAddr>;

    /// Takes the next connection from the listener's queue.
    ///
    /// # Errors
    /// `WouldBlock` when the queue is empty; [`AcceptError::of`] sorts the others.
    fn accept(&mut self, listener: &Self::Listener) -> io::Result<(Self::Stream, SocketAddr)>;

    /// When descriptors have run out: takes the next connection from the queue by means of one
    /// descriptor held in reserve, says `farewell` to it as well as can be, and closes it.
    ///
    /// # Errors
    /// As [`accept`](Self::accept), or `OutOfMemory` when there is no reserve.
    fn shed(&mut self, listener: &Self::Listener, farewell: &[u8]) -> io::Result<()>;

    /// Begins to connect. Once the stream is writable, [`connected`](Self::connected) tells how it
    /// went.
    ///
    /// # Errors
    /// What the operating system says at once.
    fn connect(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        buffers: &BufferSizes,
    ) -> io::Result<Self::Stream>;

    /// Whether a connecting stream is connected by now.
    ///
    /// # Errors
    /// Why it could not be connected.
    fn connected(&mut self, stream: &Self::Stream) -> io::Result<bool>;

    /// Registers a stream, once and for both directions. Closing it ends the registration.
    ///
    /// # Errors
    /// What the operating system says.
    fn register(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()>;

    /// Reads what is there; 0 means that the peer has finished.
    ///
    /// # Errors
    /// What the operating system says, `WouldBlock` and `Interrupted` among it.
    fn read(&mut self, stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes what fits.
    ///
    /// # Errors
    /// What the operating system says, `WouldBlock` and `Interrupted` among it.
    fn write(&mut self, stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<usize>;

    /// Shuts down the sending side: the peer reads what was written, then the end.
    ///
    /// # Errors
    /// What the operating system says; the connection is gone then.
    fn finish(&mut self, stream: &mut Self::Stream) -> io::Result<()>;

    /// Sets the size of a stream's send buffer, as `SO_SNDBUF` takes it.
    ///
    /// # Errors
    /// What the operating system says.
    fn set_send_buffer(&mut self, stream: &Self::Stream, bytes: u32) -> io::Result<()>;

    /// Takes the error that has broken a stream, if one has: the way to learn of a reset where
    /// nothing is read or written.
    fn take_error(&mut self, stream: &Self::Stream) -> Option<io::Error>;

    /// Closes a stream.
    fn close(&mut self, stream: Self::Stream);

    /// Closes a stream with a reset: what has not left yet never will, and the peer learns that
    /// what it has received is not the whole.
    fn abort(&mut self, stream: Self::Stream);
}

/// Names the source of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub usize);

impl Token {
    /// The poller's own token, which no source has.
    pub const WAKER: Self = Self(usize::MAX);
}

/// One event: where something may have become possible. Hints, never facts: they say what is worth
/// trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whose event it is.
    pub token: Token,
    /// Reading, or accepting, may give something.
    pub readable: bool,
    /// Writing may take something.
    pub writable: bool,
    /// The peer may have finished, the connection be broken, or urgent data have come, at which a
    /// read stops. Then both reading and writing are worth trying, for the call itself says what it
    /// is; and a short read proves nothing any more, only a read of 0 or an error does.
    pub closed: bool,
}

/// What a listening socket is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// How many established connections may wait to be accepted. The kernel may cap it
    /// (`somaxconn`).
    pub backlog: u32,
    /// The buffers of the connections that are accepted.
    pub buffers: BufferSizes,
}

/// How much the kernel may hold for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSizes {
    /// The most bytes that the kernel is to hold for a peer that does not read, as `SO_SNDBUF`
    /// takes it (Linux doubles it for its own bookkeeping: socket(7)).
    pub send_bytes: u32,
    /// The most bytes that the kernel is to hold of what has not been read, as `SO_RCVBUF` takes
    /// it.
    pub receive_bytes: u32,
}

/// What an error of [`Net::accept`] means for the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptError {
    /// The queue is empty; the next connection brings an event.
    WouldBlock,
    /// This one connection failed, or the call was interrupted; the next may be there.
    Transient,
    /// Descriptors or kernel memory have run out. The queue is not empty and, with edge triggers,
    /// no event will say when there is room again: try again by time.
    Exhausted,
    /// The listener itself is unusable.
    Fatal,
}

impl AcceptError {
    /// Sorts an error of accept. What is not known to be lasting is held to be passing, as
    /// accept(2) advises for the network errors that Linux passes on.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::WouldBlock, _) => Self::WouldBlock,
            (io::ErrorKind::OutOfMemory, _) => Self::Exhausted,
            (_, Some(errno::EMFILE | errno::ENFILE | errno::ENOBUFS)) => Self::Exhausted,
            (_, Some(errno::EBADF | errno::EINVAL | errno::ENOTSOCK)) => Self::Fatal,
            _ => Self::Transient,
        }
    }
}
