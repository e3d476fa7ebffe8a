//! The loop's clock, as services see it.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time on the clock of one loop: nanoseconds since the loop was made.
///
/// It never goes backwards. Under simulation it is virtual. 64 bits last for 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The moment the loop was made.
    pub const START: Self = Self(0);
    /// The end of a wait that has no bound: `Next::Read { until: Time::UNBOUNDED }`.
    ///
    /// No arithmetic leads here, and the loop does not shorten such a wait when it is nearly full.
    /// It is for connections that are trusted, or bounded by other means: every other wait ends
    /// after `Limits::wait_max` at the latest.
    pub const UNBOUNDED: Self = Self(u64::MAX);
    /// A moment that never comes.
    pub(crate) const NEVER: Self = Self::UNBOUNDED;
    /// The last moment that can be reached by arithmetic.
    const LAST: Self = Self(u64::MAX - 1);

    /// Returns the point `nanos` nanoseconds after [`Time::START`], at most 584 years.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos - (nanos == u64::MAX) as u64)
    }

    /// Nanoseconds since [`Time::START`].
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates below [`Time::UNBOUNDED`], which stays as it is.
    #[inline]
    fn add(self, after: Duration) -> Self {
        if self == Self::UNBOUNDED {
            return self;
        }
        // Cheaper than `Duration::as_nanos`, which is 128 bits wide: anything below 272 years is
        // multiplied and added without a check for overflow.
        if after.as_secs() >> 33 != 0 {
            return Self::LAST;
        }
        let nanos = after.as_secs() * 1_000_000_000 + u64::from(after.subsec_nanos());
        Self::from_nanos(self.0.saturating_add(nanos))
    }
}

impl Sub for Time {
    type Output = Duration;

    /// Zero if `earlier` is not earlier.
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_reached_by_arithmetic_is_bounded() {
        assert!(Time::from_nanos(5) + Duration::MAX < Time::UNBOUNDED);
        assert!(Time::from_nanos(u64::MAX) < Time::UNBOUNDED);
        let last = Time::from_nanos(u64::MAX) + Duration::from_nanos(1);
        assert!(last < Time::UNBOUNDED);
        let unbounded = Time::UNBOUNDED + Duration::from_nanos(1);
        assert_eq!(unbounded, Time::UNBOUNDED);
    }

    #[test]
    fn the_difference_of_two_times_is_never_negative() {
        let (early, late) = (Time::from_nanos(3), Time::from_nanos(10));
        assert_eq!(late - early, Duration::from_nanos(7));
        assert_eq!(early - late, Duration::ZERO);
    }
}
