//! Rates, and what was consumed at a rate.

use crate::service::Time;

/// A rate in units per second, with a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time that one unit takes. 0 if there is no limit.
    nanos_per_unit: u64,
    /// The time that the burst takes.
    burst_nanos: u64,
    /// The units that a session may take at once in advance.
    pub(super) lease: u32,
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
        lease: u32::MAX,
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
        let nanos = nanos_per_unit.saturating_mul(burst);
        Self {
            nanos_per_unit,
            burst_nanos: if nanos > NANOS_MAX { NANOS_MAX } else { nanos },
            lease: if burst / 16 > LEASE_MAX {
                LEASE_MAX
            } else {
                burst / 16
            } as u32,
        }
    }
}

impl Bucket {
    /// Adds units at the time `now`. After [`Level::Debt`], [`bound`](Self::bound) is to be called.
    #[inline(always)]
    pub(super) fn charge(&mut self, rate: Rate, units: u32, now: Time) -> Level {
        let now = now.as_nanos();
        // No sum overflows: the time is below 2^61, as are a burst and a debt, and units take less
        // than 2^62.
        self.empty_at = self.empty_at.max(now) + u64::from(units) * rate.nanos_per_unit;
        match self.empty_at > now + rate.burst_nanos {
            true => Level::Debt,
            false => Level::Allowed,
        }
    }

    /// Takes back units that were charged and not used.
    pub(super) fn refund(&mut self, rate: Rate, units: u32) {
        let nanos = u64::from(units) * rate.nanos_per_unit;
        self.empty_at = self.empty_at.saturating_sub(nanos);
    }

    /// Bounds the debt by 73 years.
    pub(super) fn bound(&mut self, now: Time) {
        let most = now.as_nanos() + NANOS_MAX;
        self.empty_at = self.empty_at.min(most);
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

/// The most units of a lease.
const LEASE_MAX: u64 = 1 << 20;

/// The longest time that a burst or a debt takes.
const NANOS_MAX: u64 = 1 << 61;
