//! The drain: its start and its end.

use std::time::Duration;

use super::connection::{Flags, Origin, Phase};
use super::core::{Core, Slot};
use super::ends::ListenerInfo;
use super::listen::{DrainOrder, QueueOwner};
use super::{Reactor, Stopped, Turn};
use crate::net::Net;
use crate::service::{ConnectError, EndReason, Service, Time};

/// A drain in progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    pub(crate) deadline: Time,
    stage: Stage,
    aborted: usize,
}

/// Which connections drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// All but those of the listeners that drain last.
    First {
        /// When the others begin at the latest.
        until: Time,
    },
    All,
}

impl Drain {
    /// Returns when the drain goes on without an event.
    pub(crate) fn next_at(&self) -> Time {
        match self.stage {
            Stage::First { until } => until,
            Stage::All => self.deadline,
        }
    }
}

impl<S: Service, N: Net> Reactor<S, N> {
    /// Starts a drain. Further calls do nothing.
    ///
    /// Connections that are already in the listeners' queues are still accepted, and no more, except
    /// those of [shared](super::Listen::shared) listeners: these are left to the other process. Every
    /// session gets [`Event::Drain`](crate::service::Event::Drain) once its input that has already
    /// arrived was read. Connections that are unfinished after `Limits::drain_timeout` are aborted.
    /// Listeners with [`Listen::drain_last`](super::Listen::drain_last) begin when the others have
    /// ended.
    pub fn drain(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let grace = self.core.limits.drain_timeout;
        // The clock is read again, because the last turn may have been long ago.
        let now = self.core.update_now();
        self.drain = Some(Drain {
            deadline: now + grace,
            stage: self.first_stage(now, grace),
            aborted: 0,
        });
        self.close_listeners();
        let open = self.admission.admitted + self.admission.outbound;
        self.core.call("draining", |service, cx| {
            service.draining(open, grace, cx);
        });
        self.notify_of_drain(DrainOrder::First);
    }

    /// Closes the listeners, because another process that has the same sockets accepts from now on.
    ///
    /// The connections in their queues are left to that process, and so are the files of Unix-domain
    /// sockets. Open connections go on; [`drain`](Self::drain) ends them. The other process must have
    /// the sockets open already: connections in the queue of a socket that nothing has open are
    /// reset.
    pub fn hand_over(&mut self) {
        for listener in 0..self.listeners.len() {
            self.leave_queue(listener);
        }
    }

    fn first_stage(&self, now: Time, grace: Duration) -> Stage {
        let last = |listener: &ListenerInfo| listener.drain_order == DrainOrder::Last;
        match self.core.listeners.iter().any(last) {
            true => Stage::First {
                until: now + grace * 9 / 10,
            },
            false => Stage::All,
        }
    }

    /// Returns true if the connections of a listener drain.
    pub(crate) fn drains(&self, listener: usize) -> bool {
        match &self.drain {
            None => false,
            Some(drain) => drain.stage == Stage::All || !self.is_last(listener),
        }
    }

    fn is_last(&self, listener: usize) -> bool {
        self.core.listeners[listener].drain_order == DrainOrder::Last
    }

    /// Begins to close the listeners that drain.
    fn close_listeners(&mut self) {
        for listener in 0..self.listeners.len() {
            if self.drains(listener) && self.listeners[listener].accepts_left.is_none() {
                self.close_listener(listener);
            }
        }
    }

    fn close_listener(&mut self, listener: usize) {
        match self.listeners[listener].queue {
            QueueOwner::Own => self.listeners[listener].close_after_queue(),
            QueueOwner::Shared => self.leave_queue(listener),
        }
    }

    /// Closes a listener without looking into its queue.
    fn leave_queue(&mut self, listener: usize) {
        if let Some(socket) = self.listeners[listener].take_socket() {
            self.core.net.release(socket);
        }
    }

    /// Queues the event for the connections that drain now.
    fn notify_of_drain(&mut self, order: DrainOrder) {
        let listeners = &self.core.listeners;
        let order_of = |connection: &Slot<S, N>| match connection.origin {
            Origin::Outbound => DrainOrder::First,
            Origin::Accepted | Origin::Proxy | Origin::Refused => {
                listeners[connection.listener as usize].drain_order
            }
        };
        let drains = |connection: &_| order_of(connection) == order;
        let notified = self
            .slots
            .notify_where(drains, Flags::DRAIN | Flags::READABLE);
        self.core.counters.looks += notified;
    }

    /// Returns true if every connection but those that drain last has ended.
    fn has_first_drained(&self) -> bool {
        let last = (0..self.listeners.len()).filter(|&listener| self.is_last(listener));
        let left = last.map(|listener| self.admission.admitted_by(listener));
        let open = self.admission.admitted + self.admission.outbound;
        open == left.sum::<usize>() && !self.listens(DrainOrder::First)
    }

    /// Returns true if nothing is left of the drain's present stage, so that the next turn ends it.
    pub(crate) fn has_stage_drained(&self) -> bool {
        match self.drain {
            None => false,
            Some(Drain {
                stage: Stage::First { .. },
                ..
            }) => self.has_first_drained(),
            Some(_) => self.slots.is_empty() && !self.listens_at_all(),
        }
    }

    /// Begins to drain the connections that drain last.
    fn drain_last(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.stage = Stage::All;
        }
        self.close_listeners();
        self.notify_of_drain(DrainOrder::Last);
    }

    /// Returns `Stopped` once the drain is over and every connection has ended. From then on no call
    /// of another thread is accepted.
    pub(crate) fn progress(&mut self) -> Turn {
        match self.drain {
            None => Turn::Running,
            Some(Drain {
                stage: Stage::First { until },
                ..
            }) => {
                if until <= self.core.now() || self.has_stage_drained() {
                    self.drain_last();
                }
                Turn::Running
            }
            Some(Drain { aborted, .. }) if self.has_stage_drained() => {
                self.listeners.clear(); // one that never has a place is open
                self.close_calls();
                Turn::Stopped(Stopped { aborted })
            }
            Some(_) => Turn::Running,
        }
    }

    /// Returns true if a listener of this order may still accept.
    ///
    /// One without a place may not: it waits for the end of another connection, of this order or of
    /// the other one. Then this is asked again.
    fn listens(&self, order: DrainOrder) -> bool {
        let mut listeners = self.listeners.iter().zip(&self.core.listeners);
        listeners.any(|(listener, info)| {
            listener.socket.is_some()
                && info.drain_order == order
                && self.may_accept(info.id.index())
        })
    }

    fn listens_at_all(&self) -> bool {
        self.listens(DrainOrder::First) || self.listens(DrainOrder::Last)
    }

    /// Aborts all unfinished connections, because the drain has timed out.
    pub(crate) fn abort_unfinished(&mut self) {
        self.listeners.clear();
        let mut aborted = 0;
        self.end_all(|core, connection| {
            if connection.phase == Phase::Connecting {
                core.connect_failed(connection, &ConnectError::Stopping);
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
