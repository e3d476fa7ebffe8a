//! The last phase of a turn: requests from sessions and from other threads.

use super::Reactor;
use super::connection::Flags;
use crate::net::Net;
use crate::service::Service;

impl<S: Service, N: Net> Reactor<S, N> {
    /// Carries out the requests of sessions and of other threads.
    pub(crate) fn run_requests(&mut self) {
        if self.receiver.is_some() {
            self.run_calls();
        }
        if !self.core.scratch.service.requests.is_empty() {
            self.apply_requests();
        }
        if self.core.net.stop_requested() {
            self.drain();
        }
        if self.sweep.is_some() {
            self.sweep_deadlines();
        }
    }

    #[cold]
    pub(crate) fn apply_requests(&mut self) {
        let mut requests = std::mem::take(&mut self.core.scratch.service.requests);
        for id in requests.wake.drain(..) {
            self.slots.notify(id, Flags::WAKE);
        }
        // The list keeps its buffer: waking must not allocate.
        self.core.scratch.service.requests.wake = requests.wake;
        for connect in requests.connect {
            self.connect_or_fail(connect);
        }
        if requests.drain {
            self.drain();
        }
    }
}
