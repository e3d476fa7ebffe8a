//! The operating system, as one small trait.
//!
//! [`Os`] implements it with mio and socket2. The loop is generic over [`Net`] and monomorphised,
//! so the seam costs nothing, and a simulated network can replace the kernel.

#[doc(hidden)]
pub mod errno;
mod jobs;
mod os;

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::service::{Address, PeerAddress, Time};

pub use crate::service::FileSlice;

pub use jobs::{Job, Jobs};
#[cfg(unix)]
pub use os::DescriptorWatch;
pub use os::{Os, OsListener, Stopper};

/// A network, a poller and a clock.
///
/// Events are edge-triggered, like epoll with `EPOLLET` and kqueue with `EV_CLEAR`. The loop
/// assumes no more than mio promises: an event may be spurious, late, merged with another one or
/// split in two, and only the results of reading, writing and accepting are reliable. It does rely
/// on one event after each `WouldBlock`, once the socket is ready again.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a network",
    label = "the loop needs a `Net` here",
    note = "`oneloop::net::Os` is the operating system's, `oneloop_sim::Network` a simulated one"
)]
pub trait Net {
    /// A connection.
    type Stream;
    /// A listening socket.
    type Listener;
    /// The events of one poll. The loop owns it, and iterates over it while it uses the network.
    type Events: Default;

    /// True if a read that returns fewer bytes than requested has emptied the socket.
    ///
    /// It holds only until an event reports the end of the stream. True for epoll (epoll(7),
    /// question 9) and kqueue; false where only `WouldBlock` re-arms the event, as on Windows.
    const SHORT_READ_DRAINS: bool;

    /// True if a write that takes fewer bytes than offered has filled the send buffer, and an event
    /// follows once there is room.
    ///
    /// True for epoll (epoll(7), question 9) and kqueue. Default: false, which costs a write that
    /// returns `WouldBlock`.
    const SHORT_WRITE_FILLS: bool = false;

    /// Waits for events, at most for `timeout`; `None` sets no bound. Replaces the contents of
    /// `events`; after an error it is empty.
    ///
    /// # Errors
    /// `Interrupted` counts as no events. Any other error means that polling is broken.
    fn poll(&mut self, events: &mut Self::Events, timeout: Option<Duration>) -> io::Result<()>;

    /// Iterates over the events of a poll. The loop answers [`Token::WAKER`] with
    /// [`ack_wake`](Self::ack_wake).
    fn events(events: &Self::Events) -> impl Iterator<Item = Readiness>;

    /// Acknowledges an event with [`Token::WAKER`]. The loop then checks
    /// [`stop_requested`](Self::stop_requested).
    fn ack_wake(&mut self) {}

    /// Returns the current time.
    fn now(&mut self) -> Time;

    /// Lets time pass without a poll: see [`Limits::gather_time`](crate::Limits::gather_time).
    /// Default: the thread sleeps.
    fn pause(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    /// Returns how long the loop's thread has run and waited for a processor, if the system shows it.
    /// The loop asks some 50 times a second at most, and only if it measures itself.
    fn thread_times(&mut self) -> Option<ThreadTimes> {
        None
    }

    /// Returns the seed of the random numbers that services draw. The loop calls it once.
    fn seed(&mut self) -> u64;

    /// Returns a function that wakes the loop from any thread: its present poll returns at once,
    /// or else the next one.
    fn waker(&mut self) -> WakeFn;

    /// Starts workers for the jobs of a queue, named after `name`. They end when the queue is
    /// closed.
    ///
    /// # Errors
    /// Returns the error of starting a thread.
    fn start_workers(&mut self, jobs: &Jobs, name: &str, workers: usize) -> io::Result<()>;

    /// Returns true once a stop of the loop was requested from outside.
    fn stop_requested(&self) -> bool;

    /// Opens a listening socket, or adopts an open one, and registers it. Accepted streams inherit the
    /// sizes of its buffers.
    ///
    /// # Errors
    /// Returns the error of the underlying system call.
    fn listen(
        &mut self,
        at: ListenAt,
        options: &ListenOptions,
        token: Token,
    ) -> io::Result<Self::Listener>;

    /// Closes a listener whose socket another process has open as well. The connections in its queue
    /// are left to that process, and so is its file.
    fn release(&mut self, listener: Self::Listener) {
        drop(listener);
    }

    /// Returns the address that a listener is bound to.
    fn local_addr(&self, listener: &Self::Listener) -> Address;

    /// Takes the next connection from the listener's queue.
    ///
    /// # Errors
    /// Returns `WouldBlock` if the queue is empty; [`AcceptError::of`] classifies the others.
    fn accept(&mut self, listener: &Self::Listener) -> io::Result<(Self::Stream, PeerAddress)>;

    /// Returns the local address of an accepted stream; `None` if it is not an IP address. The loop
    /// asks only for streams of a listener whose own address is unspecified.
    fn stream_local_addr(&self, stream: &Self::Stream) -> Option<SocketAddr>;

    /// Refuses the next connection of the queue when descriptors are exhausted.
    ///
    /// It accepts with one descriptor held in reserve, makes one attempt to send `message`, and
    /// closes the connection.
    ///
    /// # Errors
    /// As [`accept`](Self::accept), or `OutOfMemory` if there is no reserve.
    fn shed(&mut self, listener: &Self::Listener, message: &[u8]) -> io::Result<()>;

    /// Begins to connect. Once the stream is writable, [`finish_connect`](Self::finish_connect)
    /// returns the result.
    ///
    /// # Errors
    /// Returns the error of the underlying system call, if it fails at once.
    fn connect(
        &mut self,
        to: &Address,
        from: Option<IpAddr>,
        buffers: &BufferSizes,
    ) -> io::Result<Self::Stream>;

    /// Returns whether a connecting stream is connected.
    ///
    /// # Errors
    /// Returns the error that the attempt to connect failed with.
    fn finish_connect(&mut self, stream: &Self::Stream) -> io::Result<Connecting>;

    /// Registers a stream, once and for both directions. Closing the stream ends the registration.
    ///
    /// # Errors
    /// Returns the error of the underlying system call.
    fn register(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()>;

    /// Reads available bytes; 0 means that the peer has finished sending.
    ///
    /// # Errors
    /// Returns the error of the underlying system call, including `WouldBlock` and `Interrupted`.
    fn read(&mut self, stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as many bytes as fit.
    ///
    /// # Errors
    /// Returns the error of the underlying system call, including `WouldBlock` and `Interrupted`.
    fn write(&mut self, stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<usize>;

    /// Writes as many bytes as fit, from consecutive slices. It may write from the first ones only.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn write_vectored(
        &mut self,
        stream: &mut Self::Stream,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize>;

    /// Writes as many bytes as fit: those of `before`, and behind them those of a file.
    ///
    /// By default it writes the bytes in memory.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn write_file(
        &mut self,
        stream: &mut Self::Stream,
        before: &[IoSlice<'_>],
        slice: FileSlice<'_>,
    ) -> io::Result<usize> {
        let slices = before.iter().copied().chain([IoSlice::new(slice.bytes)]);
        self.write_vectored(stream, &slices.collect::<Vec<_>>())
    }

    /// Shuts down the sending side: the peer reads all that was written, then the end of the
    /// stream.
    ///
    /// # Errors
    /// Returns the error of the underlying system call; the connection is then closed.
    fn shutdown_write(&mut self, stream: &mut Self::Stream) -> io::Result<()>;

    /// Sets the size of a stream's send buffer, as `SO_SNDBUF` takes it.
    ///
    /// # Errors
    /// Returns the error of the underlying system call.
    fn set_send_buffer(&mut self, stream: &Self::Stream, bytes: u32) -> io::Result<()>;

    /// Takes the pending error of a stream, if there is one. It reports a reset on a stream that is
    /// neither read nor written.
    fn take_error(&mut self, stream: &Self::Stream) -> Option<io::Error>;

    /// Closes a stream.
    fn close(&mut self, stream: Self::Stream);

    /// Closes a stream with a reset. Unsent bytes are discarded, and the peer can see that its data
    /// is incomplete.
    fn abort(&mut self, stream: Self::Stream);
}

/// The times of a thread so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadTimes {
    /// It ran.
    pub ran: Duration,
    /// It was ready to run, and no processor was free.
    pub waited: Duration,
}

/// Wakes a loop. See [`Net::waker`].
pub type WakeFn = Arc<dyn Fn() + Send + Sync>;

/// How far an outbound connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connecting {
    /// It is not established yet.
    InProgress,
    /// It is established.
    Established {
        /// Its local address; `None` if that is not an IP address.
        local: Option<SocketAddr>,
    },
}

/// Identifies the source of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub usize);

impl Token {
    /// The poller's own token. No source has it.
    pub const WAKER: Self = Self(usize::MAX);
}

/// One event: an operation that may be possible now.
///
/// Its fields are hints: an attempt may still return `WouldBlock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// The source of the event.
    pub token: Token,
    /// Reading, or accepting, may succeed.
    pub readable: bool,
    /// Writing may succeed.
    pub writable: bool,
    /// The peer may have finished, the connection may be broken, or urgent data may have arrived.
    ///
    /// Then both reading and writing are worth an attempt, whose result shows the cause. Urgent
    /// data stops a read short, so a short read no longer means an empty socket.
    pub hup: bool,
}

impl Readiness {
    /// Returns an event of this source without a hint.
    #[must_use]
    pub const fn of(token: Token) -> Self {
        Self {
            token,
            readable: false,
            writable: false,
            hup: false,
        }
    }
}

/// Where to listen.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenAt {
    /// At an address. Port 0 selects a free port.
    Address(Address),
    /// With a socket that listens already.
    #[cfg(unix)]
    Adopted(std::os::fd::OwnedFd),
}

/// Options of a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenOptions {
    /// How many established connections may wait to be accepted. The kernel may cap it
    /// (`somaxconn`).
    pub backlog: u32,
    /// The buffers of accepted connections.
    pub buffers: BufferSizes,
    /// True if several sockets may listen at the address: the kernel spreads the connections.
    pub reuse_port: bool,
    /// The permissions of a Unix-domain socket's file; `None` leaves them to the process's umask.
    pub mode: Option<u32>,
    /// True if the file of an adopted Unix-domain socket is removed with the listener.
    pub owns_file: bool,
}

impl ListenOptions {
    /// Returns these options, and the defaults of the others: a port of its own, the permissions
    /// that the umask leaves.
    #[must_use]
    pub const fn new(backlog: u32, buffers: BufferSizes) -> Self {
        Self {
            backlog,
            buffers,
            reuse_port: false,
            mode: None,
            owns_file: false,
        }
    }
}

/// How many bytes the kernel may hold for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSizes {
    /// The most bytes the kernel holds for a peer that does not read, as `SO_SNDBUF` takes it.
    /// Linux doubles it for its own bookkeeping (socket(7)).
    pub send_bytes: u32,
    /// The most unread bytes that the kernel holds, as `SO_RCVBUF` takes it.
    pub receive_bytes: u32,
}

/// The consequence of an error of [`Net::accept`] for the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptError {
    /// The queue is empty. The next connection causes an event.
    WouldBlock,
    /// This one connection failed, or the call was interrupted. The queue may hold another one.
    Transient,
    /// Descriptors or kernel memory are exhausted. The queue is not empty and, with edge triggers,
    /// no event reports that accepting is possible again: retry by time.
    Exhausted,
    /// The listener itself is unusable.
    Fatal,
}

impl AcceptError {
    /// Classifies an error of accept.
    ///
    /// An error that is not known to be permanent counts as transient: accept(2) advises this for
    /// the network errors that Linux passes on.
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
