//! One connection's slot, and so the memory of an idle connection.

use std::ops::BitOr;

use super::admission::Claim;
use super::buffer::{Buffers, Deadline};
use super::ends::Ends;
use super::pressure::Pressure;
use super::timer_wheel::Link;
use crate::net::Readiness;
use crate::service::{EndReason, Event, Next, Time};

/// A connection in the slab.
#[derive(Debug)]
pub(crate) struct Connection<Stream, Session> {
    pub(crate) stream: Stream,
    /// Distinguishes this connection from earlier ones in the same slot.
    pub(crate) generation: u32,
    pub(crate) ends: Ends,
    /// `None` until the connection is established, and for one that is refused.
    pub(crate) session: Option<Session>,
    pub(crate) phase: Phase,
    pub(crate) origin: Origin,
    /// The index of the listener that has accepted it; 0 for an outbound connection.
    pub(crate) listener: u16,
    /// The reason of its end, once that is decided.
    pub(crate) reason: Option<EndReason>,
    pub(crate) flags: Flags,
    /// The requested deadline: the session's, or the loop's for its own waits.
    requested_deadline: Time,
    /// The effective deadline: the requested one, or an earlier one.
    pub(crate) deadline: Time,
    pub(crate) link: Link,
    pub(crate) buffers: Option<Box<Buffers>>,
}

/// The origin of a connection, which determines how it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Accepted, and counted as served.
    Accepted,
    /// Accepted from a proxy that has announced no client. Counted as served, but for no address.
    Proxy,
    /// Accepted, only to be refused.
    Refused,
    /// Opened by this service.
    Outbound,
}

/// The phase of a connection's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Outbound, not established yet.
    Connecting,
    /// The session is stepped.
    Live,
    /// The session has closed, or there was none. Pending output is being flushed.
    Flushing,
    /// Our side is shut down. Input is discarded: closing a socket with unread input would send a
    /// reset, which destroys output that the peer has not read.
    Lingering { bytes_left: u32 },
    /// To be reaped at the end of the turn.
    Dead,
}

/// A set of flags. One word, so that one test shows whether there is more to do than read.
///
/// The first three are hints: facts about the past, not a state. A stale hint costs one attempt.
/// The flags in [`PENDING_EVENTS`](Self::PENDING_EVENTS) are events for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl<Stream, Session> Connection<Stream, Session> {
    /// Creates a connection for a slot, which sets its generation.
    pub(crate) fn new(stream: Stream, ends: Ends, (phase, origin): (Phase, Origin)) -> Self {
        Self {
            stream,
            generation: 0,
            ends,
            session: None,
            phase,
            origin,
            listener: 0,
            reason: None,
            // A new socket is writable, most likely.
            flags: Flags::WRITABLE,
            requested_deadline: Time::NEVER,
            deadline: Time::NEVER,
            link: Link::UNLINKED,
            buffers: None,
        }
    }

    /// Returns what the connection takes up of the limits on connections.
    pub(crate) fn claim(&self) -> Claim {
        Claim {
            address: self.ends.remote(),
            origin: self.origin,
            listener: self.listener as usize,
        }
    }

    /// Returns the reason of its end.
    pub(crate) fn end_reason(&self) -> EndReason {
        let reason = self.reason.unwrap_or(EndReason::RegisterFailed);
        match self.origin {
            Origin::Proxy => reason.of_probe(),
            Origin::Accepted | Origin::Refused | Origin::Outbound => reason,
        }
    }

    /// Makes the events of its session begin anew. The end of the input is read again.
    pub(crate) fn reopen(&mut self) {
        self.clear_deadline();
        if self.flags.take(Flags::EOF) {
            self.flags.add(Flags::READABLE);
        }
        self.flags.remove(Flags::PAUSED | Flags::FLUSHED);
        self.flags.add(Flags::OPEN | Flags::REDELIVER);
    }

    /// Returns the index of the listener that has accepted it, if one has.
    pub(crate) fn accepted_by(&self) -> Option<usize> {
        match self.origin {
            Origin::Outbound => None,
            Origin::Accepted | Origin::Proxy | Origin::Refused => Some(self.listener as usize),
        }
    }

    /// Ends the connection at once, without flushing. The reason of a refusal is kept.
    pub(crate) fn abort(&mut self, reason: EndReason) {
        if !self.reason.is_some_and(EndReason::is_refusal) {
            self.reason = Some(reason);
        }
        self.phase = Phase::Dead;
        self.buffers = None;
    }

    /// Ends the connection once all output is flushed; unread input is discarded.
    pub(crate) fn close(&mut self, reason: EndReason) {
        self.reason = Some(reason);
        self.phase = Phase::Flushing;
        self.drop_input();
    }

    /// Sets the deadline. An unchanged request keeps its effective deadline, so that bytes
    /// trickling into a busy server do not extend a shortened wait.
    #[inline(always)]
    pub(crate) fn set_deadline(&mut self, requested: Time, pressure: &Pressure) {
        if self.requested_deadline != requested {
            self.requested_deadline = requested;
            self.deadline = pressure.scale(requested);
        }
    }

    /// Clears the deadline of the session's wait: the next request counts as new, even if it is the
    /// same. The write deadline of pending output remains.
    pub(crate) fn clear_deadline(&mut self) {
        self.requested_deadline = Time::NEVER;
        self.deadline = self.write_deadline();
    }

    /// Sets the write deadline of its pending output.
    pub(crate) fn set_write_deadline(&mut self, requested: Time, pressure: &Pressure) {
        let effective = pressure.scale(requested);
        if let Some(buffers) = &mut self.buffers {
            buffers.write_deadline = Deadline {
                requested,
                effective,
            };
        }
        self.deadline = pressure.scale(self.requested_deadline).min(effective);
    }

    /// Returns the write deadline of its pending output; never if there is none.
    pub(crate) fn write_deadline(&self) -> Time {
        match &self.buffers {
            Some(buffers) if !buffers.output.is_empty() => buffers.write_deadline.effective,
            _ => Time::NEVER,
        }
    }

    /// Shortens the effective deadlines to those that the requests would get now.
    pub(crate) fn shorten_deadline(&mut self, pressure: &Pressure) {
        if let Some(buffers) = &mut self.buffers {
            let write = &mut buffers.write_deadline;
            write.effective = write.effective.min(pressure.scale(write.requested));
        }
        let wait = self.deadline.min(pressure.scale(self.requested_deadline));
        self.deadline = wait.min(self.write_deadline());
    }

    /// Applies the answer of a step, and returns the session's deadline, if it has one.
    ///
    /// `seen` is true if the step has presented all input. Unread input is presented again after a
    /// session returns from another wait to reading.
    pub(crate) fn apply(&mut self, next: Next, seen: bool) -> Option<Time> {
        match next {
            Next::Read { until } => {
                if self.flags.take(Flags::PAUSED) && !seen {
                    self.flags.add(Flags::REDELIVER);
                }
                Some(until)
            }
            Next::Pause { until } => {
                self.flags.add(Flags::PAUSED);
                Some(until)
            }
            Next::Flush => {
                self.flags.add(Flags::PAUSED | Flags::FLUSHED);
                // The session has no deadline until it gets `Event::Flushed`, and then sets one.
                Some(Time::NEVER)
            }
            Next::Close(reason) => {
                self.close(reason.into());
                None
            }
            Next::Abort => {
                self.abort(EndReason::Aborted);
                None
            }
        }
    }

    /// Takes the first pending event that the session may get now. While the session waits for a
    /// flush, that comes first. `mark` is the pending output above which it has no room.
    pub(crate) fn next_event(&mut self, now: Time, mark: usize) -> Option<Event> {
        if self.flags.take(Flags::OPEN) {
            return Some(Event::Open);
        }
        let pending = self.pending_output();
        if pending == 0 && self.flags.take(Flags::FLUSHED) {
            return Some(Event::Flushed);
        }
        if self.flags.take(Flags::WAKE) {
            return Some(Event::Wake);
        }
        if !self.flags.has(Flags::PAUSED)
            && pending < mark
            && self.flags.take(Flags::REDELIVER)
            && self.has_input()
        {
            return Some(match self.flags.has(Flags::EOF) {
                true => Event::Eof,
                false => Event::Data,
            });
        }
        // An earlier event may have moved the deadline.
        if self.flags.take(Flags::DEADLINE) && self.deadline <= now {
            self.clear_deadline();
            return Some(Event::Timeout);
        }
        // Input that has arrived is read first, within one budget.
        let read_first = self.wants_reading() && !self.flags.has(Flags::DRAIN_OVERDUE);
        if !read_first && self.flags.take(Flags::DRAIN) {
            return Some(Event::Drain);
        }
        None
    }

    /// Returns true if reading is all there is to do.
    ///
    /// The session wants input, there is neither unread input nor pending output, and no event is
    /// pending.
    #[inline(always)]
    pub(crate) fn is_plain_read(&self) -> bool {
        self.buffers.is_none()
            && self.phase == Phase::Live
            && !self.flags.has(Flags::PENDING_EVENTS)
            && self.wants_reading()
    }

    /// Returns true if its session wants input, and there may be some.
    #[inline]
    pub(crate) fn wants_reading(&self) -> bool {
        let relevant = Flags::READABLE | Flags::PAUSED | Flags::EOF;
        self.flags.of_these(relevant) == Flags::READABLE
    }

    /// Returns true if its session does not want input, but the peer has finished: then the
    /// remaining input is read ahead, so that the session notices the end.
    pub(crate) fn is_read_ahead(&self) -> bool {
        let relevant = Flags::READABLE | Flags::HUP | Flags::PAUSED | Flags::EOF;
        self.flags.of_these(relevant) == Flags::READABLE | Flags::HUP | Flags::PAUSED
    }

    /// Returns true if the timer wheel expires no later than its deadline.
    #[inline]
    pub(crate) fn timer_covers(&self) -> bool {
        self.link.expires_at() <= self.deadline
    }

    /// Returns true if it has a session that has not closed, or pending output.
    pub(crate) fn is_unfinished(&self) -> bool {
        match self.phase {
            Phase::Connecting | Phase::Live => true,
            Phase::Flushing => self.has_pending_output(),
            Phase::Lingering { .. } | Phase::Dead => false,
        }
    }

    /// Returns true if the kernel has not taken all output yet.
    #[inline]
    pub(crate) fn has_pending_output(&self) -> bool {
        self.buffers
            .as_ref()
            .is_some_and(|buffers| !buffers.output.is_empty())
    }

    /// Returns how many bytes of output the kernel has not taken yet.
    pub(crate) fn pending_output(&self) -> usize {
        self.buffers
            .as_ref()
            .map_or(0, |buffers| buffers.output.len())
    }

    /// Returns true if its session is read and stepped although output is pending.
    pub(crate) fn is_duplex(&self) -> bool {
        self.phase == Phase::Live && self.flags.has(Flags::DUPLEX)
    }

    /// Sets whether its session is read and stepped while its output waits.
    pub(crate) fn set_duplex(&mut self, on: bool) {
        self.flags.remove(Flags::DUPLEX);
        if on {
            self.flags.add(Flags::DUPLEX);
        }
    }

    /// Returns true if there is input that the session has not consumed.
    #[inline]
    pub(crate) fn has_input(&self) -> bool {
        self.buffers
            .as_ref()
            .is_some_and(|buffers| !buffers.input.is_empty())
    }

    /// Returns the bytes allocated for its buffers.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.buffers
            .as_ref()
            .map_or(0, |buffers| buffers.capacity())
    }

    /// Frees its buffers if they are empty.
    pub(crate) fn free_buffers(&mut self) {
        if self
            .buffers
            .as_ref()
            .is_some_and(|buffers| buffers.is_empty())
        {
            self.buffers = None;
        }
    }

    /// Drops unread input.
    pub(crate) fn drop_input(&mut self) {
        if let Some(buffers) = &mut self.buffers {
            buffers.input.keep_last(0);
            self.free_buffers();
        }
    }
}

impl Flags {
    /// No read has returned `WouldBlock` since the last event.
    pub(crate) const READABLE: Self = Self(1);
    /// No write has returned `WouldBlock` since the last event.
    pub(crate) const WRITABLE: Self = Self(1 << 1);
    /// An event has reported the end: short reads no longer mean an empty socket.
    pub(crate) const HUP: Self = Self(1 << 2);
    /// A read returned 0.
    pub(crate) const EOF: Self = Self(1 << 3);
    /// It is in one of the loop's lists.
    pub(crate) const LISTED: Self = Self(1 << 4);
    /// The session does not want input for now.
    pub(crate) const PAUSED: Self = Self(1 << 5);
    /// The session is in full duplex: read and stepped while its output waits.
    pub(crate) const DUPLEX: Self = Self(1 << 6);
    /// The session has not got its first event yet.
    pub(crate) const OPEN: Self = Self(1 << 7);
    /// The output that it waits for is flushed.
    pub(crate) const FLUSHED: Self = Self(1 << 8);
    pub(crate) const WAKE: Self = Self(1 << 9);
    /// It wants input again, and has unread input.
    pub(crate) const REDELIVER: Self = Self(1 << 10);
    pub(crate) const DEADLINE: Self = Self(1 << 11);
    pub(crate) const DRAIN: Self = Self(1 << 12);
    /// An event has reported the end since the socket's error was last checked.
    pub(crate) const HUP_UNCHECKED: Self = Self(1 << 13);
    /// It has had a whole budget to read the input that arrived before the drain.
    pub(crate) const DRAIN_OVERDUE: Self = Self(1 << 14);
    /// The session has finished sending. The sending side is shut down unless output is pending.
    pub(crate) const FINISHED: Self = Self(1 << 15);

    pub(crate) const PENDING_EVENTS: Self = Self(0b0011_1111_1000_0000);

    /// Returns the flags that an event sets.
    #[inline(always)]
    pub(crate) fn of(event: Readiness) -> Self {
        if event.hup {
            return Self::of_hup();
        }
        Self(u16::from(event.readable) | u16::from(event.writable) << 1)
    }

    /// Kept out of line, so that the common case is a fall-through.
    #[cold]
    #[inline(never)]
    pub(crate) fn of_hup() -> Self {
        Self::READABLE | Self::WRITABLE | Self::HUP | Self::HUP_UNCHECKED
    }

    #[inline]
    pub(crate) fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    #[inline]
    pub(crate) fn of_these(self, some: Self) -> Self {
        Self(self.0 & some.0)
    }

    #[inline]
    pub(crate) fn add(&mut self, flags: Self) {
        self.0 |= flags.0;
    }

    #[inline]
    pub(crate) fn remove(&mut self, flags: Self) {
        self.0 &= !flags.0;
    }

    pub(crate) fn take(&mut self, flag: Self) -> bool {
        let was_set = self.has(flag);
        self.remove(flag);
        was_set
    }
}

impl BitOr for Flags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The size of an idle connection, which every connection pays for.
///
/// It is measured with a stream of four bytes (mio's, in a release build on Unix) and a session of
/// sixteen that has a niche for `None`, as enums have.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Connection<[u8; 4], (u64, bool)>>() <= 104);
