//! Rates, and what was consumed at a rate.

use crate::service::Time;

/// A rate in units per second, with a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time that one unit takes. 0 if there is no limit.
    nanos_per_unit: u64,
    /// The time that the burst takes.
    burst_nanos: u64,
}

/// Consumption at some rate: a leaky bucket as the time at which it will be empty (the generic cell
/// rate algorithm).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    empty_at: Time,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self {
        nanos_per_unit: 0,
        burst_nanos: 0,
    };

    /// Allows `units` per second, and `burst` units at once after a pause.
    ///
    /// One unit takes a whole number of nanoseconds, so a rate is exact to 1 % up to ten million
    /// units per second; the highest one is a billion.
    ///
    /// # Panics
    /// If `units` is 0.
    #[must_use]
    pub const fn per_second(units: u64, burst: u64) -> Self {
        assert!(units > 0, "a rate of 0 would never read again");
        let nanos = 1_000_000_000 / units;
        let nanos_per_unit = if nanos == 0 { 1 } else { nanos };
        Self {
            nanos_per_unit,
            burst_nanos: nanos_per_unit.saturating_mul(burst),
        }
    }
}

impl Bucket {
    /// Adds units, and returns when the bucket has room again.
    #[inline]
    pub(super) fn charge(&mut self, rate: Rate, units: u64, now: Time) -> Time {
        let nanos = units.saturating_mul(rate.nanos_per_unit);
        let empty_at = self.empty_at.max(now).as_nanos().saturating_add(nanos);
        self.empty_at = Time::from_nanos(empty_at);
        Time::from_nanos(empty_at.saturating_sub(rate.burst_nanos))
    }

    /// Returns when the bucket will be empty.
    pub(super) fn empty_at(&self) -> Time {
        self.empty_at
    }
}
