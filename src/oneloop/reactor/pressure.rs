//! Reduces timeouts as the loop fills: to a half at 80 % of `connections_max`, and to a quarter at
//! 90 %.

use std::time::Duration;

use super::{Limits, Reactor};
use crate::net::Net;
use crate::service::{Service, Time};

/// The rule that turns requested deadlines into effective ones.
#[derive(Debug)]
pub(crate) struct Pressure {
    now: Time,
    /// Deadlines up to this are not reduced. It is past nearly all requests.
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

    /// Takes over the limits on waits.
    pub(crate) fn set_limits(&mut self, limits: &Limits) {
        self.wait_max = limits.wait_max;
        self.timeout_min_under_load = limits.timeout_min_under_load;
        self.set_now(self.now);
    }

    /// Sets the current time, from which waits are counted.
    #[inline]
    pub(crate) fn set_now(&mut self, now: Time) {
        self.now = now;
        let unscaled = match self.halvings {
            0 => self.wait_max,
            _ => self.timeout_min_under_load,
        };
        self.granted = now + unscaled;
    }

    /// Adjusts to the number of admitted connections. Returns true if waits have become shorter, so
    /// that current ones must be shortened too.
    pub(crate) fn update(&mut self, admitted: usize, limits: &Limits) -> bool {
        let halvings = limits.wait_halvings(admitted);
        let shorter = halvings > self.halvings;
        if shorter {
            self.halvings = halvings;
        } else {
            // With hysteresis, so that one connection that comes and goes at the threshold does not
            // shorten the others' waits each time.
            let hysteresis = limits.wait_halvings(admitted + limits.connections_max / 20);
            self.halvings = self.halvings.min(hysteresis);
        }
        self.set_now(self.now);
        shorter
    }

    /// Returns the effective deadline of a wait until `until`.
    #[inline(always)]
    pub(crate) fn scale(&self, until: Time) -> Time {
        if until <= self.granted {
            return until;
        }
        self.scale_cold(until)
    }

    #[cold]
    fn scale_cold(&self, until: Time) -> Time {
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
    /// Adjusts the length of waits to the number of admitted connections. If they become shorter,
    /// starts a sweep that shortens the current ones.
    pub(crate) fn update_pressure(&mut self) {
        let admitted = self.admission.admitted;
        if self.core.pressure.update(admitted, &self.core.limits) {
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

/// Slots that the sweep visits in one turn: some 50 µs of work.
const SWEEP_PER_TURN: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pressure(admitted: usize) -> Pressure {
        let limits = Limits {
            connections_max: 100,
            wait_max: SECOND * 1000,
            ..Limits::default()
        };
        let mut pressure = Pressure::new(&limits);
        pressure.set_now(Time::START + SECOND * 7);
        pressure.update(admitted, &limits);
        pressure
    }

    fn granted(pressure: &Pressure, wait: Duration) -> Duration {
        pressure.scale(pressure.now + wait) - pressure.now
    }

    #[test]
    fn wait_is_scaled_to_all_a_half_or_a_quarter() {
        for (admitted, part) in [(79, 1), (80, 2), (89, 2), (90, 4), (100, 4)] {
            let pressure = pressure(admitted);
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
        for admitted in [0, 85, 100] {
            let pressure = pressure(admitted);
            assert!(granted(&pressure, Duration::MAX) <= SECOND * 1000);
            assert_eq!(pressure.scale(Time::UNBOUNDED), Time::UNBOUNDED);
        }
        assert_eq!(granted(&pressure(0), Duration::MAX), SECOND * 1000);
    }

    #[test]
    fn waits_lengthen_again_only_with_hysteresis() {
        let limits = Limits {
            connections_max: 100,
            ..Limits::default()
        };
        let mut pressure = Pressure::new(&limits);
        let mut halvings = |admitted| {
            let shorter = pressure.update(admitted, &limits);
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
