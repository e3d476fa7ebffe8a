//! What all phases of a turn work with.

use super::connection::Connection;
use super::pressure::Pressure;
use super::{Counters, Limits};
use crate::net::Net;
use crate::service::{Scratch, Service, Time};

/// What all connections share while they are outcome.
#[derive(Debug)]
pub(crate) struct Core<S, N> {
    pub(crate) service: S,
    pub(crate) net: N,
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    /// Every step takes place here; what the kernel does not take at once of the output moves to
    /// the connection.
    pub(crate) scratch: Scratch,
    pub(crate) pressure: Pressure,
    /// Reads go in here, unless there is unread input: then they go behind that.
    pub(crate) input: Box<[u8]>,
}

/// A connection of this service on this network.
pub(crate) type Slot<S, N> = Connection<<N as Net>::Stream, <S as Service>::Session>;

impl<S: Service, N: Net> Core<S, N> {
    pub(crate) fn new(service: S, net: N, limits: Limits) -> Self {
        Self {
            service,
            net,
            counters: Counters::default(),
            scratch: Scratch::new(limits.output_bytes_mark, limits.output_bytes_max),
            pressure: Pressure::new(&limits),
            input: vec![0; limits.input_bytes_max.min(READ_BYTES_MAX)].into(),
            limits,
        }
    }

    /// The time of this turn.
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

    /// The work done so far, for whomever, in bytes.
    pub(crate) fn work(&self) -> u64 {
        let Counters {
            steps,
            bytes_in,
            bytes_out,
            ..
        } = self.counters;
        bytes_in + bytes_out + steps * STEP_BYTES
    }
}

/// What a step costs of its connection's budget, besides the bytes that it moves: no session can
/// hold the loop without moving any.
const STEP_BYTES: u64 = 64;

/// The most that is read at once, so that one call cannot use up several budgets.
pub(crate) const READ_BYTES_MAX: usize = 64 * 1024;
