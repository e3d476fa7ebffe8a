//! How good the weather is: what goes wrong, how often, and what a link is like.

use super::Rng;

/// What goes wrong in a simulated network, each as the probability that one call, or one event, is
/// hit. [`Faults::NONE`] is a kernel on its best behaviour.
///
/// All of it is what a real kernel may do; what no kernel does (corrupt bytes, data out of order)
/// cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// A read returns less than there is. Only where the network does not promise that a short
    /// read has emptied the socket ([`Net::SHORT_READ_DRAINS`](oneloop::net::Net::SHORT_READ_DRAINS)).
    pub short_reads: f64,
    /// A write takes less than there is room for.
    pub short_writes: f64,
    /// A read, write or accept says `WouldBlock` although it need not; an event follows.
    pub needless_blocks: f64,
    /// A read, write or accept says `Interrupted` and has done nothing.
    pub interruptions: f64,
    /// A read finds the connection reset.
    pub read_resets: f64,
    /// A write finds the connection broken: `BrokenPipe` or `ConnectionReset`.
    pub write_breaks: f64,
    /// Accept says `ConnectionAborted`; that connection is gone.
    pub aborted_accepts: f64,
    /// Accept says `EMFILE`, `ENFILE` or `ENOBUFS`; the queue is as it was.
    pub exhausted_accepts: f64,
    /// The poller takes no more registrations.
    pub failed_registrations: f64,
    /// Poll says `Interrupted`.
    pub interrupted_polls: f64,
    /// An event that announces nothing.
    pub spurious_events: f64,
    /// An event comes up to 30 ms after what it announces.
    pub late_events: f64,
    /// One event is reported as two.
    pub split_events: f64,
    /// An event says only what is new, not all that is possible: kqueue's filters do that.
    pub terse_events: f64,
    /// An event bears the token of a connection that has been closed.
    pub stale_events: f64,
    /// Poll returns its events in another order, and only some of them.
    pub shuffled_polls: f64,
    /// The process was not scheduled: the clock has moved on by up to 200 ms.
    pub stalls: f64,
    /// A reset throws away what has arrived but was not read (BSD and Windows do, Linux does not).
    pub resets_discard: f64,
}

impl Faults {
    /// Nothing goes wrong.
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

    /// A mix of faults in which each is active in one run of four, and then from hardly ever to
    /// often: runs that differ find more than runs in which everything always goes wrong a little.
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
    fn a_run_has_a_quarter_of_the_faults_on_average() {
        let mut rng = Rng::new(3);
        let active = (0..4000)
            .filter(|_| Faults::sample(&mut rng).stalls > 0.0)
            .count();
        assert!((900..1100).contains(&active), "{active} of 4000");
    }
}
