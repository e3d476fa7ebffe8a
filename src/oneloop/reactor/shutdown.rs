//! Stopping: the drain begins here, and it ends here.

use std::io;

use super::connection::{Flags, Phase};
use super::{Reactor, Stopped, Turn};
use crate::net::Net;
use crate::service::{EndReason, Service, Time};

/// A drain under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    pub(crate) until: Time,
    aborted: usize,
}

impl<S: Service, N: Net> Reactor<S, N> {
    /// Begins to stop. Slots that are in the listeners' queues by now are accepted, and then
    /// no more; every session gets [`Event::Drain`](crate::service::Event::Drain) once the input
    /// that has arrived by now was read; those that have not finished after `Limits::drain_timeout` are cut
    /// off. Further calls do nothing.
    pub fn drain(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let grace = self.core.limits.drain_timeout;
        // The clock is read, for the last turn may have been long ago.
        let until = self.core.update_now() + grace;
        self.drain = Some(Drain { until, aborted: 0 });
        for listener in &mut self.listeners {
            listener.call_last(self.core.limits.backlog as usize);
        }
        let open = self.admission.admitted + self.admission.outbound;
        self.core.call("draining", |service, cx| {
            service.draining(open, grace, cx);
        });
        self.core.counters.looks += self.slots.len() as u64;
        self.slots.notify_all(Flags::DRAIN | Flags::READABLE);
    }

    /// Whether the drain is over, everybody having left.
    pub(crate) fn progress(&self) -> Turn {
        match self.drain {
            Some(Drain { aborted, .. }) if self.slots.is_empty() && !self.listens() => {
                Turn::Stopped(Stopped { aborted })
            }
            _ => Turn::Running,
        }
    }

    pub(crate) fn listens(&self) -> bool {
        self.listeners
            .iter()
            .any(|listener| listener.socket.is_some())
    }

    /// The time to drain is over: ends what is left, whether its output has left or not.
    pub(crate) fn abort_unfinished(&mut self) {
        self.listeners.clear();
        self.slots.clear_ready();
        let mut cut = 0;
        for index in 0..self.slots.end() {
            let Some(connection) = self.slots.get_mut(index) else {
                continue;
            };
            if connection.phase == Phase::Connecting {
                let error = io::Error::new(io::ErrorKind::TimedOut, STOPPING);
                self.core.connect_failed(connection, &error);
            } else if connection.is_unfinished() {
                connection.end(EndReason::DrainTimeout);
                cut += 1;
            }
            connection.phase = Phase::Dead;
            self.slots.rearm_or_retire(index, self.core.now());
        }
        if let Some(drain) = &mut self.drain {
            drain.aborted += cut;
        }
    }
}
impl<S: Service, N: Net> Drop for Reactor<S, N> {
    /// Ends every connection, so that the service gets back every session.
    fn drop(&mut self) {
        self.slots.clear_ready();
        for index in 0..self.slots.end() {
            if let Some(connection) = self.slots.get_mut(index) {
                if connection.is_unfinished() {
                    connection.end(EndReason::Dropped);
                }
                connection.phase = Phase::Dead;
                self.slots.rearm_or_retire(index, self.core.now());
            }
        }
        self.reap();
    }
}

pub(crate) const STOPPING: &str = "the loop is stopping";
