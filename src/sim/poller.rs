//! The simulated poller: registrations, raised readiness and the events of a poll.

use std::collections::VecDeque;
use std::ops::{BitAnd, BitOr, BitOrAssign};

use super::connection::EndpointId;
use super::{Faults, Rng};
use oneloop::net::{Readiness, Token};

/// A registered source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Listener(usize),
    Stream(EndpointId),
}

/// The condition under which new input raises an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// All input: epoll with `EPOLLET`, kqueue with `EV_CLEAR`.
    Edge,
    /// The first input after a `WouldBlock`: Windows under mio.
    RearmOnWouldBlock,
}

/// A set of ready operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReadySet(u8);

#[derive(Debug)]
pub(super) struct Registration {
    pub(super) token: Token,
    raised: ReadySet,
    armed: bool,
    /// The events that justify a read: those of the last batch, and earlier ones if no read has
    /// returned `WouldBlock` since.
    credits: u32,
    /// A hang-up was reported, which justifies all reads.
    hup_delivered: bool,
}

#[derive(Debug, Default)]
pub(super) struct Poller {
    raised: VecDeque<Source>,
    stale: Vec<Token>,
}

impl ReadySet {
    pub(super) const NONE: Self = Self(0);
    pub(super) const READ: Self = Self(1);
    pub(super) const WRITE: Self = Self(2);
    /// The peer has finished sending.
    pub(super) const EOF: Self = Self(1 | 4);
    /// The connection has failed.
    pub(super) const ERROR: Self = Self(1 | 2 | 4);

    pub(super) fn any(self) -> bool {
        self != Self::NONE
    }

    pub(super) fn any_of(self, other: Self) -> bool {
        (self & other).any()
    }

    pub(super) fn all_of(self, other: Self) -> bool {
        self & other == other
    }

    pub(super) fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Builds the event. A hang-up sets both directions, as in `Os`.
    fn readiness(self, token: Token) -> Readiness {
        let hup = self.all_of(Self::HUP);
        let mut readiness = Readiness::of(token);
        readiness.readable = hup || self.all_of(Self::READ);
        readiness.writable = hup || self.all_of(Self::WRITE);
        readiness.hup = hup;
        readiness
    }

    const HUP: Self = Self(4);
}

impl BitOr for ReadySet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for ReadySet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOrAssign for ReadySet {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Registration {
    pub(super) fn new(token: Token) -> Self {
        Self {
            token,
            raised: ReadySet::NONE,
            armed: true,
            credits: 0,
            hup_delivered: false,
        }
    }

    /// Notes that a read or accept returned `WouldBlock`.
    pub(super) fn blocked(&mut self) {
        self.armed = true;
        self.credits = self.credits.saturating_sub(1);
    }

    /// Justifies all reads until the next `WouldBlock`.
    pub(super) fn grant(&mut self) {
        self.credits = self.credits.max(1);
    }

    /// Returns true if no event justifies another read.
    pub(super) fn lacks_credit(&self) -> bool {
        self.credits == 0 && !self.hup_delivered
    }

    /// Raises readiness. Returns true if the source must be queued.
    pub(super) fn raise(&mut self, ready: ReadySet, trigger: Trigger) -> bool {
        let muted =
            trigger == Trigger::RearmOnWouldBlock && !self.armed && !ready.all_of(ReadySet::WRITE);
        if muted {
            return false;
        }
        let queued = self.raised.any();
        self.raised |= ready;
        !queued
    }

    pub(super) fn take_raised(&mut self) -> ReadySet {
        std::mem::take(&mut self.raised)
    }

    /// Notes an event about to be appended to `batch`. Returns true if it justifies a read.
    fn deliver(&mut self, ready: ReadySet, batch: &[Readiness]) -> bool {
        let closed = ready.all_of(ReadySet::HUP);
        self.hup_delivered |= closed;
        let is_reason = closed || ready.all_of(ReadySet::READ);
        if batch.iter().any(|event| event.token == self.token) {
            self.deliver_split();
        } else if is_reason {
            self.credits = 1;
        }
        is_reason
    }

    /// Notes a second event of one batch: the loop may read at each of them.
    fn deliver_split(&mut self) {
        self.credits += 1;
    }
}

impl Poller {
    pub(super) fn queue(&mut self, source: Source) {
        self.raised.push_back(source);
    }

    pub(super) fn next(&mut self) -> Option<Source> {
        self.raised.pop_front()
    }

    /// Makes the next poll report an event with the token of an ended registration.
    pub(super) fn inject_stale_event(&mut self, token: Token) {
        self.stale.push(token);
    }

    pub(super) fn stale(&mut self, rng: &mut Rng, batch: &mut Vec<Readiness>) {
        for token in self.stale.drain(..) {
            batch.push(any_ready(rng).readiness(token));
        }
    }
}

/// Reports the readiness raised at a registration, given that of the present.
pub(super) fn report(
    registration: &mut Registration,
    present: ReadySet,
    (rng, faults): (&mut Rng, &Faults),
    batch: &mut Vec<Readiness>,
) {
    let raised = registration.take_raised();
    let terse = rng.random_bool(faults.terse_events);
    let ready = if terse { raised } else { raised | present };
    // Like epoll, drop readiness that is no longer present.
    if !raised.any_of(present) && !rng.random_bool(faults.spurious_events) {
        return;
    }
    if registration.deliver(ready, batch) {
        registration.armed = false;
    }
    let token = registration.token;
    let both = ready.all_of(ReadySet::READ | ReadySet::WRITE) && !ready.all_of(ReadySet::HUP);
    if both && rng.random_bool(faults.split_events) {
        registration.deliver_split();
        batch.push(ReadySet::READ.readiness(token));
        batch.push(ReadySet::WRITE.readiness(token));
    } else {
        batch.push(ready.readiness(token));
    }
}

/// Reports an event that nothing raised.
pub(super) fn report_nothing(
    registration: &mut Registration,
    rng: &mut Rng,
    batch: &mut Vec<Readiness>,
) {
    // It justifies a read but leaves the trigger armed: the next input still raises.
    let ready = any_ready(rng);
    registration.deliver(ready, batch);
    batch.push(ready.readiness(registration.token));
}

fn any_ready(rng: &mut Rng) -> ReadySet {
    rng.choose(&[
        ReadySet::READ,
        ReadySet::WRITE,
        ReadySet::READ | ReadySet::WRITE,
        ReadySet::ERROR,
    ])
}
