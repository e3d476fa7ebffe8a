//! Acting on the deadlines of connections.

use super::Reactor;
use super::connection::Flags;
use crate::net::Net;
use crate::service::Service;

impl<S: Service, N: Net> Reactor<S, N> {
    /// Acts on the deadlines that have come, within the budget of a turn, and ends a drain whose
    /// time is over.
    pub(crate) fn fire_timers(&mut self) {
        self.deadlines_left = self.core.limits.turn_deadlines_max;
        self.catch_session_panics(Self::fire);
    }

    /// Acts on the deadlines that have come. Those that only moved away are filed again.
    pub(crate) fn fire(&mut self) {
        let now = self.core.now();
        if self.drain.is_some_and(|drain| drain.until <= now) {
            self.abort_unfinished();
        }
        while self.deadlines_left > 0 {
            let Some(index) = self.slots.fire(now) else {
                return;
            };
            let connection = &mut self.slots[index];
            if connection.due > now {
                self.slots.rearm_or_retire(index, now);
                continue;
            }
            self.deadlines_left -= 1;
            // What came in time counts, though its event may be in a batch still to come.
            connection.flags.add(Flags::READABLE | Flags::WRITABLE);
            self.core.counters.looks += 1;
            self.drive(index);
            self.expire(index);
        }
    }

    /// Ends the wait of a connection, unless it has just been given a longer one.
    pub(crate) fn expire(&mut self, index: u32) {
        let connection = &mut self.slots[index];
        if connection.due <= self.core.now() {
            self.core.expire(connection);
            self.drive(index);
        }
    }
}
