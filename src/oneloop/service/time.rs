//! The loop's clock, as seen by services.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the clock of one loop: nanoseconds since the loop was created.
///
/// It never goes backwards. Under simulation it is virtual. 64 bits last for 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The moment the loop was created.
    pub const START: Self = Self(0);
    /// A deadline that never comes: `Next::Read { until: Time::UNBOUNDED }`.
    ///
    /// No arithmetic results in it, and the loop does not shorten such a wait when it is nearly
    /// full. It is for connections that are trusted, or bounded by other means: every other wait
    /// ends after `Limits::wait_max` at the latest.
    pub const UNBOUNDED: Self = Self(u64::MAX);
    /// A moment that never comes.
    pub(crate) const NEVER: Self = Self::UNBOUNDED;
    /// The latest moment that arithmetic results in.
    const LAST: Self = Self(u64::MAX - 1);

    /// Returns the point `nanos` nanoseconds after [`Time::START`], at most 584 years.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos - (nanos == u64::MAX) as u64)
    }

    /// Returns the nanoseconds since [`Time::START`].
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the duration from `earlier` to this; zero if `earlier` is later.
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
        // Cheaper than the 128-bit `Duration::as_nanos`: below 272 years, multiplication and
        // addition need no check for overflow.
        if after.as_secs() >> 33 != 0 {
            return Self::LAST;
        }
        let nanos = after.as_secs() * 1_000_000_000 + u64::from(after.subsec_nanos());
        Self::from_nanos(self.0.saturating_add(nanos))
    }
}

impl Sub for Time {
    type Output = Duration;

    /// Returns the duration from `earlier` to this; zero if `earlier` is later.
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
    fn difference_of_times_is_never_negative() {
        let (early, late) = (Time::from_nanos(3), Time::from_nanos(10));
        assert_eq!(late - early, Duration::from_nanos(7));
        assert_eq!(early - late, Duration::ZERO);
    }
}
