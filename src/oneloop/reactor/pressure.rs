//! Reduces waits as the loop fills: to a half at 80 % of `connections_max`, to a quarter at 90 %.

use std::time::Duration;

use super::{Limits, Reactor};
use crate::net::Net;
use crate::service::{Service, Time};

/// The rule by which the loop grants deadlines: as they are asked for, or earlier.
#[derive(Debug)]
pub(crate) struct Pressure {
    now: Time,
    /// Waits that end by this are granted as they were asked for, nearly all of them.
    granted: Time,
    /// How many times waits are halved at present.
    halvings: u32,
    wait_max: Duration,
    timeout_min_under_load: Duration,
}

impl Pressure {
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut pressure = Self {
            now: Time::START,
            granted: Time::START,
            halvings: 0,
            wait_max: limits.wait_max,
            timeout_min_under_load: limits.timeout_min_under_load,
        };
        pressure.set_now(Time::START);
        pressure
    }

    /// Counts waits from `now` on.
    #[inline]
    pub(crate) fn set_now(&mut self, now: Time) {
        self.now = now;
        let plainly = match self.halvings {
            0 => self.wait_max,
            _ => self.timeout_min_under_load,
        };
        self.granted = now + plainly;
    }

    /// Adjusts to how many connections are served. Returns true if waits have become shorter, and
    /// those under way are to be shortened too.
    pub(crate) fn watch(&mut self, served: usize, limits: &Limits) -> bool {
        let halvings = limits.wait_halvings(served);
        let shorter = halvings > self.halvings;
        if shorter {
            self.halvings = halvings;
        } else {
            // Up again only with some room, so that one connection that comes and goes at the
            // threshold does not shorten the others' waits each time.
            let calm = limits.wait_halvings(served + limits.connections_max / 20);
            self.halvings = self.halvings.min(calm);
        }
        self.set_now(self.now);
        shorter
    }

    /// Returns the deadline that holds for a wait until `until`.
    #[inline(always)]
    pub(crate) fn scale(&self, until: Time) -> Time {
        if until <= self.granted {
            return until;
        }
        self.shortened(until)
    }

    #[cold]
    fn shortened(&self, until: Time) -> Time {
        if until == Time::UNBOUNDED {
            return until;
        }
        let until = until.min(self.now + self.wait_max);
        let now = self.now.as_nanos();
        let wait = (until.as_nanos() - now) >> self.halvings;
        let least = until.min(self.now + self.timeout_min_under_load);
        Time::from_nanos(now + wait).max(least)
    }
}

impl<S: Service, N: Net> Reactor<S, N> {
    /// Adjusts how long waits may be to how full the server is. When they become shorter, those
    /// under way are shortened too, by a sweep over the slots.
    pub(crate) fn update_pressure(&mut self) {
        let served = self.admission.admitted;
        if self.core.pressure.watch(served, &self.core.limits) {
            self.sweep = Some(0);
        }
    }

    pub(crate) fn sweep_deadlines(&mut self) {
        let Some(from) = self.sweep else { return };
        let end = from.saturating_add(SWEEP_PER_TURN);
        for index in from..end {
            if let Some(connection) = self.slots.get_mut(index) {
                connection.shorten_deadline(&self.core.pressure);
                self.slots.rearm_or_retire(index, self.core.now());
            }
        }
        self.sweep = (end < self.slots.end()).then_some(end);
    }
}

/// Slots that the sweep looks at in one turn: some 50 µs of work.
const SWEEP_PER_TURN: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pressure(served: usize) -> Pressure {
        let limits = Limits {
            connections_max: 100,
            wait_max: SECOND * 1000,
            ..Limits::default()
        };
        let mut pressure = Pressure::new(&limits);
        pressure.set_now(Time::START + SECOND * 7);
        pressure.watch(served, &limits);
        pressure
    }

    fn granted(pressure: &Pressure, wait: Duration) -> Duration {
        pressure.scale(pressure.now + wait) - pressure.now
    }

    #[test]
    fn wait_is_granted_in_full_or_a_half_or_a_quarter() {
        for (served, part) in [(79, 1), (80, 2), (89, 2), (90, 4), (100, 4)] {
            let pressure = pressure(served);
            assert_eq!(granted(&pressure, SECOND * 60), SECOND * 60 / part);
            assert_eq!(
                granted(&pressure, SECOND * 5),
                (SECOND * 5 / part).max(SECOND * 2)
            );
            assert_eq!(granted(&pressure, SECOND), SECOND);
        }
    }

    #[test]
    fn wait_ends_after_the_longest_unless_it_is_unbounded() {
        for served in [0, 85, 100] {
            let pressure = pressure(served);
            assert!(granted(&pressure, Duration::MAX) <= SECOND * 1000);
            assert_eq!(pressure.scale(Time::UNBOUNDED), Time::UNBOUNDED);
        }
        assert_eq!(granted(&pressure(0), Duration::MAX), SECOND * 1000);
    }

    #[test]
    fn waits_calm_down_only_with_some_room() {
        let limits = Limits {
            connections_max: 100,
            ..Limits::default()
        };
        let mut pressure = Pressure::new(&limits);
        let mut halvings = |served| {
            let shorter = pressure.watch(served, &limits);
            (shorter, pressure.halvings)
        };
        assert_eq!(halvings(80), (true, 1));
        assert_eq!(halvings(79), (false, 1));
        assert_eq!(halvings(75), (false, 1));
        assert_eq!(halvings(74), (false, 0));
        assert_eq!(halvings(95), (true, 2));
        assert_eq!(halvings(85), (false, 2));
        assert_eq!(halvings(84), (false, 1));
    }
}
