//! The last phase of a turn: requests from sessions and from other threads.

use super::Reactor;
use super::connection::Flags;
use super::inspect::WALKS_PER_TURN;
use crate::net::Net;
use crate::service::{Control, EndReason, Service, SessionId};

impl<S: Service, N: Net> Reactor<S, N> {
    /// Carries out the requests of sessions and of other threads.
    pub(crate) fn run_requests(&mut self) {
        if self.receiver.is_some() {
            self.run_calls();
        }
        if !self.core.scratch.service.requests.is_empty() || self.slots.has_woken() {
            self.run_session_requests();
        }
        if self.core.net.stop_requested() {
            self.drain();
        }
        if self.sweep.is_some() {
            self.sweep_deadlines();
        }
    }

    /// Carries out the sessions' requests, and those that result, before the next poll.
    ///
    /// Each round drives the sessions that the round before has woken; what is left after the last
    /// one waits for the next turn. So sessions that wake each other for ever do not keep the loop
    /// from its events.
    #[cold]
    fn run_session_requests(&mut self) {
        self.wakes_left = WAKES_PER_TURN;
        self.walks_left = WALKS_PER_TURN;
        for _ in 0..ROUNDS_PER_TURN {
            self.apply_requests();
            self.catch_session_panics(Self::drive_woken);
            self.reap();
            if self.core.scratch.service.requests.is_empty() {
                return;
            }
        }
    }

    /// Drives the woken sessions, within the budget of a turn.
    fn drive_woken(&mut self) {
        while self.wakes_left > 0
            && let Some(index) = self.slots.pop_woken()
        {
            self.wakes_left -= 1;
            self.drive(index);
        }
    }

    pub(crate) fn apply_requests(&mut self) {
        let mut requests = std::mem::take(&mut self.core.scratch.service.requests);
        for id in requests.wake.drain(..) {
            self.slots.wake(id);
        }
        if requests.wake_all {
            self.slots.wake_all();
        }
        for (id, control) in requests.controls {
            self.control(id, control);
        }
        // The list keeps its buffer: waking must not allocate.
        self.core.scratch.service.requests.wake = requests.wake;
        for connect in requests.connect {
            self.connect_or_fail(&connect);
        }
        if requests.drain {
            self.drain();
        }
        if !requests.inspect.is_empty() {
            self.report(requests.inspect);
        }
    }

    /// Changes the connection of a session. Does nothing if the session has ended.
    fn control(&mut self, id: SessionId, control: Control) {
        if let Control::Readdress(announced) = control {
            return self.readdress(id, announced);
        }
        let now = self.core.now();
        let Some(connection) = self.slots.find(id) else {
            return;
        };
        match control {
            Control::Duplex(on) => connection.set_duplex(on),
            Control::Finish => self.core.finish(connection),
            Control::Flushed => {
                connection.flags.add(Flags::FLUSHED);
                self.slots.enqueue(id.index);
            }
            Control::Abort if connection.is_unfinished() => connection.abort(EndReason::Aborted),
            Control::Abort | Control::Readdress(_) => {}
        }
        self.slots.rearm_or_retire(id.index, now);
    }
}

/// The most sessions driven in one turn because they were woken: some 0.3 ms of work.
///
/// A broadcast to thousands then does not keep the loop from its events for long, and what is
/// broadcast meanwhile leaves in the same write.
const WAKES_PER_TURN: usize = 64;

/// The most rounds of requests in one turn. A message that is forwarded takes one.
const ROUNDS_PER_TURN: usize = 8;
