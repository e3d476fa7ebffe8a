//! The real network: mio's poller, socket2's socket options.

#[cfg(unix)]
mod descriptors;
mod listener;
#[cfg(any(target_os = "android", target_os = "linux"))]
mod sendfile;
#[cfg(all(unix, feature = "signals"))]
mod signals;
#[cfg(target_os = "linux")]
mod thread_times;
#[cfg(unix)]
mod unix;

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::hint::black_box;
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Waker};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

#[cfg(any(target_os = "android", target_os = "linux"))]
use super::FileSlice;
use super::{
    Address, BufferSizes, Connecting, Jobs, ListenAt, ListenOptions, Net, PeerAddress, Readiness,
    Time, Token, WakeFn, errno,
};

#[cfg(target_os = "linux")]
use super::ThreadTimes;
#[cfg(unix)]
pub use descriptors::DescriptorWatch;
pub use listener::OsListener;

/// The operating system's network.
#[derive(Debug)]
pub struct Os {
    poll: Poll,
    started: Instant,
    stopper: Stopper,
    /// One descriptor held in reserve, to refuse a connection when all others are in use.
    reserve: Option<File>,
    /// The reading ends of the pipes that wake the loop.
    #[cfg(unix)]
    wake_pipes: Vec<mio::net::UnixStream>,
}

/// The events of one poll.
#[derive(Debug)]
pub struct OsEvents(Events);

impl Default for OsEvents {
    fn default() -> Self {
        Self(Events::with_capacity(EVENTS_PER_POLL))
    }
}

/// Stops a loop from another thread or a signal handler, without knowing its service. Cheap to
/// clone. [`Handle::stop`](crate::Handle::stop) does the same for threads that have a handle.
#[derive(Clone, Debug)]
pub struct Stopper {
    requested: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Os {
    /// Creates a poller.
    ///
    /// # Errors
    /// Returns the error of the underlying system call, usually because descriptors are exhausted.
    pub fn new() -> io::Result<Self> {
        keep_freed_memory();
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Self {
            poll,
            started: Instant::now(),
            stopper: Stopper {
                requested: Arc::default(),
                waker,
            },
            reserve: open_reserve(),
            #[cfg(unix)]
            wake_pipes: Vec::new(),
        })
    }

    /// Returns a handle that stops the loop from outside. See also
    /// [`Reactor::stopper`](crate::Reactor::stopper).
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Returns the writing end of a pipe. Any byte written to it wakes the loop, which then checks
    /// its [`Stopper`].
    ///
    /// This is for signal handlers, which may write to a pipe and set [`Stopper::flag`] but hardly
    /// anything else.
    #[cfg(all(unix, any(test, feature = "signals")))]
    pub(crate) fn wake_pipe(&mut self) -> io::Result<std::os::unix::net::UnixStream> {
        let (mut reader, writer) = mio::net::UnixStream::pair()?;
        self.poll
            .registry()
            .register(&mut reader, WAKER, Interest::READABLE)?;
        self.wake_pipes.push(reader);
        Ok(writer.into())
    }

    /// Returns a watch for descriptors of the program.
    #[cfg(unix)]
    pub(crate) fn watch_descriptors(&self) -> io::Result<DescriptorWatch> {
        DescriptorWatch::new(self.poll.registry())
    }

    /// Returns the poller's descriptor.
    #[cfg(unix)]
    pub(crate) fn poller(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(self.poll.registry())
    }

    /// Makes SIGINT and SIGTERM stop the loop.
    #[cfg(all(unix, feature = "signals"))]
    pub(crate) fn stop_on_signals(&mut self) -> io::Result<()> {
        signals::stop_on_signals(self)
    }

    /// Empties the wake pipes: a write to a full pipe would not wake the loop.
    fn empty_wake_pipes(&self) {
        #[cfg(unix)]
        for mut pipe in &self.wake_pipes {
            while pipe.read(&mut [0; 512]).is_ok_and(|bytes| bytes > 0) {}
        }
    }
}

impl Stopper {
    /// Stops the loop. It drains, as described at `Limits::drain_timeout`.
    pub fn stop(&self) {
        self.requested.store(true, Ordering::Release);
        // A loop that could not be woken looks in its next turn.
        let _ = self.waker.wake();
    }

    /// Returns the flag that [`stop`](Self::stop) sets, for use in a signal handler.
    #[cfg(all(unix, feature = "signals"))]
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.requested)
    }
}

impl Net for Os {
    type Stream = TcpStream;
    type Listener = OsListener;
    type Events = OsEvents;

    const SHORT_READ_DRAINS: bool = EDGE_TRIGGERED;

    const SHORT_WRITE_FILLS: bool = EDGE_TRIGGERED;

    #[inline]
    fn poll(&mut self, events: &mut OsEvents, timeout: Option<Duration>) -> io::Result<()> {
        self.poll.poll(&mut events.0, timeout)
    }

    #[inline]
    fn events(events: &OsEvents) -> impl Iterator<Item = Readiness> {
        let readiness = |event: &Event| Readiness {
            token: Token(event.token().0),
            // recv(2) stops short at an urgent byte, even if more bytes follow it.
            hup: event.is_read_closed() || event.is_error() || event.is_priority(),
            readable: event.is_readable(),
            writable: event.is_writable(),
        };
        events.0.iter().map(readiness)
    }

    #[cold]
    fn ack_wake(&mut self) {
        self.empty_wake_pipes();
    }

    #[inline]
    fn now(&mut self) -> Time {
        Time::START + self.started.elapsed()
    }

    #[cfg(target_os = "linux")]
    fn thread_times(&mut self) -> Option<ThreadTimes> {
        thread_times::read()
    }

    fn seed(&mut self) -> u64 {
        // The keys of a hash map's hasher are random: std has no other source that is stable.
        RandomState::new().build_hasher().finish()
    }

    fn waker(&mut self) -> WakeFn {
        let waker = Arc::clone(&self.stopper.waker);
        // A loop that could not be woken looks in its next turn.
        Arc::new(move || drop(waker.wake()))
    }

    fn start_workers(&mut self, jobs: &Jobs, name: &str, workers: usize) -> io::Result<()> {
        for number in 0..workers {
            let jobs = jobs.clone();
            let work = move || {
                while let Some(job) = jobs.wait() {
                    job.run();
                }
            };
            thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(work)?;
        }
        Ok(())
    }

    #[inline]
    fn stop_requested(&self) -> bool {
        self.stopper.requested.load(Ordering::Acquire)
    }

    fn listen(
        &mut self,
        at: ListenAt,
        options: &ListenOptions,
        token: Token,
    ) -> io::Result<OsListener> {
        let mut listener = OsListener::open(at, options)?;
        listener.register(self.poll.registry(), mio::Token(token.0))?;
        Ok(listener)
    }

    fn release(&mut self, listener: OsListener) {
        listener.close_and_keep_file();
    }

    fn local_addr(&self, listener: &OsListener) -> Address {
        listener.address().clone()
    }

    fn accept(&mut self, listener: &OsListener) -> io::Result<(TcpStream, PeerAddress)> {
        listener.accept()
    }

    fn stream_local_addr(&self, stream: &TcpStream) -> Option<SocketAddr> {
        stream.local_addr().ok()
    }

    fn shed(&mut self, listener: &OsListener, message: &[u8]) -> io::Result<()> {
        if self.reserve.take().is_none() {
            self.reserve = open_reserve();
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let result = listener.accept().map(|(mut stream, _)| {
            // Best effort: a peer that has disconnected needs no message.
            let _ = stream.write(message);
            let _ = stream.shutdown(Shutdown::Write);
        });
        self.reserve = open_reserve();
        result
    }

    fn connect(
        &mut self,
        to: &Address,
        from: Option<IpAddr>,
        buffers: &BufferSizes,
    ) -> io::Result<TcpStream> {
        let to = match to {
            Address::Ip(to) => *to,
            #[cfg(unix)]
            Address::Unix(path) => return unix::connect(path, buffers),
            #[cfg(not(unix))]
            Address::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        configure_tcp(&socket, buffers)?;
        if let Some(from) = from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        match socket.connect(&to.into()) {
            Err(error) if !is_in_progress(&error) => Err(error),
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }

    fn finish_connect(&mut self, stream: &TcpStream) -> io::Result<Connecting> {
        // The order that mio's documentation of `TcpStream::connect` prescribes.
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        let stream = SockRef::from(stream);
        match stream.peer_addr() {
            Ok(peer) => {
                let local = stream.local_addr().ok().and_then(|own| own.as_socket());
                if local.is_some() && local == peer.as_socket() {
                    // Simultaneous open: a port of our own range has connected to itself.
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Ok(Connecting::Established { local })
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected || is_in_progress(&error) => {
                Ok(Connecting::InProgress)
            }
            Err(error) => Err(error),
        }
    }

    fn register(&mut self, stream: &mut TcpStream, token: Token) -> io::Result<()> {
        self.poll
            .registry()
            .register(stream, mio::Token(token.0), INTEREST)
    }

    #[inline]
    fn read(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer)
    }

    #[inline]
    fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        stream.write(bytes)
    }

    fn write_vectored(
        &mut self,
        stream: &mut TcpStream,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        stream.write_vectored(slices)
    }

    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn write_file(
        &mut self,
        stream: &mut TcpStream,
        before: &[IoSlice<'_>],
        slice: FileSlice<'_>,
    ) -> io::Result<usize> {
        sendfile::write(stream, before, slice)
    }

    fn shutdown_write(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        stream.shutdown(Shutdown::Write)
    }

    fn set_send_buffer(&mut self, stream: &TcpStream, bytes: u32) -> io::Result<()> {
        SockRef::from(stream).set_send_buffer_size(bytes as usize)
    }

    fn take_error(&mut self, stream: &TcpStream) -> Option<io::Error> {
        stream.take_error().unwrap_or_else(Some)
    }

    fn abort(&mut self, stream: TcpStream) {
        // Closing with a linger time of zero sends a reset (socket(7); RFC 9293, 3.10.5). If it
        // cannot be set, the connection is broken already.
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        drop(stream);
    }

    fn close(&mut self, stream: TcpStream) {
        // Without deregistration: our descriptors are never duplicated, so closing ends it
        // (epoll(7), question 6; the same holds for kqueue and for mio on Windows).
        drop(stream);
    }
}

/// Sets the options of a TCP socket. Without Nagle's algorithm, small messages are sent at once.
fn configure_tcp(socket: &Socket, buffers: &BufferSizes) -> io::Result<()> {
    configure(socket, buffers)?;
    socket.set_tcp_nodelay(true)
}

/// Sets the options of every socket.
fn configure(socket: &Socket, buffers: &BufferSizes) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_send_buffer_size(buffers.send_bytes as usize)?;
    socket.set_recv_buffer_size(buffers.receive_bytes as usize)
}

/// Makes glibc's allocator keep up to 16 MiB of freed memory at the end of its heap.
///
/// By default it keeps 128 KiB. A loop that allocates and frees buffers of 64 KiB, as a forwarder
/// does, then gets their pages from the kernel again and again: page faults took half of its run
/// time. Freeing a mapped block, which was never touched, raises the limit to twice its size
/// (mallopt(3), `M_MMAP_THRESHOLD`). Other allocators are not affected.
fn keep_freed_memory() {
    drop(black_box(Vec::<u8>::with_capacity(8 << 20)));
}

fn open_reserve() -> Option<File> {
    File::open(if cfg!(windows) { "NUL" } else { "/dev/null" }).ok()
}

fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(errno::EINPROGRESS)
}

/// True on the systems where mio's poller is epoll or kqueue, unless mio was built to use poll(2).
const EDGE_TRIGGERED: bool = cfg!(all(
    not(mio_unsupported_force_poll_poll),
    any(
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "ios",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "openbsd",
    )
));

/// Both directions, and urgent data: see [`Readiness::hup`].
#[cfg(any(target_os = "android", target_os = "linux"))]
const INTEREST: Interest = Interest::READABLE
    .add(Interest::WRITABLE)
    .add(Interest::PRIORITY);
#[cfg(not(any(target_os = "android", target_os = "linux")))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

const WAKER: mio::Token = mio::Token(Token::WAKER.0);

/// The most events of one poll: 12 KiB on Linux. More ready connections are served in several
/// polls, and the kernel alternates among them.
const EVENTS_PER_POLL: usize = 1024;

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn memory_freed_by_a_forwarder_is_used_again_without_page_faults() {
        const BUFFERS: usize = 100;
        let _os = Os::new().unwrap();
        let fill_and_empty = || drop(black_box(vec![vec![1_u8; 64 * 1024]; BUFFERS]));
        fill_and_empty();
        let before = page_faults();
        (0..20).for_each(|_| fill_and_empty());
        let faults = page_faults() - before;
        let pages = 20 * BUFFERS * 16;
        assert!(
            faults < pages / 10,
            "{faults} page faults for {pages} pages"
        );
    }

    /// Returns the pages that this thread has got from the kernel: field 10 of proc_pid_stat(5).
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn page_faults() -> usize {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, behind_name) = stat.rsplit_once(") ").unwrap();
        behind_name.split(' ').nth(7).unwrap().parse().unwrap()
    }

    #[test]
    fn wake_pipe_wakes_a_thousand_times() {
        let mut os = Os::new().unwrap();
        let mut pipe = os.wake_pipe().unwrap();
        for _ in 0..1000 {
            pipe.write_all(b"!").expect("room for a byte");
            let began = Instant::now();
            let mut events = OsEvents::default();
            os.poll(&mut events, Some(Duration::from_secs(20))).unwrap();
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "the poll was not woken"
            );
            assert!(Os::events(&events).all(|event| event.token == Token::WAKER));
            os.ack_wake();
            assert!(!os.stop_requested());
        }
    }
}
