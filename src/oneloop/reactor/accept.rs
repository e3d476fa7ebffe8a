//! Listening sockets, and accepting from them within a budget.

use std::io;
use std::net::SocketAddr;

use log::debug;

use super::connection::{Flags, Origin, Phase};
use super::guard::refusal_message;
use super::{Reactor, WhenFull, with_context};
use crate::net::{AcceptError, Net};
use crate::service::{EndReason, Service, Time};

/// A listening socket and what is known of its queue.
#[derive(Debug)]
pub(crate) struct Listener<L> {
    /// `None` once it is closed.
    pub(crate) socket: Option<L>,
    pub(crate) address: SocketAddr,
    pub(crate) accepting: Accepting,
    /// How many more connections may be accepted in this turn.
    pub(crate) budget: usize,
    /// In a drain: how many more connections are accepted before it is closed.
    pub(crate) last_calls: Option<usize>,
}

/// Whether a listener's queue is worth looking at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepting {
    /// The queue is empty: accept has said `WouldBlock`, and the next connection brings an event.
    Idle,
    /// The queue may hold a connection. With edge triggers no further event comes until accept has
    /// said `WouldBlock`.
    Ready {
        /// Accepts that failed, each for a reason of its own, since one succeeded.
        failures: usize,
    },
    /// Descriptors had run out, or accepting failed too often.
    BackingOff {
        /// When to try again.
        until: Time,
    },
}

impl<L> Listener<L> {
    pub(crate) fn new(socket: L, address: SocketAddr) -> Self {
        Self {
            socket: Some(socket),
            address,
            accepting: Accepting::Idle,
            budget: 0,
            last_calls: None,
        }
    }

    /// Notes that an event has announced a connection.
    pub(crate) fn announce(&mut self) {
        if self.accepting == Accepting::Idle {
            self.accepting = Accepting::Ready { failures: 0 };
        }
    }

    /// Ends the time to back off: a descriptor is free again.
    pub(crate) fn retry(&mut self) {
        if let Accepting::BackingOff { .. } = self.accepting {
            self.accepting = Accepting::Ready { failures: 0 };
        }
    }

    /// Ends the time to back off if it is over by `now`.
    pub(crate) fn retry_if_due(&mut self, now: Time) {
        if let Accepting::BackingOff { until } = self.accepting
            && until <= now
        {
            self.retry();
        }
    }

    /// Returns when its queue is to be looked at without an event; never if it is empty.
    pub(crate) fn due(&self) -> Time {
        match self.accepting {
            _ if self.socket.is_none() => Time::NEVER,
            Accepting::Idle => Time::NEVER,
            Accepting::Ready { .. } => Time::START,
            Accepting::BackingOff { until } => until,
        }
    }

    /// Begins to close: the connections that are in the queue by now are the last to be accepted.
    pub(crate) fn call_last(&mut self, backlog: usize) {
        self.last_calls = Some(backlog);
        self.announce();
    }

    /// Closes the socket if the last connections have been accepted.
    pub(crate) fn close_if_done(&mut self) {
        let empty = self.accepting == Accepting::Idle;
        if self.last_calls.is_some_and(|left| empty || left == 0) {
            self.socket = None;
        }
    }
}

impl<S: Service, N: Net> Reactor<S, N> {
    /// True if a listener may have a connection for us.
    pub(crate) fn has_to_accept(&self) -> bool {
        let idle = |listener: &Listener<_>| listener.accepting == Accepting::Idle;
        !self.listeners.iter().all(idle)
    }

    /// Accepts from every listener, within the budget of a turn.
    ///
    /// # Errors
    /// If a listener is unusable.
    pub(crate) fn accept(&mut self) -> io::Result<()> {
        if !self.has_to_accept() {
            return Ok(());
        }
        for listener in &mut self.listeners {
            listener.budget = self.core.limits.turn_accepts_max;
        }
        self.catch_session_panics(Self::accept_waiting)?;
        self.reap();
        Ok(())
    }

    /// Lets in who waits, within the budget, as long as there is room.
    pub(crate) fn accept_waiting(&mut self) -> io::Result<()> {
        let now = self.core.now();
        for number in 0..self.listeners.len() {
            self.listeners[number].retry_if_due(now);
            while self.is_due(number) {
                self.listeners[number].budget -= 1;
                self.accept_one(number)?;
                // Now, for the next one may need its descriptor.
                self.reap();
            }
            self.listeners[number].close_if_done();
        }
        Ok(())
    }

    /// Whether this listener is to be asked for a connection now.
    pub(crate) fn is_due(&self, number: usize) -> bool {
        let listener = &self.listeners[number];
        let ready = matches!(listener.accepting, Accepting::Ready { .. });
        ready && listener.budget > 0 && listener.last_calls != Some(0) && self.may_accept()
    }

    /// False while the server is full and those who come are to wait.
    pub(crate) fn may_accept(&self) -> bool {
        let limits = &self.core.limits;
        limits.when_full == WhenFull::Refuse || self.admission.admitted < limits.connections_max
    }

    pub(crate) fn accept_one(&mut self, number: usize) -> io::Result<()> {
        let listener = &mut self.listeners[number];
        let Some(socket) = &listener.socket else {
            listener.accepting = Accepting::Idle;
            return Ok(());
        };
        match self.core.net.accept(socket) {
            Ok((stream, address)) => {
                listener.accepting = Accepting::Ready { failures: 0 };
                if let Some(left) = &mut listener.last_calls {
                    *left -= 1;
                }
                self.admit(stream, address);
            }
            Err(error) => match AcceptError::of(&error) {
                AcceptError::WouldBlock => listener.accepting = Accepting::Idle,
                AcceptError::Transient => self.accept_failed(number, &error),
                AcceptError::Exhausted => self.accept_exhausted(number, &error),
                AcceptError::Fatal => {
                    let address = listener.address;
                    return Err(with_context(&error, &format!("cannot accept on {address}")));
                }
            },
        }
        Ok(())
    }

    /// Lets a new connection in, or turns it away.
    pub(crate) fn admit(&mut self, stream: N::Stream, address: SocketAddr) {
        self.core.counters.accepted += 1;
        let limits = &self.core.limits;
        let (max, per_address) = (limits.connections_max, limits.connections_per_address_max);
        let verdict = self.admission.check(address, max, per_address);
        let (phase, origin) = match verdict {
            Ok(()) => (Phase::Live, Origin::Accepted),
            Err(_) => (Phase::Flushing, Origin::Refused),
        };
        match verdict {
            Ok(()) => self.admission.enter(address, per_address.is_some()),
            Err(_) => self.admission.refused += 1,
        }
        let Some(index) = self.insert(stream, address, (phase, origin)) else {
            return self.leave(address, origin);
        };
        let id = self.slots.id(index);
        let connection = &mut self.slots[index];
        match verdict {
            Ok(()) => {
                self.core.open(connection, id);
                if self.drain.is_some() {
                    self.core.counters.looks += 1;
                    connection.flags.add(Flags::DRAIN | Flags::READABLE);
                }
            }
            Err(why) => self.core.refuse(connection, why),
        }
        self.drive(index);
        if let Err(why) = verdict
            && self.admission.refused > self.core.limits.refusals_max
        {
            // Too many linger already: this one has had its word, as well as could be.
            self.slots[index].end(why);
            self.slots.rearm_or_retire(index, self.core.now());
        }
        self.update_pressure();
    }

    /// One connection could not be accepted. If that is so for as many in a row as one turn may
    /// accept, it is not about those connections: then the listener rests, or the loop would spin.
    pub(crate) fn accept_failed(&mut self, number: usize, error: &io::Error) {
        self.core.counters.accept_failures += 1;
        debug!("a connection could not be accepted: {error}");
        let Accepting::Ready { failures } = &mut self.listeners[number].accepting else {
            return;
        };
        *failures += 1;
        if *failures >= self.core.limits.turn_accepts_max {
            self.rest(number, error);
        }
    }

    /// Descriptors or kernel memory have run out.
    pub(crate) fn accept_exhausted(&mut self, number: usize, error: &io::Error) {
        self.core.counters.accept_exhausted += 1;
        let listener = &mut self.listeners[number];
        if self.core.limits.when_full == WhenFull::Refuse
            && let Some(socket) = &listener.socket
        {
            let farewell = refusal_message(&self.core.service, EndReason::ServerFull);
            match self.core.net.shed(socket, farewell) {
                Ok(()) => {
                    self.core.counters.accepted += 1;
                    self.core.counters.ended[EndReason::ServerFull as usize] += 1;
                    return self.warn_limited("cannot accept connections", error);
                }
                Err(error) if AcceptError::of(&error) == AcceptError::WouldBlock => {
                    listener.accepting = Accepting::Idle;
                    return;
                }
                Err(_) => {}
            }
        }
        self.rest(number, error);
    }

    /// Asks this listener for nothing until the retry timer, or somebody's leaving.
    pub(crate) fn rest(&mut self, number: usize, error: &io::Error) {
        let until = self.core.now() + self.core.limits.accept_retry;
        self.listeners[number].accepting = Accepting::BackingOff { until };
        self.warn_limited("cannot accept connections", error);
    }
}
