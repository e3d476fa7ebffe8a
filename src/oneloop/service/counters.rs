//! The counters of the loop.

use super::EndReason;

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

    /// Returns every counter with its name, as exporters of metrics need them: the fields, and for
    /// each [`EndReason`] the connections that ended for it.
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
