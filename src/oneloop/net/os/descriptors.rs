//! Descriptors of the program that wake the loop.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry};

use super::WAKER;

/// Wakes a loop for descriptors of the program: pipes, timers, terminals, sockets of its own. See
/// [`Reactor::watch_descriptors`](crate::Reactor::watch_descriptors).
///
/// An event only ends the loop's wait. The program looks at the descriptor after the next
/// [`turn`](crate::Reactor::turn). Events are edge-triggered: one comes whenever the descriptor
/// becomes ready, and at once if it is ready when the watch begins. So the program reads or writes
/// until `WouldBlock`, before it waits for another event.
///
/// A descriptor that is closed is no longer watched, unless it was duplicated: then it keeps waking
/// the loop until [`end`](Self::end).
#[derive(Debug)]
pub struct DescriptorWatch(Registry);

impl DescriptorWatch {
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        registry.try_clone().map(Self)
    }

    /// Wakes the loop each time `source` becomes readable.
    ///
    /// # Errors
    /// Returns the error of the underlying system call: the descriptor is watched already, or is one
    /// that is always ready, such as a regular file.
    pub fn readable(&self, source: &impl AsFd) -> io::Result<()> {
        self.begin(source, Interest::READABLE)
    }

    /// Wakes the loop each time `source` becomes writable.
    ///
    /// # Errors
    /// As [`readable`](Self::readable).
    pub fn writable(&self, source: &impl AsFd) -> io::Result<()> {
        self.begin(source, Interest::WRITABLE)
    }

    /// Ends the watch of `source`.
    ///
    /// # Errors
    /// Returns the error of the underlying system call: the descriptor is not watched.
    pub fn end(&self, source: &impl AsFd) -> io::Result<()> {
        let descriptor = source.as_fd().as_raw_fd();
        self.0.deregister(&mut SourceFd(&descriptor))
    }

    fn begin(&self, source: &impl AsFd, interest: Interest) -> io::Result<()> {
        let descriptor = source.as_fd().as_raw_fd();
        self.0.register(&mut SourceFd(&descriptor), WAKER, interest)
    }
}
