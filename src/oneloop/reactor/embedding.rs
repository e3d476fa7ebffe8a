//! A reactor inside another program: its turns, its waits, its descriptor and its signals.

use std::io;
use std::time::Duration;

use super::{Reactor, Turn};
use crate::net::Net;
#[cfg(unix)]
use crate::net::Os;
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
    pub fn turn_within(&mut self, most: Duration) -> io::Result<Turn> {
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
