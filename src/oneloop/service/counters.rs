//! The counters of the loop.

use super::EndReason;

/// Counts since the loop was created. Reading them costs nothing.
///
/// Each counter has a method of its name, and [`iter`](Self::iter) returns all of them. They add up:
/// `accepted + connecting` is the sum of `ended` over all reasons, plus the number of open
/// connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub(crate) accepted: u64,
    pub(crate) connecting: u64,
    /// By the number of the reason.
    pub(crate) ended: [u64; EndReason::ALL.len()],
    pub(crate) accept_failures: u64,
    pub(crate) accept_exhausted: u64,
    pub(crate) turns: u64,
    pub(crate) events: u64,
    pub(crate) stale_events: u64,
    pub(crate) looks: u64,
    pub(crate) calls: u64,
    pub(crate) service_panics: u64,
    pub(crate) steps: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Counters {
    /// Returns the number of connections accepted, including refused ones.
    #[must_use]
    pub const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Returns the number of outbound connections begun.
    #[must_use]
    pub const fn connecting(&self) -> u64 {
        self.connecting
    }

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

    /// Returns the number of accepts that failed because of their one connection.
    #[must_use]
    pub const fn accept_failures(&self) -> u64 {
        self.accept_failures
    }

    /// Returns the number of accepts that failed because descriptors or kernel memory were
    /// exhausted.
    #[must_use]
    pub const fn accept_exhausted(&self) -> u64 {
        self.accept_exhausted
    }

    /// Returns the number of turns of the loop: each is one poll.
    #[must_use]
    pub const fn turns(&self) -> u64 {
        self.turns
    }

    /// Returns the number of events that the poller has returned.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Returns the number of events for a connection that had ended. They are dropped.
    #[must_use]
    pub const fn stale_events(&self) -> u64 {
        self.stale_events
    }

    /// Returns the number of sockets read without an event: before a timer fires, and before a
    /// session gets a drain, because input may have arrived in time.
    #[must_use]
    pub const fn looks(&self) -> u64 {
        self.looks
    }

    /// Returns the number of calls of handles carried out, and of results of jobs.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// Returns the number of panics of the service outside of a step.
    #[must_use]
    pub const fn service_panics(&self) -> u64 {
        self.service_panics
    }

    /// Returns the number of calls of [`Service::step`](crate::service::Service::step).
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns the number of bytes read from peers.
    #[must_use]
    pub const fn bytes_in(&self) -> u64 {
        self.bytes_in
    }

    /// Returns the number of bytes written to peers.
    #[must_use]
    pub const fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// Returns every counter with its name, as exporters of metrics need them: one for each method,
    /// and for each [`EndReason`] the connections that ended for it.
    ///
    /// Further counters may be added at any place.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = [
            ("accepted", self.accepted),
            ("connecting", self.connecting),
            ("accept_failures", self.accept_failures),
            ("accept_exhausted", self.accept_exhausted),
            ("turns", self.turns),
            ("events", self.events),
            ("stale_events", self.stale_events),
            ("looks", self.looks),
            ("calls", self.calls),
            ("service_panics", self.service_panics),
            ("steps", self.steps),
            ("bytes_in", self.bytes_in),
            ("bytes_out", self.bytes_out),
        ];
        let ended = EndReason::ALL.iter();
        let ended = ended.map(|&reason| (reason.name(), self.ended(reason)));
        counts.into_iter().chain(ended)
    }
}

/// The resources in use at one moment.
///
/// All values are zero once every connection has ended: tests find leaks this way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_counter_has_a_name_of_its_own() {
        let counters = Counters {
            accepted: 7,
            bytes_out: 9,
            ..Counters::default()
        };
        let all: Vec<_> = counters.iter().collect();
        let names: HashSet<_> = all.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.contains(&("accepted", 7)) && all.contains(&("bytes_out", 9)));
        assert_eq!(all.iter().map(|(_, count)| count).sum::<u64>(), 16);
        // The fields, all of eight bytes, are those counters and no others.
        assert_eq!(all.len(), size_of::<Counters>() / size_of::<u64>());
    }

    #[test]
    fn ends_are_counted_under_the_name_of_their_reason() {
        let mut counters = Counters::default();
        counters.ended[EndReason::ServerFull as usize] = 3;
        assert!(counters.iter().any(|of| of == ("ended_server_full", 3)));
    }
}
