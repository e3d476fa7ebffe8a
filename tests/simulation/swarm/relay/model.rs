//! Models the contract of one session of the relay: the events that may come next, and their time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use oneloop::{CloseReason, EndReason, Event, Next, Time};

use super::plan::{Door, IDLE, WAIT_LEAST};
use crate::swarm::oracle::Verdict;
use crate::swarm::watch::SLACK;

/// The state of one session, according to the contract.
#[derive(Debug)]
pub struct Model {
    pub peer: SocketAddr,
    pub role: Role,
    pub door: Door,
    pub is_duplex: bool,
    is_open: bool,
    /// When its first event came, or the kernel last took all its output.
    free_since: Time,
    stepped_at: Time,
    /// True while the kernel has not taken all of its output.
    is_blocked: bool,
    waits: Waits,
    /// Time since which a wake-up is due.
    woken: Option<Time>,
    /// The turn of the last wake-up request, if another wake event may still come.
    woken_in: Option<u64>,
    /// True if a wake-up was requested during a handshake: it may become an event of its own.
    woken_early: bool,
    is_drained: bool,
    has_ended: bool,
    /// Its timers by key: the time each is due and the time it was set.
    pub timers: BTreeMap<u32, (Time, Time)>,
    /// The turn in which its end was requested.
    aborted_in: Option<u64>,
    closing: Option<EndReason>,
    pub panicked: bool,
    /// The network has failed, or its peer has reset it.
    pub broken: bool,
    pub was_reset: bool,
    /// Bytes consumed and written in all, and those left unread by the last step.
    consumed: u64,
    written: u64,
    left: u64,
}

/// The peer of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An end of the conversation with this number: 0 is the client's, 1 the server's.
    End(usize, usize),
    Administrator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Read,
    Pause,
}

/// A step of a session.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub now: Time,
    pub turn: u64,
    pub event: Event,
    pub input: usize,
    pub drains: bool,
}

impl Model {
    pub fn new(peer: SocketAddr, role: Role, door: Door) -> Self {
        Self {
            peer,
            role,
            door,
            is_duplex: false,
            is_open: false,
            free_since: Time::START,
            stepped_at: Time::START,
            is_blocked: false,
            waits: Waits::Read,
            woken: None,
            woken_in: None,
            woken_early: false,
            is_drained: false,
            has_ended: false,
            timers: BTreeMap::new(),
            aborted_in: None,
            closing: None,
            panicked: false,
            broken: false,
            was_reset: false,
            consumed: 0,
            written: 0,
            left: 0,
        }
    }

    /// Checks a step of the session against the contract.
    ///
    /// # Errors
    /// If the event must not come now.
    pub fn stepped(&mut self, step: Step) -> Verdict {
        if !self.may(step) {
            return Err(format!("{step:?} is out of place: {self:?}"));
        }
        self.stepped_at = step.now;
        match step.event {
            Event::Open => (self.is_open, self.free_since) = (true, step.now),
            Event::Wake => {
                self.woken = None;
                self.woken_early &= self.woken_in.is_some();
                // A wake-up requested just now may become an event of its own, also in a later turn if
                // it waits for the next round of requests and for its budget.
                self.woken_in = self.woken_in.filter(|&asked| asked + 2 >= step.turn);
            }
            Event::Timer(key) => drop(self.timers.remove(&key)),
            Event::Eof => self.has_ended = true,
            Event::Drain => self.is_drained = true,
            _ => {}
        }
        Ok(())
    }

    fn may(&self, step: Step) -> bool {
        let Step { now, event, .. } = step;
        if self.closing.is_some() || self.panicked || self.is_open == (event == Event::Open) {
            return false;
        }
        // In half duplex, earlier output must be taken first.
        if self.is_blocked && !self.is_duplex {
            return false;
        }
        match event {
            Event::Data => self.waits == Waits::Read && !self.has_ended && step.input > 0,
            // Input that was left is offered again with the end behind it.
            Event::Eof => !self.has_ended || self.left > 0 && self.waits == Waits::Read,
            Event::Wake => self.woken_in.is_some() || self.woken_early,
            Event::Timer(key) => self.timers.get(&key).is_some_and(|&(at, _)| at <= now),
            Event::Timeout => now - self.stepped_at.min(now) >= Self::wait_least(self.role),
            Event::Drain => step.drains && !self.is_drained,
            _ => true,
        }
    }

    /// Returns the shortest time from its last step to a time-out.
    fn wait_least(role: Role) -> Duration {
        match role {
            // Its wait began when a byte moved, perhaps at the other end.
            Role::End(..) => Duration::ZERO,
            Role::Administrator => WAIT_LEAST.min(IDLE),
        }
    }

    /// Notes the result of a step, and the bytes that it has consumed, left and written.
    pub fn answered(&mut self, next: Next, (consumed, left, written): (usize, usize, usize)) {
        self.consumed += consumed as u64;
        self.written += written as u64;
        self.left = left as u64;
        match next {
            Next::Read { .. } => self.waits = Waits::Read,
            Next::Pause { .. } => self.waits = Waits::Pause,
            Next::Close(why) => self.closing = Some(why.into()),
            Next::Abort => self.closing = Some(EndReason::Aborted),
            other => panic!("no session of the relay returns {other:?}"),
        }
    }

    /// Notes that a layer closes the connection, unless the session does.
    pub fn close(&mut self, reason: CloseReason) {
        self.closing.get_or_insert(reason.into());
    }

    /// Notes that a wake-up is requested.
    pub fn wake(&mut self, now: Time, turn: u64) {
        self.woken.get_or_insert(now);
        self.woken_in = Some(turn);
        self.woken_early |= !self.is_open;
    }

    /// Notes, before its first event, that a wake-up may come, but need not.
    pub fn may_wake(&mut self, asked: Option<u64>) {
        self.woken_in = asked;
        self.woken_early = asked.is_some();
    }

    /// Notes that its end is requested.
    pub fn abort(&mut self, turn: u64) {
        self.aborted_in.get_or_insert(turn);
    }

    /// Returns true if it has answered that it closes.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Notes a write of its output; `whole` if all of it was taken.
    pub fn wrote(&mut self, now: Time, whole: bool) {
        if self.is_blocked && whole {
            self.free_since = now;
        }
        self.is_blocked = !whole;
    }

    /// Returns the bytes presented to it and written by it.
    pub fn traffic(&self) -> (u64, u64) {
        (self.consumed + self.left, self.written)
    }

    /// Returns the time since which its socket must be read, if it must.
    pub fn wants_reading_since(&self) -> Option<Time> {
        let is_over = self.closing.is_some() || self.panicked || self.broken || self.has_ended;
        let is_free = self.is_duplex || !self.is_blocked;
        // Layers may hold back input.
        let wants = self.is_open && self.door == Door::Open && self.waits == Waits::Read;
        (wants && is_free && !is_over && self.left == 0)
            .then_some(self.stepped_at.max(self.free_since))
    }

    /// Checks that no event is overdue.
    ///
    /// # Errors
    /// If one is.
    pub fn check_patience(&self, now: Time, turn: u64, drains_since: Option<Time>) -> Verdict {
        if self.closing.is_some() || self.panicked {
            return Ok(());
        }
        if self.aborted_in.is_some_and(|asked| asked + 2 < turn) {
            return Err(format!("its end is overdue: {self:?}"));
        }
        if self.is_blocked || self.broken || !self.is_open {
            return Ok(());
        }
        let late = |since: Time| now - since.max(self.free_since) > SLACK;
        let timer = |&(at, since): &(Time, Time)| late(at.max(since));
        let overdue = if self.woken.is_some_and(late) {
            "its wake-up"
        } else if self.timers.values().any(timer) {
            "a timer"
        } else if !self.is_drained && drains_since.is_some_and(late) {
            "the drain"
        } else {
            return Ok(());
        };
        Err(format!("{overdue} is overdue: {self:?}"))
    }

    /// Checks the reason for which the connection ended.
    ///
    /// # Errors
    /// If the session's state does not explain it.
    pub fn closed(&self, why: EndReason, end: &Ending) -> Verdict {
        let explained = match why {
            EndReason::Panicked => self.panicked,
            EndReason::Reset => self.broken,
            EndReason::Aborted => {
                self.closing == Some(EndReason::Aborted) || self.aborted_in.is_some()
            }
            EndReason::WriteTimeout => self.is_blocked && end.dawdles,
            EndReason::DrainTimeout => end.drain_is_over,
            EndReason::Dropped => end.is_dropped,
            // The layers' own reasons: no byte has moved, the cipher's end is missing, or it drains
            // during the handshake.
            EndReason::Timeout if self.door == Door::Sealed => end.dawdles,
            EndReason::Eof | EndReason::ProtocolError if self.door == Door::Sealed => end.leaves,
            EndReason::Shutdown if self.door == Door::Sealed && !self.is_open => end.drains,
            why => self.closing == Some(why) && !self.panicked,
        };
        if !explained {
            return Err(format!(
                "ended as \"{why}\" without reason, {end:?}: {self:?}"
            ));
        }
        if why.is_abnormal() != self.was_reset {
            return Err(format!("ended as \"{why}\", reset: {}", self.was_reset));
        }
        Ok(())
    }
}

/// The circumstances of an end.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    pub drains: bool,
    pub drain_is_over: bool,
    pub is_dropped: bool,
    /// One of the peers may make no progress.
    pub dawdles: bool,
    /// Its peer closes before it has finished.
    pub leaves: bool,
}
