//! Firing the deadlines of connections.

use super::Reactor;
use super::connection::Flags;
use crate::net::Net;
use crate::service::Service;

impl<S: Service, N: Net> Reactor<S, N> {
    /// Fires expired deadlines and timers, each within the budget of a turn, and ends a drain that
    /// has timed out.
    pub(crate) fn fire_timers(&mut self) {
        self.deadlines_left = self.core.limits.turn_deadlines_max;
        self.catch_session_panics(Self::fire_expired);
        if !self.core.scratch.service.timers.is_empty() {
            self.fire_keyed_timers();
        }
    }

    /// Fires expired timers. A timer whose deadline has only moved is rearmed.
    pub(crate) fn fire_expired(&mut self) {
        let now = self.core.now();
        if self.drain.is_some_and(|drain| drain.deadline <= now) {
            self.abort_unfinished();
        }
        while self.deadlines_left > 0 {
            let Some(index) = self.slots.pop_expired(now) else {
                return;
            };
            let connection = &mut self.slots[index];
            if connection.deadline > now {
                self.slots.rearm_or_retire(index, now);
                continue;
            }
            self.deadlines_left -= 1;
            if let Some(watching) = &mut self.watching {
                watching.note_deadline(now - connection.deadline);
            }
            // Input that arrived before the deadline counts, even if its event is still to come.
            connection.flags.add(Flags::READABLE | Flags::WRITABLE);
            self.core.counters.looks += 1;
            self.drive(index);
            self.expire(index);
        }
    }

    /// Expires a connection, unless its deadline has just moved.
    pub(crate) fn expire(&mut self, index: u32) {
        let connection = &mut self.slots[index];
        if connection.deadline <= self.core.now() {
            self.core.expire(connection);
            self.drive(index);
        }
    }
}
