//! What can be seen of the loop under test from its network's side.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use oneloop::Time;

/// Sees every call the loop makes on its network: what each peer was served, and what it cost.
pub trait Observer {
    /// Sees a call on one connection; `peer` is the address of its far end.
    fn observe(&mut self, now: Time, peer: SocketAddr, what: Syscall<'_>);

    /// Sees an attempt to accept a connection from the listener at `address`, and what came of it:
    /// the peer's address, or the error that the loop gets. [`Syscall::Accepted`] follows.
    fn observe_accept(
        &mut self,
        now: Time,
        address: SocketAddr,
        result: Result<SocketAddr, &io::Error>,
    ) {
        let _ = (now, address, result);
    }

    /// Sees an attempt to turn away the next connection of a queue by means of the descriptor in
    /// reserve, as [`observe_accept`](Self::observe_accept) sees an attempt to accept it.
    fn observe_shed(
        &mut self,
        now: Time,
        address: SocketAddr,
        result: Result<SocketAddr, &io::Error>,
    ) {
        let _ = (now, address, result);
    }
}

/// One call of the loop on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syscall<'a> {
    /// Accepted it.
    Accepted,
    /// Took it only to turn it away, for want of descriptors.
    Shed,
    /// Began to connect it.
    Connecting,
    /// Registered it.
    Registered,
    /// Read these bytes.
    Read(&'a [u8]),
    /// Read the end.
    ReadEnd,
    /// Tried to read, and got an error; `WouldBlock` and `Interrupted` are no failures, but are
    /// told here all the same.
    ReadFailed(io::ErrorKind),
    /// Wrote these bytes, out of `offered`.
    Wrote {
        /// What the network took.
        bytes: &'a [u8],
        /// How much it was given.
        offered: usize,
    },
    /// Tried to write, and got an error.
    WriteFailed(io::ErrorKind),
    /// Asked for the error that has broken it, and got one.
    Broken(io::ErrorKind),
    /// Shut down its sending side.
    Finished,
    /// Resets it; [`Closed`](Self::Closed) follows.
    Reset,
    /// Closed it.
    Closed,
}

/// How often the loop has called: what it costs, and whether it calls without a reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Polls.
    pub polls: u64,
    /// Events reported by them.
    pub events: u64,
    /// Reads, whatever came of them.
    pub reads: u64,
    /// Attempts to read, begun before an event, the first one or one since the last `WouldBlock`:
    /// there was no reason for them. An event that reached another connection than its own shows
    /// here.
    pub reads_without_readiness: u64,
    /// Attempts to accept, begun before an event of the listener, the first one or one since the
    /// last `WouldBlock`: there was no reason for them.
    pub accepts_without_readiness: u64,
    /// Writes, whatever came of them.
    pub writes: u64,
    /// Accepts, whatever came of them.
    pub accepts: u64,
    /// The longest time for which there was input that the loop did not try to read, though it
    /// owed no output, or room for output refused before that it did not try to write. What is
    /// never attended to counts when it is closed.
    pub max_starvation: Duration,
    /// The longest time for which somebody waited in a queue and the loop did not try to accept.
    pub max_queue_starvation: Duration,
    /// Connections that waited in a queue when the loop closed its listener: they were reset.
    pub abandoned: u64,
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
