//! The faults of a simulated network.

use super::Rng;

/// The faults of a simulated network: for each kind, the probability per call or event.
///
/// Each fault is one that a real kernel may produce; corrupted or reordered data is not among them.
/// [`Faults::NONE`] is the default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// A read returns fewer bytes than are available. Active only if
    /// [`Net::SHORT_READ_DRAINS`](oneloop::net::Net::SHORT_READ_DRAINS) is false.
    pub short_reads: f64,
    /// A write takes fewer bytes than there is room for.
    pub short_writes: f64,
    /// A read, write or accept returns `WouldBlock` without need; an event follows.
    pub needless_blocks: f64,
    /// A read, write or accept returns `Interrupted` and has no effect.
    pub interruptions: f64,
    /// A read finds the connection reset.
    pub read_resets: f64,
    /// A write finds the connection broken: `BrokenPipe` or `ConnectionReset`.
    pub write_breaks: f64,
    /// An accept returns `ConnectionAborted`; the connection is lost.
    pub aborted_accepts: f64,
    /// An accept returns `EMFILE`, `ENFILE` or `ENOBUFS`; the queue does not change.
    pub exhausted_accepts: f64,
    /// A registration fails.
    pub failed_registrations: f64,
    /// A poll returns `Interrupted`.
    pub interrupted_polls: f64,
    /// An event without cause.
    pub spurious_events: f64,
    /// An event is delayed by up to 30 ms.
    pub late_events: f64,
    /// One event is reported as two.
    pub split_events: f64,
    /// An event reports only new readiness, as kqueue's filters do.
    pub terse_events: f64,
    /// An event has the token of a closed connection.
    pub stale_events: f64,
    /// A poll returns some of its events, in random order.
    pub shuffled_polls: f64,
    /// The process is not scheduled for up to 200 ms.
    pub stalls: f64,
    /// A reset discards unread input, as on BSD and Windows, unlike Linux.
    pub resets_discard: f64,
}

impl Faults {
    /// No faults.
    pub const NONE: Self = Self {
        short_reads: 0.0,
        short_writes: 0.0,
        needless_blocks: 0.0,
        interruptions: 0.0,
        read_resets: 0.0,
        write_breaks: 0.0,
        aborted_accepts: 0.0,
        exhausted_accepts: 0.0,
        failed_registrations: 0.0,
        interrupted_polls: 0.0,
        spurious_events: 0.0,
        late_events: 0.0,
        split_events: 0.0,
        terse_events: 0.0,
        stale_events: 0.0,
        shuffled_polls: 0.0,
        stalls: 0.0,
        resets_discard: 0.0,
    };

    /// Draws a mix in which each fault is active in one run of four, at a random rate.
    ///
    /// Runs that differ find more than runs in which every fault is always active.
    #[must_use]
    pub fn sample(rng: &mut Rng) -> Self {
        Self {
            short_reads: swarm(rng, 0.5),
            short_writes: swarm(rng, 0.5),
            needless_blocks: swarm(rng, 0.3),
            interruptions: swarm(rng, 0.3),
            read_resets: swarm(rng, 0.02),
            write_breaks: swarm(rng, 0.02),
            aborted_accepts: swarm(rng, 0.3),
            exhausted_accepts: swarm(rng, 0.5),
            failed_registrations: swarm(rng, 0.2),
            interrupted_polls: swarm(rng, 0.3),
            spurious_events: swarm(rng, 0.3),
            late_events: swarm(rng, 0.5),
            split_events: swarm(rng, 0.5),
            terse_events: swarm(rng, 1.0),
            stale_events: swarm(rng, 0.5),
            shuffled_polls: swarm(rng, 1.0),
            stalls: swarm(rng, 0.02),
            resets_discard: swarm(rng, 1.0),
        }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::NONE
    }
}

fn swarm(rng: &mut Rng, most: f64) -> f64 {
    if rng.random_bool(SHARE_ACTIVE) {
        most * rng.magnitude(1..=1000) as f64 / 1000.0
    } else {
        0.0
    }
}

const SHARE_ACTIVE: f64 = 0.25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_activates_a_quarter_of_the_faults() {
        let mut rng = Rng::new(3);
        let active = (0..4000)
            .filter(|_| Faults::sample(&mut rng).stalls > 0.0)
            .count();
        assert!((900..1100).contains(&active), "{active} of 4000");
    }
}
