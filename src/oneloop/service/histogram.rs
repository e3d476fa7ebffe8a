//! A histogram of durations.

use std::time::Duration;

/// Counts durations by magnitude, in memory of a fixed size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// The number of durations up to each bound, and not up to the bound before; the last is for
    /// those above all bounds.
    counts: [u64; Self::BOUNDS.len() + 1],
    sum: Duration,
    longest: Duration,
}

impl Histogram {
    /// The bounds, from 50 µs to 1 s.
    pub const BOUNDS: [Duration; 12] = [
        Duration::from_micros(50),
        Duration::from_micros(100),
        Duration::from_micros(250),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_secs(1),
    ];

    /// Counts a duration.
    pub(crate) fn record(&mut self, duration: Duration) {
        let place = Self::BOUNDS.partition_point(|&bound| bound < duration);
        self.counts[place] += 1;
        self.sum = self.sum.saturating_add(duration);
        self.longest = self.longest.max(duration);
    }

    /// Returns each bound with the number of durations up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut up_to = 0;
        Self::BOUNDS
            .iter()
            .zip(&self.counts)
            .map(move |(&bound, count)| {
                up_to += count;
                (bound, up_to)
            })
    }

    /// Returns the number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the sum of all durations.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// Returns the longest duration.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_up_to_their_bounds() {
        let mut histogram = Histogram::default();
        for nanos in [0, 50_000, 50_001, 999_999_999, 1_000_000_000, 1_000_000_001] {
            histogram.record(Duration::from_nanos(nanos));
        }
        let counts: Vec<_> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 5]);
        assert_eq!(histogram.count(), 6);
        assert_eq!(histogram.sum(), Duration::from_nanos(3_000_100_001));
        assert_eq!(histogram.longest(), Duration::from_nanos(1_000_000_001));
    }
}
