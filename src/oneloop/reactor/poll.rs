//! Waiting for events and dispatching them, the first phases of a turn.

use std::io;
use std::time::Duration;

use super::accept::Listener;
use super::connection::Flags;
use super::drive::Outcome;
use super::token::{self, Source};
use super::{Reactor, with_context};
use crate::net::Net;
use crate::service::{Service, Time};

impl<S: Service, N: Net> Reactor<S, N> {
    /// Drives the connections that the events are for.
    pub(crate) fn dispatch_events(&mut self) {
        self.slots.begin_turn();
        self.catch_session_panics(Self::dispatch);
        self.core.counters.events += std::mem::take(&mut self.served) as u64;
    }

    /// Drives the connections that had more to do than an earlier turn allowed, or were woken.
    pub(crate) fn run_ready_queue(&mut self) {
        self.catch_session_panics(Self::run_queue);
    }

    /// Waits until something can be done.
    pub(crate) fn poll(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        let mut polled = self.core.net.poll(&mut self.events, timeout);
        if is_interrupted(&polled) {
            // Again, without waiting: what came while we slept is to be served before deadlines
            // are looked at. A process that was stopped for a while needs that most.
            polled = self.core.net.poll(&mut self.events, Some(Duration::ZERO));
        }
        self.core.update_now();
        self.core.counters.turns += 1;
        if is_interrupted(&polled) {
            return Ok(());
        }
        polled.map_err(|error| with_context(&error, "polling for events failed"))
    }

    /// How long the poll may wait; `None` for as long as it takes.
    pub(crate) fn timeout(&mut self) -> Option<Duration> {
        let at_once = self.slots.ready() > 0 || !self.core.scratch.service.requests.is_empty();
        if at_once || self.sweep.is_some() {
            return Some(Duration::ZERO);
        }
        let mut next = self.slots.next_deadline().min(self.timer);
        if let Some(drain) = self.drain {
            next = next.min(drain.until);
        }
        if self.may_accept() {
            let retries = self.listeners.iter().map(Listener::due);
            next = retries.fold(next, Time::min);
        }
        // The clock is read: the turn may have been long, and whoever embeds the loop may have done
        // other work since.
        (next != Time::NEVER).then(|| next - self.core.net.now())
    }

    /// Drives the connections that the events are for, each within its share of the turn. One that
    /// stands in line already is outcome when its turn comes.
    #[inline(never)]
    pub(crate) fn dispatch(&mut self) {
        let mut hints = N::hints(&self.events);
        if let Some(last) = self.served.checked_sub(1) {
            // A panic came in between.
            hints.nth(last);
        }
        loop {
            self.served += 1;
            if self.served.is_multiple_of(CLOCK_READ_EVERY) {
                self.core.update_now();
            }
            let Some(hint) = hints.next() else {
                break;
            };
            let flags = Flags::of(hint);
            match token::source(hint.token) {
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
                Source::Listener(number) => {
                    if let Some(listener) = self.listeners.get_mut(number) {
                        listener.announce();
                    }
                }
                Source::Poller => self.core.net.woken(),
            }
        }
        self.served -= 1; // there was none
    }

    /// Drives the connections that stood in line when this turn began.
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

/// Events after which the clock is read again within a turn, so that waits that begin late in a
/// long turn do not end early: at most some 64 steps are taken for simultaneous.
const CLOCK_READ_EVERY: usize = 64;
