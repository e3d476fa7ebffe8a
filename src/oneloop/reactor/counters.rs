//! The counters of the loop.

use crate::service::EndReason;

/// Counts since the loop was created. Reading them costs nothing.
///
/// They add up: `accepted + connecting` is the sum of `ended` over all reasons, plus the number of
/// open connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted, including refused ones.
    pub accepted: u64,
    /// Outbound connections begun.
    pub connecting: u64,
    /// Connections ended, by the number of their [`EndReason`].
    pub ended: [u64; EndReason::ALL.len()],
    /// Accepts that failed because of their one connection.
    pub accept_failures: u64,
    /// Accepts that failed because descriptors or kernel memory were exhausted.
    pub accept_exhausted: u64,
    /// Turns of the loop: each is one poll.
    pub turns: u64,
    /// Events returned by the poller.
    pub events: u64,
    /// Events for a connection that had ended. They are dropped.
    pub stale_events: u64,
    /// Sockets read without an event: before a timer fires, and before a session gets a drain,
    /// because input may have arrived in time.
    pub looks: u64,
    /// Calls of handles carried out, and results of jobs.
    pub calls: u64,
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
    /// Returns the number of connections that ended for `reason`.
    #[must_use]
    pub const fn ended(&self, reason: EndReason) -> u64 {
        self.ended[reason as usize]
    }

    /// Returns the number of connections that have ended.
    #[must_use]
    pub fn ended_in_all(&self) -> u64 {
        self.ended.iter().sum()
    }
}

/// The resources in use at one moment.
///
/// All values are zero once every connection has ended: tests find leaks this way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Open connections, including those being refused.
    pub connections: usize,
    /// Connections being refused.
    pub refused: usize,
    /// Connections with a timer.
    pub deadlines: usize,
    /// Timers of sessions, set with [`Context::set_timer`](crate::Context::set_timer).
    pub timers: usize,
    /// Length of the ready queue.
    pub ready: usize,
    /// Addresses whose connections are counted.
    pub addresses: usize,
    /// Bytes allocated for buffered input and pending output, without shared bytes: other sessions
    /// or the service may hold these too, see [`Shared`](crate::Shared).
    pub buffered_bytes: usize,
    /// The most bytes allocated for one connection.
    pub buffered_bytes_max: usize,
}
