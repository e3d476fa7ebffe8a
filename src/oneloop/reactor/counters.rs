//! What the loop counts.

use crate::service::EndReason;

/// What has happened since the loop was made. Plain numbers: reading them costs nothing.
///
/// They add up: `accepted + connecting` is the sum of `ended` over all reasons, plus the
/// connections that are open now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Slots taken from a listener's queue, those turned away among them.
    pub accepted: u64,
    /// Outbound connections begun.
    pub connecting: u64,
    /// Slots ended, by the number of their [`EndReason`].
    pub ended: [u64; EndReason::ALL.len()],
    /// Accepts that failed for a reason of that one connection.
    pub accept_failures: u64,
    /// Accepts that failed because descriptors or kernel memory had run out.
    pub accept_exhausted: u64,
    /// Turns of the loop: each is one poll.
    pub turns: u64,
    /// Events that the poller brought.
    pub events: u64,
    /// Events for a connection that was gone. They are dropped.
    pub stale_events: u64,
    /// Sockets that were looked at without an event: before a deadline is acted on, and before a
    /// session is told of a drain, for what came in time counts.
    pub looks: u64,
    /// Panics of the service outside of a step.
    pub service_panics: u64,
    /// Calls of [`Service::step`](crate::service::Service::step).
    pub steps: u64,
    /// Bytes read from peers.
    pub bytes_in: u64,
    /// Bytes written to peers.
    pub bytes_out: u64,
}

impl Counters {
    /// Slots that ended for `reason`.
    #[must_use]
    pub const fn ended(&self, reason: EndReason) -> u64 {
        self.ended[reason as usize]
    }

    /// Slots that have ended.
    #[must_use]
    pub fn ended_in_all(&self) -> u64 {
        self.ended.iter().sum()
    }
}

/// What the loop holds at one moment. All of it is zero when everybody has left: that is how tests
/// find leaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Slots in use: every open connection, those being turned away among them.
    pub connections: usize,
    /// Slots being turned away.
    pub refused: usize,
    /// Slots whose deadline is filed.
    pub deadlines: usize,
    /// Places in the ready list.
    pub ready: usize,
    /// Addresses whose connections are counted.
    pub addresses: usize,
    /// Bytes on the heap for input and output that wait.
    pub buffered_bytes: usize,
    /// The most bytes on the heap for one connection.
    pub buffered_bytes_max: usize,
}
