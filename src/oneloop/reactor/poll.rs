//! Waiting for events and dispatching them: the first phases of a turn.

use std::io;
use std::time::Duration;

use super::connection::Flags;
use super::drive::Outcome;
use super::token::{self, Source};
use super::{Reactor, RunError};
use crate::net::Net;
use crate::service::{Service, Time};

impl<S: Service, N: Net> Reactor<S, N> {
    /// Drives the connections that have events.
    pub(crate) fn dispatch_events(&mut self) {
        self.slots.begin_turn();
        self.core.scratch.service.timers.begin_turn();
        self.catch_session_panics(Self::dispatch);
        self.core.counters.events += std::mem::take(&mut self.dispatched) as u64;
    }

    /// Drives the connections in the ready queue: their budget was spent, or they were woken.
    pub(crate) fn run_ready_queue(&mut self) {
        self.catch_session_panics(Self::run_queue);
    }

    /// Waits for events, until the next deadline at most. Starts the service before the first time.
    pub(crate) fn poll(&mut self) -> Result<(), RunError> {
        if self.is_new {
            self.start();
        }
        let mut timeout = self.timeout();
        if let Some(most) = self.wait_max {
            timeout = Some(timeout.map_or(most, |timeout| timeout.min(most)));
        }
        if !self.core.limits.gather_time.is_zero() {
            timeout = self.let_events_gather(timeout);
        }
        let mut polled = self.core.net.poll(&mut self.events, timeout);
        if is_interrupted(&polled) {
            // Poll again, without waiting: input that arrived meanwhile must be read before timers
            // fire. That matters most after the process was stopped for a while.
            polled = self.core.net.poll(&mut self.events, Some(Duration::ZERO));
        }
        self.polled_at = self.core.update_now();
        self.core.counters.turns += 1;
        if self.watching.is_some() {
            self.begin_watched_turn();
        }
        if is_interrupted(&polled) {
            return Ok(());
        }
        polled.map_err(RunError::Poll)
    }

    /// Sleeps until the time since the last poll in which events may gather is over. Returns how much
    /// of `timeout` is left.
    #[cold]
    fn let_events_gather(&mut self, timeout: Option<Duration>) -> Option<Duration> {
        let counted = self.core.counters.events;
        let events = counted - std::mem::replace(&mut self.events_before, counted);
        let due = self.polled_at + self.core.limits.gather_time_after(events);
        let left = due - self.core.net.now();
        let pause = timeout.map_or(left, |timeout| timeout.min(left));
        if !pause.is_zero() {
            self.core.net.pause(pause);
        }
        timeout.map(|timeout| timeout - pause)
    }

    #[cold]
    fn start(&mut self) {
        self.is_new = false;
        self.core.update_now();
        self.core.call("started", |service, cx| service.started(cx));
    }

    /// Returns how long the poll may wait; `None` sets no bound.
    pub(crate) fn timeout(&mut self) -> Option<Duration> {
        let at_once = self.slots.ready() > 0 || !self.core.scratch.service.requests.is_empty();
        let has_calls = self
            .receiver
            .as_ref()
            .is_some_and(|receiver| receiver.has_calls());
        if at_once || has_calls || self.sweep.is_some() {
            return Some(Duration::ZERO);
        }
        let mut next = self.slots.next_deadline();
        next = next.min(self.core.scratch.service.timers.next());
        if let Some(drain) = &self.drain {
            next = next.min(drain.next_at());
            if self.has_stage_drained() {
                next = Time::START;
            }
        }
        for (index, listener) in self.listeners.iter().enumerate() {
            if self.may_accept(index) {
                next = next.min(listener.retry_at());
            }
        }
        // The clock is read again: the turn may have been long, and a program that embeds the loop
        // may have done other work since.
        (next != Time::NEVER).then(|| next - self.core.net.now())
    }

    /// Drives the connections that have events, each within its budget. A connection in the ready
    /// queue is driven from there.
    #[inline(never)]
    pub(crate) fn dispatch(&mut self) {
        let mut events = N::events(&self.events);
        if let Some(last) = self.dispatched.checked_sub(1) {
            // A panic has interrupted the dispatch.
            events.nth(last);
        }
        loop {
            self.dispatched += 1;
            if self.dispatched.is_multiple_of(CLOCK_READ_EVERY) {
                self.core.update_now();
            }
            let Some(event) = events.next() else {
                break;
            };
            let flags = Flags::of(event);
            match token::source(event.token) {
                Source::Connection(id) => match self.slots.find(id) {
                    Some(connection) => {
                        connection.flags.add(flags);
                        if connection.flags.has(Flags::LISTED) {
                            continue;
                        }
                        let outcome = self.core.drive(connection, id);
                        if outcome != Outcome::Idle || !connection.timer_covers() {
                            let now = self.core.now();
                            self.slots.requeue(id.index, outcome, now);
                        }
                    }
                    None => self.core.counters.stale_events += 1,
                },
                Source::Listener(listener) => {
                    if let Some(entry) = self.listeners.get_mut(listener) {
                        entry.mark_ready();
                    }
                }
                Source::Poller => self.core.net.ack_wake(),
            }
        }
        self.dispatched -= 1; // the last call returned no event
    }

    /// Drives the connections that were in the ready queue when this turn began.
    pub(crate) fn run_queue(&mut self) {
        while let Some(index) = self.slots.pop_ready() {
            self.drive(index);
        }
    }

    /// Drives a connection that has no event.
    pub(crate) fn drive(&mut self, index: u32) {
        let id = self.slots.id(index);
        let outcome = self.core.drive_on(&mut self.slots[index], id);
        let now = self.core.now();
        self.slots.requeue(index, outcome, now);
    }
}

fn is_interrupted<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::Interrupted)
}

/// Events between readings of the clock within a turn. So waits that begin late in a long turn do
/// not end early. At most some 64 steps share one time.
const CLOCK_READ_EVERY: usize = 64;
