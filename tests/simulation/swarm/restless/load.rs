//! How much of a wait is granted, told from the rule alone: a half from 80 % of the connections that
//! may be served, a quarter from 90 %, and the whole again when five percent fewer would be below.

use oneloop::{Limits, Time};

/// What the loop must grant at present.
#[derive(Debug)]
pub struct Load {
    limits: Limits,
    halvings: u32,
    /// Waits under way are to be shortened when the turn ends.
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

    /// So many connections are served now.
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

    /// When a wait until `until` that is asked for now must end.
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
