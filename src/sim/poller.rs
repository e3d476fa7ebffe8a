//! The simulated poller: who is registered, what is raised, what one poll reports of it.

use std::collections::VecDeque;
use std::ops::{BitAnd, BitOr, BitOrAssign};

use super::connection::At;
use super::{Faults, Random};
use oneloop::net::{Readiness, Token};

/// What can be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Listener(usize),
    Stream(At),
}

/// When a source says that it has become readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// At everything that arrives: epoll with `EPOLLET`, kqueue with `EV_CLEAR`.
    Edge,
    /// At the first thing that arrives after a `WouldBlock`: Windows under mio.
    Rearmed,
}

/// A set of hints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hints(u8);

#[derive(Debug)]
pub(super) struct Registration {
    pub(super) token: Token,
    raised: Hints,
    armed: bool,
    /// How many events of the last batch, or of an earlier one if no read has said `WouldBlock`
    /// since, are reason to read.
    reasons: u32,
    /// An event has spoken of the end: there is always reason to read.
    told_end: bool,
}

#[derive(Debug, Default)]
pub(super) struct Poller {
    raised: VecDeque<Source>,
    stale: Vec<Token>,
}

impl Hints {
    pub(super) const NONE: Self = Self(0);
    pub(super) const READ: Self = Self(1);
    pub(super) const WRITE: Self = Self(2);
    /// The peer has finished sending.
    pub(super) const FINISHED: Self = Self(1 | 4);
    /// The connection is broken.
    pub(super) const BROKEN: Self = Self(1 | 2 | 4);

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

    /// A hang-up makes both directions worth a try, as in `Os`.
    fn readiness(self, token: Token) -> Readiness {
        let hup = self.all_of(Self::CLOSED);
        Readiness {
            token,
            readable: hup || self.all_of(Self::READ),
            writable: hup || self.all_of(Self::WRITE),
            hup,
        }
    }

    const CLOSED: Self = Self(4);
}

impl BitOr for Hints {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Hints {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOrAssign for Hints {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Registration {
    pub(super) fn new(token: Token) -> Self {
        Self {
            token,
            raised: Hints::NONE,
            armed: true,
            reasons: 0,
            told_end: false,
        }
    }

    /// A read, or accept, said `WouldBlock`.
    pub(super) fn blocked(&mut self) {
        self.armed = true;
        self.reasons = self.reasons.saturating_sub(1);
    }

    /// Further reads need no further reason.
    pub(super) fn excuse(&mut self) {
        self.reasons = self.reasons.max(1);
    }

    /// True if no event has given a reason for another read.
    pub(super) fn reads_unprovoked(&self) -> bool {
        self.reasons == 0 && !self.told_end
    }

    /// True if the source is to be queued.
    pub(super) fn raise(&mut self, hints: Hints, trigger: Trigger) -> bool {
        let muted = trigger == Trigger::Rearmed && !self.armed && !hints.all_of(Hints::WRITE);
        if muted {
            return false;
        }
        let queued = self.raised.any();
        self.raised |= hints;
        !queued
    }

    pub(super) fn take_raised(&mut self) -> Hints {
        std::mem::take(&mut self.raised)
    }

    /// Notes what is about to be reported besides what `batch` holds. True if it is reason to read.
    fn tell(&mut self, hints: Hints, batch: &[Readiness]) -> bool {
        let closed = hints.all_of(Hints::CLOSED);
        self.told_end |= closed;
        let is_reason = closed || hints.all_of(Hints::READ);
        if batch.iter().any(|event| event.token == self.token) {
            self.tell_apart();
        } else if is_reason {
            self.reasons = 1;
        }
        is_reason
    }

    /// One more event of the same batch: the loop may read at each, were it for an older reason.
    fn tell_apart(&mut self) {
        self.reasons += 1;
    }
}

impl Poller {
    pub(super) fn queue(&mut self, source: Source) {
        self.raised.push_back(source);
    }

    pub(super) fn next(&mut self) -> Option<Source> {
        self.raised.pop_front()
    }

    /// The next poll reports an event of a token whose registration has ended.
    pub(super) fn haunt(&mut self, token: Token) {
        self.stale.push(token);
    }

    pub(super) fn stale(&mut self, random: &mut Random, batch: &mut Vec<Readiness>) {
        for token in self.stale.drain(..) {
            batch.push(any_hints(random).readiness(token));
        }
    }
}

/// Reports what was raised at a registration, given what is possible at present.
pub(super) fn report(
    registration: &mut Registration,
    present: Hints,
    (random, faults): (&mut Random, &Faults),
    batch: &mut Vec<Readiness>,
) {
    let raised = registration.take_raised();
    let terse = random.chance(faults.terse_events);
    let hints = if terse { raised } else { raised | present };
    // What has been dealt with since it was raised is no news: epoll looks again, too.
    if !raised.any_of(present) && !random.chance(faults.spurious_events) {
        return;
    }
    if registration.tell(hints, batch) {
        registration.armed = false;
    }
    let token = registration.token;
    let both = hints.all_of(Hints::READ | Hints::WRITE) && !hints.all_of(Hints::CLOSED);
    if both && random.chance(faults.split_events) {
        registration.tell_apart();
        batch.push(Hints::READ.readiness(token));
        batch.push(Hints::WRITE.readiness(token));
    } else {
        batch.push(hints.readiness(token));
    }
}

/// Reports what nothing has raised.
pub(super) fn report_nothing(
    registration: &mut Registration,
    random: &mut Random,
    batch: &mut Vec<Readiness>,
) {
    // It gives a reason to read, but it announces nothing: what arrives next still raises.
    let hints = any_hints(random);
    registration.tell(hints, batch);
    batch.push(hints.readiness(registration.token));
}

fn any_hints(random: &mut Random) -> Hints {
    random.pick(&[
        Hints::READ,
        Hints::WRITE,
        Hints::READ | Hints::WRITE,
        Hints::BROKEN,
    ])
}
