//! The state that all phases of a turn work with.

use super::Limits;
use super::buffer::Spares;
use super::connection::{Connection, Origin};
use super::ends::ListenerInfo;
use super::pressure::Pressure;
use crate::net::Net;
use crate::service::{Counters, EndReason, Peer, Route, Scratch, Service, SessionId, Time};

/// The state that all connections share while one of them is driven.
#[derive(Debug)]
pub(crate) struct Core<S, N> {
    pub(crate) service: S,
    pub(crate) net: N,
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    /// Every step uses it; output that the kernel does not take at once moves to the connection.
    pub(crate) scratch: Scratch,
    pub(crate) pressure: Pressure,
    /// All listeners so far, in the order in which they were added.
    pub(crate) listeners: Vec<ListenerInfo>,
    /// The buffer for reads while a connection has no unread input.
    pub(crate) input: Box<[u8]>,
    pub(crate) spares: Spares,
}

/// A connection of this service on this network.
pub(crate) type Slot<S, N> = Connection<<N as Net>::Stream, <S as Service>::Session>;

impl<S: Service, N: Net> Core<S, N> {
    pub(crate) fn new(service: S, mut net: N, limits: Limits) -> Self {
        let mut scratch = Scratch::new(limits.for_sessions());
        scratch.service.random = net.seed();
        Self {
            service,
            net,
            counters: Counters::default(),
            scratch,
            pressure: Pressure::new(&limits),
            listeners: Vec::new(),
            input: vec![0; limits.input_bytes_max.min(READ_BYTES_MAX)].into(),
            spares: Spares::default(),
            limits,
        }
    }

    /// Returns the peer of a connection, as passed to the service.
    pub(crate) fn peer(&self, connection: &Slot<S, N>, id: SessionId) -> Peer {
        let listener = match connection.origin {
            Origin::Outbound => None,
            Origin::Accepted | Origin::Proxy | Origin::Refused => {
                self.listeners.get(connection.listener as usize)
            }
        };
        let route = match connection.origin {
            Origin::Proxy => Route::Probe,
            Origin::Accepted | Origin::Refused | Origin::Outbound => connection.ends.route(),
        };
        Peer {
            id,
            address: connection.ends.remote(),
            local: connection.ends.local(listener.and_then(|info| info.local)),
            listener: listener.map(|info| info.id),
            tag: connection.ends.tag(),
            route,
        }
    }

    /// Counts a connection that a listener has accepted.
    pub(crate) fn count_accepted(&mut self, listener: usize) {
        self.counters.accepted += 1;
        self.listeners[listener].counts.accepted += 1;
    }

    /// Counts a connection that has ended. One that was accepted has a listener.
    pub(crate) fn count_ended(&mut self, listener: Option<usize>, reason: EndReason) {
        self.counters.ended[reason as usize] += 1;
        if let Some(listener) = listener {
            self.listeners[listener].counts.ended[reason as usize] += 1;
        }
    }

    /// Returns the time of this turn.
    #[inline]
    pub(crate) fn now(&self) -> Time {
        self.scratch.service.now
    }

    /// Reads the clock.
    #[inline]
    pub(crate) fn update_now(&mut self) -> Time {
        let now = self.net.now();
        self.scratch.service.now = now;
        self.pressure.set_now(now);
        now
    }

    /// Returns the cost of all work so far, for all connections, in bytes.
    pub(crate) fn cost_so_far(&self) -> u64 {
        let Counters {
            steps,
            bytes_in,
            bytes_out,
            ..
        } = self.counters;
        bytes_in + bytes_out + steps * STEP_BYTES
    }
}

/// The cost of a step for its connection's budget, besides the bytes moved. So a session cannot
/// occupy the loop without moving any.
const STEP_BYTES: u64 = 64;

/// The most bytes of one read, so that one call cannot use up several budgets.
pub(crate) const READ_BYTES_MAX: usize = 64 * 1024;
