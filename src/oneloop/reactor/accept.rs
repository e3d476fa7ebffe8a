//! Listening sockets, and accepting from them within a budget.

use std::io;

use log::debug;

use super::connection::{Connection, Flags, Origin, Phase};
use super::ends::Ends;
use super::guard::{is_proxy, refusal_message};
use super::listen::QueueOwner;
use super::{Reactor, RunError, WhenFull};
use crate::net::{AcceptError, Net};
use crate::service::{Address, EndReason, Peer, PeerAddress, Route, Service, SessionId, Time};

/// A listening socket and the state of its queue.
#[derive(Debug)]
pub(crate) struct Listener<L> {
    /// `None` once the socket is closed.
    pub(crate) socket: Option<L>,
    pub(crate) address: Address,
    /// The treatment of connections for which there is no place; `None` is that of the limits.
    pub(crate) when_full: Option<WhenFull>,
    pub(crate) queue: QueueOwner,
    backlog: usize,
    pub(crate) accepting: Accepting,
    /// The number of connections that may still be accepted in this turn.
    pub(crate) budget: usize,
    /// During a drain: the number of connections to accept before the socket is closed.
    pub(crate) accepts_left: Option<usize>,
}

/// Whether the loop accepts from a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepting {
    /// The queue is empty: accept has returned `WouldBlock`, and the next connection causes an
    /// event.
    Idle,
    /// The queue may hold a connection. With edge triggers no further event comes until accept has
    /// returned `WouldBlock`.
    Ready {
        /// Consecutive accepts that failed, each because of its one connection.
        failures: usize,
    },
    /// Descriptors were exhausted, or too many accepts in a row failed.
    BackingOff {
        /// When to retry.
        until: Time,
    },
}

impl<L> Listener<L> {
    pub(crate) fn new(socket: L, address: Address, backlog: usize) -> Self {
        Self {
            socket: Some(socket),
            address,
            when_full: None,
            queue: QueueOwner::Own,
            backlog,
            accepting: Accepting::Idle,
            budget: 0,
            accepts_left: None,
        }
    }

    /// Marks the listener as ready, because of an event or a drain.
    pub(crate) fn mark_ready(&mut self) {
        if self.accepting == Accepting::Idle {
            self.accepting = Accepting::Ready { failures: 0 };
        }
    }

    /// Ends the back-off, because a descriptor is free again.
    pub(crate) fn retry(&mut self) {
        if let Accepting::BackingOff { .. } = self.accepting {
            self.accepting = Accepting::Ready { failures: 0 };
        }
    }

    /// Ends the back-off if it is over by `now`.
    pub(crate) fn retry_if_over(&mut self, now: Time) {
        if let Accepting::BackingOff { until } = self.accepting
            && until <= now
        {
            self.retry();
        }
    }

    /// Returns when to accept without an event; never if the queue is empty.
    pub(crate) fn retry_at(&self) -> Time {
        match self.accepting {
            _ if self.socket.is_none() => Time::NEVER,
            Accepting::Idle => Time::NEVER,
            Accepting::Ready { .. } => Time::START,
            Accepting::BackingOff { until } => until,
        }
    }

    /// Begins to close: only the connections already in the queue are still accepted.
    pub(crate) fn close_after_queue(&mut self) {
        self.accepts_left = Some(self.backlog);
        self.mark_ready();
    }

    /// Stops accepting and returns the socket, if it is still open.
    pub(crate) fn take_socket(&mut self) -> Option<L> {
        self.accepts_left = Some(0);
        self.accepting = Accepting::Idle;
        self.socket.take()
    }

    /// Closes the socket if the last connection has been accepted.
    pub(crate) fn close_if_done(&mut self) {
        let empty = self.accepting == Accepting::Idle;
        if self.accepts_left.is_some_and(|left| empty || left == 0) {
            self.socket = None;
        }
    }
}

impl<S: Service, N: Net> Reactor<S, N> {
    /// Returns true if the queue of a listener may hold a connection.
    pub(crate) fn has_to_accept(&self) -> bool {
        let idle = |listener: &Listener<_>| listener.accepting == Accepting::Idle;
        !self.listeners.iter().all(idle)
    }

    /// Accepts from every listener, within the budget of a turn.
    ///
    /// # Errors
    /// If a listener is unusable.
    pub(crate) fn accept(&mut self) -> Result<(), RunError> {
        if !self.has_to_accept() {
            return Ok(());
        }
        for listener in &mut self.listeners {
            listener.budget = self.core.limits.turn_accepts_max;
        }
        self.catch_session_panics(Self::accept_all)?;
        self.reap();
        Ok(())
    }

    /// Accepts queued connections, within the budget, while there is room.
    pub(crate) fn accept_all(&mut self) -> Result<(), RunError> {
        let now = self.core.now();
        for listener in 0..self.listeners.len() {
            self.listeners[listener].retry_if_over(now);
            while self.is_ready(listener) {
                self.listeners[listener].budget -= 1;
                self.accept_one(listener)?;
                // At once, because the next connection may need this descriptor.
                self.reap();
            }
            self.listeners[listener].close_if_done();
        }
        Ok(())
    }

    /// Returns true if this listener is to accept a connection now.
    pub(crate) fn is_ready(&self, listener: usize) -> bool {
        let entry = &self.listeners[listener];
        let ready = matches!(entry.accepting, Accepting::Ready { .. });
        ready && entry.budget > 0 && entry.accepts_left != Some(0) && self.may_accept(listener)
    }

    /// Returns false if a listener has no place left and new connections are to wait in its queue.
    pub(crate) fn may_accept(&self, listener: usize) -> bool {
        self.when_full(listener) == WhenFull::Refuse
            || self
                .admission
                .has_place(listener, self.core.limits.connections_max)
    }

    fn when_full(&self, listener: usize) -> WhenFull {
        let own = self.listeners[listener].when_full;
        own.unwrap_or(self.core.limits.when_full)
    }

    pub(crate) fn accept_one(&mut self, listener: usize) -> Result<(), RunError> {
        let entry = &mut self.listeners[listener];
        let Some(socket) = &entry.socket else {
            entry.accepting = Accepting::Idle;
            return Ok(());
        };
        match self.core.net.accept(socket) {
            Ok((stream, address)) => {
                entry.accepting = Accepting::Ready { failures: 0 };
                if let Some(left) = &mut entry.accepts_left {
                    *left -= 1;
                }
                self.admit(listener, stream, address);
            }
            Err(error) => match AcceptError::of(&error) {
                AcceptError::WouldBlock => entry.accepting = Accepting::Idle,
                AcceptError::Transient => self.accept_failed(listener, &error),
                AcceptError::Exhausted => self.accept_exhausted(listener, &error),
                AcceptError::Fatal => {
                    let listener = entry.address.to_string();
                    return Err(RunError::Accept { listener, error });
                }
            },
        }
        Ok(())
    }

    /// Admits a new connection, or refuses it.
    pub(crate) fn admit(&mut self, listener: usize, stream: N::Stream, address: PeerAddress) {
        self.core.count_accepted(listener);
        let ends = self.ends(listener, &stream, address);
        let limits = &self.core.limits;
        let max = limits.connections_max;
        let (served, per_address) = match self.is_proxy(listener, &ends) {
            true => (Origin::Proxy, None),
            false => (Origin::Accepted, limits.connections_per_address_max),
        };
        let verdict = self.admission.check(listener, address, max, per_address);
        let (phase, origin) = match verdict {
            Ok(()) => (Phase::Live, served),
            Err(_) => (Phase::Flushing, Origin::Refused),
        };
        match verdict {
            Ok(()) => self
                .admission
                .admit(listener, address, per_address.is_some()),
            Err(_) => self.admission.refused += 1,
        }
        let mut connection = Connection::new(stream, ends, (phase, origin));
        connection.listener = listener as u16;
        let claim = connection.claim();
        let Ok(index) = self.insert(connection) else {
            return self.release_admission(claim);
        };
        // Before its first step, which may panic.
        self.update_pressure();
        let id = self.slots.id(index);
        let drains = self.drains(listener);
        let connection = &mut self.slots[index];
        match verdict {
            Ok(()) => {
                self.core.open_session(connection, id);
                if drains {
                    self.core.counters.looks += 1;
                    connection.flags.add(Flags::DRAIN | Flags::READABLE);
                }
            }
            Err(reason) => self.core.refuse(connection, reason),
        }
        self.drive(index);
        if let Err(reason) = verdict
            && self.admission.refused > self.core.limits.refusals_max
        {
            // Too many refused connections linger already: close this one without lingering.
            self.slots[index].abort(reason);
            self.slots.rearm_or_retire(index, self.core.now());
        }
    }

    /// Returns true if the service takes a connection that a listener has accepted for a proxy's.
    fn is_proxy(&self, listener: usize, ends: &Ends) -> bool {
        let info = &self.core.listeners[listener];
        let peer = Peer {
            id: SessionId::NONE,
            address: ends.remote(),
            local: ends.local(info.local),
            listener: Some(info.id),
            tag: None,
            route: Route::Direct,
        };
        is_proxy(&self.core.service, &peer)
    }

    /// Returns the ends of a connection that a listener has accepted.
    fn ends(&self, listener: usize, stream: &N::Stream, remote: PeerAddress) -> Ends {
        let listener = self.core.listeners[listener].local;
        let local = match listener {
            Some(address) if address.ip().is_unspecified() => {
                self.core.net.stream_local_addr(stream)
            }
            specific => specific,
        };
        Ends::accepted(remote, local.or(listener), listener)
    }

    /// Handles an accept that failed because of one connection.
    ///
    /// If as many fail in a row as one turn may accept, the cause is not those connections. Then
    /// the listener backs off, because the loop would otherwise spin.
    pub(crate) fn accept_failed(&mut self, listener: usize, error: &io::Error) {
        self.core.counters.accept_failures += 1;
        debug!("a connection could not be accepted: {error}");
        let Accepting::Ready { failures } = &mut self.listeners[listener].accepting else {
            return;
        };
        *failures += 1;
        if *failures >= self.core.limits.turn_accepts_max {
            self.back_off(listener, error);
        }
    }

    /// Handles an accept that failed because descriptors or kernel memory are exhausted.
    pub(crate) fn accept_exhausted(&mut self, listener: usize, error: &io::Error) {
        self.core.counters.accept_exhausted += 1;
        let refuses = self.when_full(listener) == WhenFull::Refuse;
        let entry = &mut self.listeners[listener];
        if refuses && let Some(socket) = &entry.socket {
            let id = self.core.listeners[listener].id;
            let message = refusal_message(&self.core.service, id, EndReason::ServerFull);
            match self.core.net.shed(socket, message) {
                Ok(()) => {
                    self.core.count_accepted(listener);
                    self.core.count_ended(Some(listener), EndReason::ServerFull);
                    return self.warn_limited("cannot accept connections", error);
                }
                Err(error) if AcceptError::of(&error) == AcceptError::WouldBlock => {
                    entry.accepting = Accepting::Idle;
                    return;
                }
                Err(_) => {}
            }
        }
        self.back_off(listener, error);
    }

    /// Stops accepting on this listener until `accept_retry` elapses or a connection closes.
    pub(crate) fn back_off(&mut self, listener: usize, error: &io::Error) {
        let until = self.core.now() + self.core.limits.accept_retry;
        self.listeners[listener].accepting = Accepting::BackingOff { until };
        self.warn_limited("cannot accept connections", error);
    }
}
