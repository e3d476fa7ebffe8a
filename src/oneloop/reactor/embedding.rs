//! A reactor inside another program: its turns, its waits, its descriptor and its signals.

use std::io;
use std::time::Duration;

use super::{Reactor, RunError, Turn};
#[cfg(unix)]
use crate::net::DescriptorWatch;
use crate::net::{Net, Os, Stopper};
#[cfg(unix)]
use crate::service::ListenerId;
use crate::service::Service;

impl<S: Service, N: Net> Reactor<S, N> {
    /// Runs one turn of the loop as [`turn`](Self::turn) does, and waits for events for `most` at
    /// most. With [`Duration::ZERO`] it does not wait.
    ///
    /// The operating system's poller rounds the wait up to whole milliseconds.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn turn_within(&mut self, most: Duration) -> Result<Turn, RunError> {
        self.wait_max = Some(most);
        let turn = self.turn();
        self.wait_max = None;
        turn
    }

    /// Returns how long a program that embeds the loop may sleep until the next turn, unless the
    /// poller's descriptor becomes readable before. `None` sets no bound.
    ///
    /// It holds from the end of a turn until the service, or the reactor, is used.
    pub fn wait(&mut self) -> Option<Duration> {
        match self.is_new {
            true => Some(Duration::ZERO),
            false => self.timeout(),
        }
    }
}

impl<S: Service> Reactor<S, Os> {
    /// Returns a handle that stops the loop from another thread, or from the owner of the reactor's
    /// thread, without knowing the service.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.core.net.stopper()
    }

    /// Returns a watch: it wakes the loop for descriptors of the program.
    ///
    /// A program that turns the loop itself waits this way for anything that has a descriptor. Signal
    /// handlers, for example, may hardly do more than set a flag and write to a pipe:
    ///
    /// ```no_run
    /// # use oneloop::{Context, Event, Limits, Next, Peer, Reactor, Service, ServiceContext, Turn};
    /// # struct Echo;
    /// # impl Service for Echo {
    /// #     type Session = ();
    /// #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
    /// #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
    /// #         Next::Read { until: cx.after(std::time::Duration::from_secs(60)) }
    /// #     }
    /// # }
    /// use std::io::Read;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let mut reactor = Reactor::new(Echo, Limits::default())?;
    /// let (mut woken, wake) = UnixStream::pair()?;
    /// woken.set_nonblocking(true)?;
    /// wake.set_nonblocking(true)?;
    /// reactor.watch_descriptors()?.readable(&woken)?;
    /// // `wake` goes to the signal handlers, for example to `signal_hook::low_level::pipe`.
    /// while reactor.turn()? == Turn::Running {
    ///     while woken.read(&mut [0; 64]).is_ok_and(|bytes| bytes > 0) {
    ///         reactor.drain();
    ///     }
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the error of the underlying system call, usually because descriptors are exhausted.
    #[cfg(unix)]
    pub fn watch_descriptors(&self) -> io::Result<DescriptorWatch> {
        self.core.net.watch_descriptors()
    }
}

/// The poller's descriptor. It is readable while there are events for the loop.
///
/// A program with a poller of its own waits for it, for [`wait`](Reactor::wait) at most, and calls
/// [`turn_within`](Reactor::turn_within) with [`Duration::ZERO`]. It must not use it for anything
/// else.
#[cfg(unix)]
impl<S: Service> std::os::fd::AsFd for Reactor<S, Os> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.core.net.poller()
    }
}

#[cfg(unix)]
impl<S: Service> Reactor<S, Os> {
    /// Returns the socket of a listener, for example to pass it to another process. `None` if it is
    /// closed.
    ///
    /// It must stay as it is: it is non-blocking and registered with the loop's poller.
    pub fn listener_socket(&self, listener: ListenerId) -> Option<std::os::fd::BorrowedFd<'_>> {
        let socket = self.listeners.get(listener.index())?.socket.as_ref();
        socket.map(std::os::fd::AsFd::as_fd)
    }
}

#[cfg(all(unix, feature = "signals"))]
impl<S: Service> Reactor<S, Os> {
    /// Makes SIGINT and SIGTERM stop the loop: it drains, as described at `Limits::drain_timeout`.
    /// A second one ends the process at once, with the exit code 128 plus the signal's number.
    ///
    /// On Linux, a signal that is ignored stays ignored: `nohup` works, and a shell's background
    /// job does not end by Ctrl-C. Requires the feature `signals`.
    ///
    /// # Errors
    /// Returns the error of the underlying system call, usually because descriptors are exhausted.
    pub fn stop_on_signals(&mut self) -> io::Result<()> {
        self.core.net.stop_on_signals()
    }
}
