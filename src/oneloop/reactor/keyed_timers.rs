//! Firing the timers that sessions and the service have set.

use std::time::Duration;

use super::Reactor;
use super::connection::{Flags, Phase};
use super::core::Core;
use crate::net::Net;
use crate::service::{Part, Place, Service, SessionId, TimerId, TimerKey};

impl<S: Service, N: Net> Reactor<S, N> {
    /// Fires expired timers, within the budget of a turn.
    #[cold]
    pub(crate) fn fire_keyed_timers(&mut self) {
        self.deadlines_left = self.core.limits.turn_deadlines_max;
        self.catch_session_panics(Self::fire_expired_timers);
    }

    fn fire_expired_timers(&mut self) {
        let now = self.core.now();
        while self.deadlines_left > 0 {
            let Some((id, place)) = self.core.scratch.service.timers.first_expired(now) else {
                return;
            };
            self.deadlines_left -= 1;
            if let Some(watching) = &mut self.watching
                && let Some(at) = self.core.scratch.service.timers.get(id)
            {
                watching.note_deadline(now - at);
            }
            match id {
                TimerId::Session(session, key) => self.fire_session_timer(session, key, place),
                TimerId::Service(part, key) => self.core.fire_service_timer(part, key),
            }
        }
    }

    /// Steps a session with its timer, or leaves the timer due until the session can be stepped.
    fn fire_session_timer(&mut self, session: SessionId, key: TimerKey, place: Place) {
        let id = TimerId::Session(session, key);
        let Some(connection) = self.slots.find(session).filter(|c| c.phase == Phase::Live) else {
            // The session has closed: it is not stepped again.
            return self.core.scratch.service.timers.cancel(id);
        };
        // Input that arrived before the timer counts, even if its event is still to come.
        connection.flags.add(Flags::READABLE);
        self.core.counters.looks += 1;
        self.drive(session.index);
        let now = self.core.now();
        if self.core.scratch.service.timers.expire(id, place, now) {
            self.drive(session.index);
        }
    }
}

impl<S: Service, N: Net> Core<S, N> {
    fn fire_service_timer(&mut self, part: Part, key: u64) {
        let id = TimerId::Service(part, key);
        self.scratch.service.due = part;
        self.scratch.service.timers.cancel(id);
        let called = self.call("on_timer", |service, cx| service.on_timer(key, cx));
        let now = self.now();
        let timers = &mut self.scratch.service.timers;
        if called.is_none() && timers.get(id).is_none() {
            timers.set(id, now + TIMER_RETRY, now);
        }
    }

    /// Frees the timers of a session that has ended.
    #[inline]
    pub(crate) fn cancel_timers(&mut self, session: SessionId) {
        let timers = &mut self.scratch.service.timers;
        if !timers.is_empty() {
            timers.cancel_all_of(session);
        }
    }
}

/// The delay until a timer callback that panicked is called again.
const TIMER_RETRY: Duration = Duration::from_secs(1);
