//! Computes the granted part of a wait from the rule alone: a half from 80 % of the connections
//! that may be served, a quarter from 90 %. Waits become longer again once five percent more
//! connections would still be below the threshold.

use oneloop::{Limits, Time};

/// The part of a wait that the loop must grant at present.
#[derive(Debug)]
pub struct Load {
    limits: Limits,
    halvings: u32,
    /// True if waits in progress are to be shortened at the end of the turn.
    pub sweeps: bool,
}

impl Load {
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            halvings: 0,
            sweeps: false,
        }
    }

    /// Sets the number of connections served now.
    pub fn set(&mut self, served: usize) {
        let at_least = self.demanded(served);
        if at_least > self.halvings {
            self.halvings = at_least;
            self.sweeps = true;
        } else {
            let room = self.limits.connections_max / 20;
            self.halvings = self.halvings.min(self.demanded(served + room));
        }
    }

    /// Returns the end of a wait until `until` that is requested now.
    pub fn granted(&self, now: Time, until: Time) -> Time {
        if until <= now || until == Time::UNBOUNDED {
            return until;
        }
        let wait = (until - now).min(self.limits.wait_max);
        let least = wait.min(self.limits.timeout_min_under_load);
        now + (wait / (1 << self.halvings)).max(least)
    }

    fn demanded(&self, served: usize) -> u32 {
        match served * 100 / self.limits.connections_max {
            90.. => 2,
            80.. => 1,
            _ => 0,
        }
    }
}
