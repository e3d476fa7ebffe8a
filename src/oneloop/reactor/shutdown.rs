//! The drain: its start and its end.

use std::io;

use super::connection::{Flags, Phase};
use super::core::{Core, Slot};
use super::{Reactor, Stopped, Turn};
use crate::net::Net;
use crate::service::{EndReason, Service, Time};

/// A drain in progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    pub(crate) deadline: Time,
    aborted: usize,
}

impl<S: Service, N: Net> Reactor<S, N> {
    /// Starts a drain. Further calls do nothing.
    ///
    /// Connections that are already in the listeners' queues are still accepted, and no more. Every
    /// session gets [`Event::Drain`](crate::service::Event::Drain) once its input that has already
    /// arrived was read. Connections that are unfinished after `Limits::drain_timeout` are aborted.
    pub fn drain(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let grace = self.core.limits.drain_timeout;
        // The clock is read again, because the last turn may have been long ago.
        let deadline = self.core.update_now() + grace;
        self.drain = Some(Drain {
            deadline,
            aborted: 0,
        });
        for listener in &mut self.listeners {
            listener.close_after(self.core.limits.backlog as usize);
        }
        let open = self.admission.admitted + self.admission.outbound;
        self.core.call("draining", |service, cx| {
            service.draining(open, grace, cx);
        });
        self.core.counters.looks += self.slots.len() as u64;
        self.slots.notify_all(Flags::DRAIN | Flags::READABLE);
    }

    /// Returns `Stopped` once the drain is over and every connection has ended. From then on no call
    /// of another thread is accepted.
    pub(crate) fn progress(&mut self) -> Turn {
        match self.drain {
            Some(Drain { aborted, .. }) if self.slots.is_empty() && !self.listens() => {
                self.close_calls();
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

    /// Aborts all unfinished connections, because the drain has timed out.
    pub(crate) fn abort_unfinished(&mut self) {
        self.listeners.clear();
        let mut aborted = 0;
        self.end_all(|core, connection| {
            if connection.phase == Phase::Connecting {
                let error = io::Error::new(io::ErrorKind::TimedOut, STOPPING);
                core.connect_failed(connection, &error);
            } else {
                connection.abort(EndReason::DrainTimeout);
                aborted += 1;
            }
        });
        if let Some(drain) = &mut self.drain {
            drain.aborted += aborted;
        }
    }

    /// Ends every connection now; `abort` decides how an unfinished one ends.
    fn end_all(&mut self, mut abort: impl FnMut(&mut Core<S, N>, &mut Slot<S, N>)) {
        self.slots.clear_ready();
        for index in 0..self.slots.end() {
            let Some(connection) = self.slots.get_mut(index) else {
                continue;
            };
            if connection.is_unfinished() {
                abort(&mut self.core, connection);
            }
            connection.phase = Phase::Dead;
            self.slots.rearm_or_retire(index, self.core.now());
        }
    }
}

impl<S: Service, N: Net> Drop for Reactor<S, N> {
    /// Refuses calls, and ends every connection, so that the service gets back every session.
    fn drop(&mut self) {
        self.close_calls();
        self.end_all(|_, connection| connection.abort(EndReason::Dropped));
        self.reap();
    }
}

pub(crate) const STOPPING: &str = "the loop is stopping";
