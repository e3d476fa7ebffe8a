//! The open loop's schedule: which name is due when, computed instead of stored.
//!
//! Names are due at equal distances and go to the slots in turn, so the `k`-th name of slot `s` of
//! `n` is the `k n + s`-th of all. A slot that cannot send, because the server is slow or the
//! connection lost, loses nothing: a name that was due stays due, and its time runs.

use std::time::Duration;

use oneloop::Time;

/// A fixed rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Schedule {
    start: Time,
    /// Nanoseconds between two names. Not whole: 3 names a second must be 3 in each second.
    period: f64,
    slots: u64,
    /// Names that are to be sent in all.
    total: u64,
}

impl Schedule {
    /// Returns a schedule of `rate` names a second from `start` on for as long as `lasts`, sent by
    /// `slots` in turn.
    pub(crate) fn new(start: Time, rate: f64, lasts: Duration, slots: u32) -> Self {
        Self {
            start,
            period: 1e9 / rate,
            slots: u64::from(slots),
            total: (lasts.as_secs_f64() * rate).round() as u64,
        }
    }

    /// Returns the time at which the `number`-th name of all is due.
    pub(crate) fn due(&self, number: u64) -> Time {
        self.start + Duration::from_nanos((number as f64 * self.period) as u64)
    }

    /// Returns the time at which the `number`-th name of `slot` is due.
    #[inline]
    pub(crate) fn due_of(&self, slot: u32, number: u64) -> Time {
        self.due(number * self.slots + u64::from(slot))
    }

    /// Returns the number of names that are due by `now`.
    pub(crate) fn due_by(&self, now: Time) -> u64 {
        if now < self.start {
            return 0;
        }
        let estimate = (now.since(self.start).as_nanos() as f64 / self.period) as u64;
        // Rounding may put the last one on either side.
        let first = estimate.saturating_sub(1);
        let due = (first..estimate + 2).take_while(|&number| self.due(number) <= now);
        (first + due.count() as u64).min(self.total)
    }

    /// Returns how many of the first `count` names are this slot's.
    #[inline]
    pub(crate) fn share(&self, slot: u32, count: u64) -> u64 {
        (count + self.slots - 1 - u64::from(slot)) / self.slots
    }

    /// Names that are to be sent in all.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn names_are_due_at_equal_distances_from_the_start() {
        let schedule = Schedule::new(at(500), 1e6, Duration::from_millis(1), 3);
        assert_eq!(schedule.total(), 1000);
        assert_eq!(schedule.due(0), at(500));
        assert_eq!(schedule.due(7), at(7500));
        for (now, due) in [
            (0, 0),
            (499, 0),
            (500, 1),
            (1499, 1),
            (1500, 2),
            (u64::MAX / 2, 1000),
        ] {
            assert_eq!(schedule.due_by(at(now)), due, "{now}");
        }
    }

    #[test]
    fn uneven_rate_does_not_drift() {
        let schedule = Schedule::new(Time::START, 3.0, Duration::from_secs(3600), 1);
        assert_eq!(schedule.total(), 10_800);
        assert_eq!(schedule.due(10_797), at(3_599_000_000_000));
        for number in 0..10_800 {
            let due = schedule.due(number);
            assert_eq!(schedule.due_by(due), number + 1);
            assert_eq!(
                schedule.due_by(at(due.as_nanos() - u64::from(number > 0))),
                number.max(1)
            );
        }
    }

    #[test]
    fn slots_take_turns() {
        let schedule = Schedule::new(Time::START, 1e9, Duration::from_secs(1), 3);
        assert_eq!([0, 1, 2].map(|slot| schedule.share(slot, 7)), [3, 2, 2]);
        assert_eq!([0, 1, 2].map(|slot| schedule.share(slot, 0)), [0, 0, 0]);
        assert_eq!(schedule.due_of(2, 2), at(8));
    }
}
