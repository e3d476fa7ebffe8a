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

/// Consumption at some rate: a leaky bucket, as the time at which it will be empty (the generic cell
/// rate algorithm).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    /// In nanoseconds, as [`Time::as_nanos`].
    empty_at: u64,
}

/// Whether a bucket holds more than a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Allowed,
    Debt,
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
    /// Adds units at the time `now`.
    #[inline(always)]
    pub(super) fn charge(&mut self, rate: Rate, units: u64, now: Time) -> Level {
        let (now, nanos) = (now.as_nanos(), units.min(UNITS_MAX) * rate.nanos_per_unit);
        self.empty_at = self.empty_at.max(now).saturating_add(nanos);
        match self.empty_at - now > rate.burst_nanos {
            true => Level::Debt,
            false => Level::Allowed,
        }
    }

    /// Returns when the bucket holds no more than a burst.
    pub(super) fn paid_at(&self, rate: Rate) -> Time {
        Time::from_nanos(self.empty_at.saturating_sub(rate.burst_nanos))
    }

    /// Returns when the bucket is empty.
    pub(super) fn empty_at(&self) -> Time {
        Time::from_nanos(self.empty_at)
    }
}

/// The most units of one step. At the lowest rate they take half a year, and never overflow.
const UNITS_MAX: u64 = 1 << 24;
