//! Models the contract of one session: the events that may come next, and their deadlines.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use oneloop::{EndReason, Event, Limits, Next, Time};

use super::load::Load;
use crate::swarm::oracle::Verdict;
use crate::swarm::watch::SLACK;

/// The state of one session, according to the contract.
#[derive(Debug)]
pub struct Model {
    pub peer: SocketAddr,
    /// True if its peer has an address of its own, so that the network's witness can report on it.
    pub is_watched: bool,
    is_open: bool,
    waits: Waits,
    /// The requested deadline, and the one that must be granted.
    ask: Option<(Time, Time)>,
    /// The latest time for the granted one. It is later only in full duplex, where a peer that reads
    /// makes the deadline count anew.
    latest: Time,
    /// Time of the request.
    asked_at: Time,
    /// Time since which a wake-up is due.
    woken: Option<Time>,
    /// The turn of the last wake-up request, if another wake event may still come.
    woken_in: Option<u64>,
    /// The state of its flush event. While that event is due, no other event may come.
    flush: Flush,
    /// True in full duplex: pending output does not keep it from other events.
    pub is_duplex: bool,
    /// The bytes of output that the kernel has not taken.
    unsent: usize,
    is_drained: bool,
    has_ended: bool,
    /// Number of bytes of input that it has not consumed.
    left: usize,
    /// Number of bytes of input at its last step.
    offered: usize,
    /// The input maximum that it has raised its own to: by its last step, and at present.
    pub raised: Option<usize>,
    input_max: Option<usize>,
    closing: Option<EndReason>,
    /// The turn in which another session requested its end.
    aborted_in: Option<u64>,
    /// Its timers by key: the time each is due and the time it was set.
    pub timers: BTreeMap<u32, (Time, Time)>,
    pub panicked: bool,
    pub overflowed: bool,
    pub broken: bool,
    /// True once its sending side is shut down: the session is not stepped again.
    pub is_finished: bool,
    pub was_reset: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Read,
    Pause,
    Flush,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    /// No output had to wait.
    Done,
    /// Output is pending.
    Owed,
    /// All output is flushed, or there was none; the event is due.
    Untold { since: Time },
}

impl Model {
    pub fn new(peer: SocketAddr, is_watched: bool) -> Self {
        Self {
            peer,
            is_watched,
            is_open: false,
            waits: Waits::Read,
            ask: None,
            latest: Time::START,
            asked_at: Time::START,
            woken: None,
            woken_in: None,
            flush: Flush::Done,
            is_duplex: false,
            unsent: 0,
            is_drained: false,
            has_ended: false,
            left: 0,
            offered: 0,
            raised: None,
            input_max: None,
            closing: None,
            aborted_in: None,
            timers: BTreeMap::new(),
            panicked: false,
            overflowed: false,
            broken: false,
            is_finished: false,
            was_reset: false,
        }
    }

    /// Checks a step of the session against the contract.
    ///
    /// # Errors
    /// If the event must not come now.
    pub fn stepped(
        &mut self,
        (now, turn): (Time, u64),
        event: Event,
        input: usize,
        drains: bool,
    ) -> Verdict {
        self.offered = input;
        let right = self.may(now, event, input, drains) && !self.is_overdue_to_end(turn);
        if !right {
            return Err(format!(
                "{event:?} with {input} bytes is out of place: {self:?}"
            ));
        }
        match event {
            Event::Open => self.is_open = true,
            Event::Flushed => self.flush = Flush::Done,
            Event::Wake => {
                self.woken = None;
                // A wake-up requested just now may become an event of its own.
                self.woken_in = self.woken_in.filter(|&asked| asked + 1 >= turn);
            }
            Event::Timeout => self.ask = None,
            Event::Timer(key) => drop(self.timers.remove(&key)),
            Event::Eof => self.has_ended = true,
            Event::Drain => self.is_drained = true,
            _ => {}
        }
        Ok(())
    }

    /// Notes that a wake-up is requested.
    pub fn wake(&mut self, now: Time, turn: u64) {
        self.woken.get_or_insert(now);
        self.woken_in = Some(turn);
    }

    /// Notes that another session requests its end.
    pub fn abort(&mut self, turn: u64) {
        self.aborted_in.get_or_insert(turn);
    }

    /// Returns true if it has answered that it aborts: none of its output may leave any more.
    pub fn is_aborting(&self) -> bool {
        self.closing == Some(EndReason::Aborted)
    }

    /// Returns true if its end was requested so long ago that it must have ended. Requests are
    /// carried out in the last phase of the turn, and in that of the next turn if there are many.
    fn is_overdue_to_end(&self, turn: u64) -> bool {
        self.aborted_in.is_some_and(|asked| asked + 1 < turn)
    }

    fn may(&self, now: Time, event: Event, input: usize, drains: bool) -> bool {
        if self.closing.is_some() || self.is_finished || self.is_open == (event == Event::Open) {
            return false;
        }
        if event == Event::Flushed {
            return !self.is_watched || matches!(self.flush, Flush::Untold { .. });
        }
        if self.is_watched && self.waits_for_flush() {
            return false;
        }
        match event {
            Event::Wake => self.woken_in.is_some(),
            Event::Timer(key) => self.timers.get(&key).is_some_and(|&(at, _)| at <= now),
            Event::Timeout => {
                let due = self.ask.is_some_and(|(_, due)| due <= now);
                self.waits != Waits::Flush && (due || !self.is_watched)
            }
            Event::Data => self.waits == Waits::Read && !self.has_ended && input > 0,
            Event::Eof => {
                // Input that was left is offered again with the end behind it.
                let is_offered_again = self.left > 0 && self.waits == Waits::Read;
                !self.has_ended || is_offered_again
            }
            Event::Drain => drains && !self.is_drained,
            _ => true,
        }
    }

    /// Returns true if no event may come before its output is flushed.
    fn waits_for_flush(&self) -> bool {
        match self.flush {
            Flush::Done => false,
            Flush::Owed => !self.is_duplex,
            Flush::Untold { .. } => true,
        }
    }

    /// Returns true if the mode may be changed now: there is no output, for which it would matter
    /// when it changes.
    pub fn may_change_duplex(&self) -> bool {
        self.is_watched && self.unsent == 0
    }

    /// Notes the result of a step, the size of the input not consumed, whether there is room for
    /// more output, and the bytes written.
    pub fn answered(
        &mut self,
        (now, next): (Time, Next),
        (left, has_room): (usize, bool),
        written: usize,
        load: &Load,
    ) {
        self.unsent += written;
        self.left = left;
        if left < self.offered {
            self.input_max = None;
        }
        if let Some(raised) = self.raised.take()
            && left > 0
        {
            self.input_max = Some(raised);
        }
        let offered_again = left > 0 && !matches!(next, Next::Pause { .. });
        if !has_room && !offered_again {
            self.expect_flushed(now);
        }
        match next {
            Next::Read { until } => {
                self.waits = Waits::Read;
                self.asks(now, until, load);
            }
            Next::Pause { until } => {
                self.waits = Waits::Pause;
                self.asks(now, until, load);
            }
            Next::Flush => {
                self.waits = Waits::Flush;
                self.ask = None;
                self.expect_flushed(now);
            }
            Next::Close(why) => self.closing = Some(why.into()),
            Next::Abort => self.closing = Some(EndReason::Aborted),
            other => panic!("no session of the swarm returns {other:?}"),
        }
    }

    /// Notes that it is to get the event of its flush: now, or when its pending output is flushed.
    fn expect_flushed(&mut self, now: Time) {
        if self.flush != Flush::Owed {
            self.flush = Flush::Untold { since: now };
        }
    }

    fn asks(&mut self, now: Time, until: Time, load: &Load) {
        if self.ask.is_none_or(|(asked, _)| asked != until) {
            let due = load.granted(now, until);
            (self.ask, self.latest) = (Some((until, due)), due);
            self.asked_at = now;
        }
    }

    /// Notes that the wait in progress counts anew, because output was written.
    fn counts_anew(&mut self, now: Time, load: &Load) {
        if let Some((until, due)) = &mut self.ask {
            let granted = load.granted(now, *until);
            *due = (*due).min(granted);
            self.latest = self.latest.max(granted);
        }
    }

    /// Shortens the wait in progress.
    pub fn shorten(&mut self, now: Time, load: &Load) {
        if let Some((until, due)) = &mut self.ask {
            let granted = load.granted(now, *until);
            *due = (*due).min(granted);
            self.latest = self.latest.min(granted);
        }
    }

    /// Notes a write that has taken so many bytes of its output.
    pub fn wrote(&mut self, now: Time, bytes: usize, load: &Load) {
        self.unsent = self.unsent.saturating_sub(bytes);
        let owed = self.flush == Flush::Owed;
        if self.unsent > 0 && self.is_duplex {
            self.flush = Flush::Owed;
            self.counts_anew(now, load);
        } else if self.unsent > 0 {
            self.flush = Flush::Owed;
            self.ask = None;
            self.waits = Waits::Flush;
        } else if owed {
            self.flush = Flush::Untold { since: now };
            self.ask = None;
        }
    }

    /// Returns the most unread input that may be held for it.
    pub fn input_max(&self, limits: &Limits) -> usize {
        let max = self.input_max.unwrap_or(limits.input_bytes_max);
        max.max(self.left)
    }

    /// Returns the time since which its socket must be read, if it must.
    pub fn wants_reading_since(&self, limits: &Limits) -> Option<Time> {
        let reads = self.waits == Waits::Read && !self.waits_for_flush();
        let over = self.has_ended || self.closing.is_some() || self.broken;
        let over = over || self.panicked || self.overflowed || self.is_finished;
        let wants = reads && !over && self.left < self.input_max(limits) && self.is_open;
        wants.then_some(self.asked_at)
    }

    /// Checks that no event is overdue.
    ///
    /// # Errors
    /// If one is.
    pub fn check_patience(
        &self,
        (now, turn): (Time, u64),
        draining_since: Option<Time>,
    ) -> Verdict {
        // One whose sending side is shut down lingers.
        let lingers = self.closing.is_some() || self.is_finished;
        if !lingers && self.is_overdue_to_end(turn.saturating_sub(1)) {
            return Err(format!("its end is overdue: {self:?}"));
        }
        let is_over = self.closing.is_some() || self.broken || self.panicked || self.overflowed;
        if !self.is_watched || is_over || self.is_finished {
            return Ok(());
        }
        let late = |since: Time| now - since > SLACK;
        let overdue = match self.flush {
            Flush::Owed if !self.is_duplex => None,
            Flush::Untold { since } => late(since).then_some("that its output has left"),
            _ if self.ask.is_some() && late(self.latest.max(self.asked_at)) => Some("its deadline"),
            // Output that had to wait came first.
            _ if self
                .woken
                .is_some_and(|since| late(since.max(self.asked_at))) =>
            {
                Some("its wake-up")
            }
            _ if !self.is_drained
                && draining_since.is_some_and(|since| late(since.max(self.asked_at))) =>
            {
                Some("the drain")
            }
            // Output that had to wait came first.
            _ if self
                .timers
                .values()
                .any(|&(at, since)| late(at.max(since).max(self.asked_at))) =>
            {
                Some("a timer")
            }
            _ => None,
        };
        overdue.map_or(Ok(()), |what| Err(format!("{what} is overdue: {self:?}")))
    }

    /// Checks the reason for which the connection ended.
    ///
    /// # Errors
    /// If the session's state does not explain it.
    pub fn closed(
        &self,
        why: EndReason,
        limits: &Limits,
        (drain_is_over, is_dropped): (bool, bool),
    ) -> Verdict {
        let explained = match why {
            EndReason::Panicked => self.panicked,
            EndReason::OutputOverflow => self.overflowed,
            EndReason::Aborted => self.is_aborting() && !self.panicked || self.aborted_in.is_some(),
            EndReason::Reset => self.broken || !self.is_watched,
            EndReason::WriteTimeout => self.flush == Flush::Owed || !self.is_watched,
            EndReason::InputOverflow => {
                self.left == self.input_max(limits) && self.closing.is_none()
            }
            EndReason::DrainTimeout => drain_is_over,
            EndReason::Dropped => is_dropped,
            why => self.closing == Some(why) && !self.panicked && !self.overflowed,
        };
        if !explained {
            return Err(format!("ended as \"{why}\" without reason: {self:?}"));
        }
        if self.is_watched && why.is_abnormal() != self.was_reset {
            return Err(format!("ended as \"{why}\", reset: {}", self.was_reset));
        }
        Ok(())
    }
}
