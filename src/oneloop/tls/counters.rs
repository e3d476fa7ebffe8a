//! Counts of handshakes.

use std::sync::atomic::{AtomicU64, Ordering};

use super::handshake::{Ending, Kind};

/// Counts of handshakes since the [`Config`](super::Config) was created.
///
/// They add up: every connection that has ended, or has completed its handshake, is in one of
/// `completed`, `failed`, `timed_out` and `disconnected`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Handshakes begun: those that have cost a key exchange.
    pub begun: u64,
    /// Handshakes completed.
    pub completed: u64,
    /// Completed handshakes that have resumed an earlier session, without a signature.
    pub resumed: u64,
    /// Connections that broke the protocol, or refused the certificate, before their handshake was
    /// complete.
    pub failed: u64,
    /// Handshakes that were not complete in time.
    pub timed_out: u64,
    /// Connections that ended before their handshake was complete, for another reason.
    pub disconnected: u64,
}

impl Counters {
    /// Returns every counter with its name, as exporters of metrics need them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("handshakes_begun", self.begun),
            ("handshakes_completed", self.completed),
            ("handshakes_resumed", self.resumed),
            ("handshakes_failed", self.failed),
            ("handshakes_timed_out", self.timed_out),
            ("handshakes_disconnected", self.disconnected),
        ]
        .into_iter()
    }
}

/// The counters, which one loop writes and any thread reads.
#[derive(Debug, Default)]
pub(super) struct Counted {
    begun: AtomicU64,
    completed: AtomicU64,
    resumed: AtomicU64,
    failed: AtomicU64,
    timed_out: AtomicU64,
    disconnected: AtomicU64,
}

impl Counted {
    pub(super) fn begun(&self) {
        count(&self.begun);
    }

    pub(super) fn completed(&self, kind: Kind) {
        count(&self.completed);
        if kind == Kind::Resumed {
            count(&self.resumed);
        }
    }

    /// Counts a connection that has not completed its handshake.
    pub(super) fn ended(&self, ending: &Ending) {
        count(match ending {
            Ending::Refused(_) => &self.failed,
            Ending::TimedOut => &self.timed_out,
            Ending::Disconnected | Ending::Drained => &self.disconnected,
        });
    }

    pub(super) fn read(&self) -> Counters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            begun: of(&self.begun),
            completed: of(&self.completed),
            resumed: of(&self.resumed),
            failed: of(&self.failed),
            timed_out: of(&self.timed_out),
            disconnected: of(&self.disconnected),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
