//! Observation of the loop's system calls.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use oneloop::Time;

/// Observes every system call of the loop.
pub trait Observer {
    /// Called after a call on one connection. `peer` is its remote address.
    fn observe(&mut self, now: Time, peer: SocketAddr, what: Syscall<'_>);

    /// Called after an attempt to accept from the listener at `address`.
    ///
    /// `result` is the peer's address, or the error that the loop receives. [`Syscall::Accepted`]
    /// follows.
    fn observe_accept(
        &mut self,
        now: Time,
        address: SocketAddr,
        result: Result<SocketAddr, &io::Error>,
    ) {
        let _ = (now, address, result);
    }

    /// Called after an attempt to shed the next connection of a queue with the reserve descriptor.
    ///
    /// `result` is as in [`observe_accept`](Self::observe_accept).
    fn observe_shed(
        &mut self,
        now: Time,
        address: SocketAddr,
        result: Result<SocketAddr, &io::Error>,
    ) {
        let _ = (now, address, result);
    }
}

/// A system call of the loop on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syscall<'a> {
    /// Accepted the connection.
    Accepted,
    /// Accepted it only to refuse it, because no descriptor was free.
    Shed,
    /// Began to connect.
    Connecting,
    /// Registered it with the poller.
    Registered,
    /// Read these bytes.
    Read(&'a [u8]),
    /// Read the end of the stream.
    ReadEnd,
    /// A read failed. `WouldBlock` and `Interrupted` count as failures here.
    ReadFailed(io::ErrorKind),
    /// Wrote `bytes`, out of `offered`.
    Wrote {
        /// The bytes that the network took.
        bytes: &'a [u8],
        /// The number of bytes passed to write.
        offered: usize,
    },
    /// A write failed.
    WriteFailed(io::ErrorKind),
    /// Took the pending socket error, and there was one.
    Broken(io::ErrorKind),
    /// Shut down the sending side.
    Finished,
    /// Reset it; [`Closed`](Self::Closed) follows.
    Reset,
    /// Closed it.
    Closed,
}

/// Counts of the loop's system calls, and of its faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Polls.
    pub polls: u64,
    /// Events reported by them.
    pub events: u64,
    /// Reads, failed ones included.
    pub reads: u64,
    /// Reads without an event since registration, or since the last `WouldBlock`. An event
    /// delivered to another connection than its own shows here.
    pub reads_without_readiness: u64,
    /// Accepts without an event of the listener, as for reads.
    pub accepts_without_readiness: u64,
    /// Writes, failed ones included.
    pub writes: u64,
    /// Bytes returned by reads.
    pub bytes_read: u64,
    /// Bytes taken by writes, except those of shed connections.
    pub bytes_written: u64,
    /// Accepts, failed ones included.
    pub accepts: u64,
    /// The longest time for which the loop neglected a connection: it did not read available input
    /// while it had no pending output, or did not retry a blocked write that had room. A connection
    /// that is never served counts when it is closed.
    pub max_starvation: Duration,
    /// The longest time for which a connection waited in a queue without an attempt to accept.
    pub max_queue_starvation: Duration,
    /// Queued connections that were reset because the loop closed their listener.
    pub abandoned: u64,
    /// Queued connections that the loop left to another process which has their listener open.
    pub released: u64,
}

impl Syscall<'_> {
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "server accepts",
            Self::Shed => "server sheds",
            Self::Connecting => "server connects",
            Self::Registered => "server registers",
            Self::Read(_) => "server reads",
            Self::ReadEnd => "server reads the end",
            Self::ReadFailed(kind) => match kind {
                io::ErrorKind::WouldBlock => "server reads: would block",
                io::ErrorKind::Interrupted => "server reads: interrupted",
                _ => "server reads: reset",
            },
            Self::Wrote { bytes, offered } if bytes.len() < *offered => "server writes, in part",
            Self::Wrote { .. } => "server writes",
            Self::WriteFailed(kind) => match kind {
                io::ErrorKind::WouldBlock => "server writes: would block",
                io::ErrorKind::Interrupted => "server writes: interrupted",
                _ => "server writes: broken",
            },
            Self::Broken(_) => "server learns of an error",
            Self::Finished => "server finishes",
            Self::Reset => "server resets",
            Self::Closed => "server closes",
        }
    }

    pub(super) fn detail(&self) -> u64 {
        match self {
            Self::Read(bytes) | Self::Wrote { bytes, .. } => bytes.len() as u64,
            _ => 0,
        }
    }
}
