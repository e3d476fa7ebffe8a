//! One connection's slot: everything that an idle connection costs.

use std::net::SocketAddr;
use std::ops::BitOr;

use super::buffer::Buffers;
use super::compact_addr::CompactAddr;
use super::pressure::Pressure;
use super::timer_wheel::Link;
use crate::net::Readiness;
use crate::service::{EndReason, Event, Next, Peer, SessionId, Time};

/// A connection in the slab.
#[derive(Debug)]
pub(crate) struct Connection<Stream, Session> {
    pub(crate) stream: Stream,
    /// Distinguishes this connection from earlier ones in the same slot.
    pub(crate) generation: u32,
    address: CompactAddr,
    /// `None` until the connection is established, and for one that is refused.
    pub(crate) session: Option<Session>,
    pub(crate) phase: Phase,
    pub(crate) origin: Origin,
    /// The tag of an outbound connection.
    pub(crate) tag: u32,
    /// Why it ends, once that is decided.
    pub(crate) why: Option<EndReason>,
    pub(crate) flags: Flags,
    /// The deadline that was asked for: by the session, or by the loop for its own waits.
    until: Time,
    /// The deadline that holds: the one asked for, or a shorter one.
    pub(crate) due: Time,
    pub(crate) link: Link,
    pub(crate) buffers: Option<Box<Buffers>>,
}

/// Where a connection comes from, and so what it counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Accepted, and counted as one that is served.
    Accepted,
    /// Accepted, only to be told that it is refused.
    Refused,
    /// Made by this service.
    Outbound,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Outbound, not established yet.
    Connecting,
    /// The session is stepped.
    Live,
    /// The session has closed, or there was none; what is unsent leaves.
    Flushing,
    /// Our side is shut down; what the peer still sends is discarded, so that it is not answered
    /// by a reset that would destroy our last words.
    Lingering { bytes_left: u32 },
    /// To be reaped at the end of the turn.
    Dead,
}

/// What is known of a connection: a set of the constants. One word, so that the loop sees at a
/// glance whether there is anything but input to be thought of.
///
/// The first three are hints, facts about the past and not a state: one may be stale, and then the
/// attempt says so. Those in [`PENDING_EVENTS`](Self::PENDING_EVENTS) are what the session is still to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl<Stream, Session> Connection<Stream, Session> {
    pub(crate) fn new(
        stream: Stream,
        generation: u32,
        address: SocketAddr,
        (phase, origin): (Phase, Origin),
    ) -> Self {
        Self {
            stream,
            generation,
            address: address.into(),
            session: None,
            phase,
            origin,
            tag: 0,
            why: None,
            // A new socket is worth writing to.
            flags: Flags::WRITABLE,
            until: Time::NEVER,
            due: Time::NEVER,
            link: Link::UNLINKED,
            buffers: None,
        }
    }

    /// Returns the peer's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.into()
    }

    /// Returns what the service is told of the peer, for the connection in slot `index`.
    pub(crate) fn peer(&self, index: u32) -> Peer {
        Peer {
            id: SessionId {
                index,
                generation: self.generation,
            },
            address: self.address(),
            tag: (self.origin == Origin::Outbound).then_some(self.tag),
        }
    }

    /// Decides that it ends, now and without further words. One that is refused stays refused,
    /// however that goes.
    pub(crate) fn end(&mut self, why: EndReason) {
        if !self.why.is_some_and(EndReason::is_refusal) {
            self.why = Some(why);
        }
        self.phase = Phase::Dead;
        self.buffers = None;
    }

    /// Decides that it ends once all output has left; nothing that is unread counts any more.
    pub(crate) fn close(&mut self, why: EndReason) {
        self.why = Some(why);
        self.phase = Phase::Flushing;
        self.drop_input();
    }

    /// Sets the deadline. One that is not moved stays as it is, so that bytes dripping into a busy
    /// server do not extend one that was shortened.
    #[inline(always)]
    pub(crate) fn set_deadline(&mut self, until: Time, pressure: &Pressure) {
        if self.until != until {
            self.until = until;
            self.due = pressure.scale(until);
        }
    }

    /// Forgets the deadline: whatever is asked for next is a new one, be it the same again.
    pub(crate) fn clear_deadline(&mut self) {
        (self.until, self.due) = (Time::NEVER, Time::NEVER);
    }

    /// Shortens the deadline to what is granted now of what was asked for, not of what an earlier
    /// call made of it.
    pub(crate) fn shorten_deadline(&mut self, pressure: &Pressure) {
        self.due = self.due.min(pressure.scale(self.until));
    }

    /// Notes what the session waits for now, after a step that has shown it all its input if
    /// `seen`; returns until when, if it is for the session to say. Turning away from input and
    /// back to it makes what is unread worth offering again.
    pub(crate) fn waits(&mut self, next: Next, seen: bool) -> Option<Time> {
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
                // It has none until it is told, and then it sets one.
                Some(Time::NEVER)
            }
            Next::Close(why) => {
                self.close(why.into());
                None
            }
        }
    }

    /// Takes the first piece of news that the session can be told now. While it waits for its
    /// output to leave, that comes before all else.
    pub(crate) fn next_event(&mut self, now: Time) -> Option<Event> {
        if self.flags.take(Flags::OPEN) {
            return Some(Event::Open);
        }
        if self.flags.take(Flags::FLUSHED) {
            return Some(Event::Flushed);
        }
        if self.flags.take(Flags::WAKE) {
            return Some(Event::Wake);
        }
        if !self.flags.has(Flags::PAUSED) && self.flags.take(Flags::REDELIVER) && self.has_input() {
            return Some(match self.flags.has(Flags::EOF) {
                true => Event::Eof,
                false => Event::Data,
            });
        }
        // What the session was told before may have made it ask for a later one.
        if self.flags.take(Flags::DEADLINE) && self.due <= now {
            self.clear_deadline();
            return Some(Event::Timeout);
        }
        // What has arrived is read before, within one share of a turn.
        let read_first = self.wants_reading() && !self.flags.has(Flags::DRAIN_OVERDUE);
        if !read_first && self.flags.take(Flags::DRAIN) {
            self.flags.add(Flags::DRAINING);
            return Some(Event::Drain);
        }
        None
    }

    /// True if all there is to do is to read: its session wants input and has left none, it has no
    /// unsent output, and there is no news.
    #[inline(always)]
    pub(crate) fn is_plain_read(&self) -> bool {
        self.buffers.is_none()
            && self.phase == Phase::Live
            && !self.flags.has(Flags::PENDING_EVENTS)
            && self.wants_reading()
    }

    /// True if its session wants input, and there may be some.
    #[inline]
    pub(crate) fn wants_reading(&self) -> bool {
        let matter = Flags::READABLE | Flags::PAUSED | Flags::DRAINING | Flags::EOF;
        self.flags.of_these(matter) == Flags::READABLE
    }

    /// True if its session does not want input, but the peer has finished: then what is left of
    /// the input is read all the same, so that the session learns of the end.
    pub(crate) fn is_read_ahead(&self) -> bool {
        let matter = Flags::READABLE
            | Flags::HUP
            | Flags::PAUSED
            | Flags::DRAINING
            | Flags::EOF
            | Flags::AHEAD_FULL;
        self.flags.of_these(matter) == Flags::READABLE | Flags::HUP | Flags::PAUSED
    }

    /// True if the wheel will look at its deadline in time.
    #[inline]
    pub(crate) fn timer_covers(&self) -> bool {
        self.link.fires() <= self.due
    }

    /// True if it is unfinished: a session that has not closed, or output that is unsent.
    pub(crate) fn is_unfinished(&self) -> bool {
        match self.phase {
            Phase::Connecting | Phase::Live => true,
            Phase::Flushing => self.has_pending_output(),
            Phase::Lingering { .. } | Phase::Dead => false,
        }
    }

    /// True if the kernel has not taken all output yet.
    #[inline]
    pub(crate) fn has_pending_output(&self) -> bool {
        self.buffers
            .as_ref()
            .is_some_and(|buffers| !buffers.output.is_empty())
    }

    /// True if there is input that the session has left unread.
    #[inline]
    pub(crate) fn has_input(&self) -> bool {
        self.buffers
            .as_ref()
            .is_some_and(|buffers| !buffers.input.is_empty())
    }

    /// Returns the bytes buffers on the heap.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.buffers
            .as_ref()
            .map_or(0, |buffers| buffers.capacity())
    }

    /// Frees what is buffers if it is empty.
    pub(crate) fn free_buffers(&mut self) {
        if self
            .buffers
            .as_ref()
            .is_some_and(|buffers| buffers.is_empty())
        {
            self.buffers = None;
        }
    }

    /// Drops unread input: it is not for anybody any more.
    pub(crate) fn drop_input(&mut self) {
        if let Some(buffers) = &mut self.buffers {
            buffers.input.keep_last(0);
            self.free_buffers();
        }
    }
}

impl Flags {
    /// No read has said `WouldBlock` since the last event.
    pub(crate) const READABLE: Self = Self(1);
    /// No write has said `WouldBlock` since the last event.
    pub(crate) const WRITABLE: Self = Self(1 << 1);
    /// An event spoke of the end: short reads prove nothing any more.
    pub(crate) const HUP: Self = Self(1 << 2);
    /// A read returned 0.
    pub(crate) const EOF: Self = Self(1 << 3);
    /// It stands in one of the loop's lists.
    pub(crate) const LISTED: Self = Self(1 << 4);
    /// The session does not want input for now.
    pub(crate) const PAUSED: Self = Self(1 << 5);
    /// The session knows that the server stops: nothing is read for it any more.
    const DRAINING: Self = Self(1 << 6);
    /// It may begin.
    pub(crate) const OPEN: Self = Self(1 << 7);
    /// The output that it waits for has left.
    const FLUSHED: Self = Self(1 << 8);
    pub(crate) const WAKE: Self = Self(1 << 9);
    /// It wants input again, having left some.
    pub(crate) const REDELIVER: Self = Self(1 << 10);
    pub(crate) const DEADLINE: Self = Self(1 << 11);
    pub(crate) const DRAIN: Self = Self(1 << 12);
    /// An event spoke of the end since the socket was last asked for its error.
    pub(crate) const HUP_UNCHECKED: Self = Self(1 << 13);
    /// It has had a whole share of a turn to read what had arrived before the drain.
    pub(crate) const DRAIN_OVERDUE: Self = Self(1 << 14);
    /// Its unread input has no room for what could be read ahead.
    pub(crate) const AHEAD_FULL: Self = Self(1 << 15);

    pub(crate) const PENDING_EVENTS: Self = Self(0b0011_1111_1000_0000);

    /// What an event says.
    #[inline(always)]
    pub(crate) fn of(hint: Readiness) -> Self {
        if hint.closed {
            return Self::of_the_end();
        }
        Self(u16::from(hint.readable) | u16::from(hint.writable) << 1)
    }

    /// Apart, so that it is a jump away from the bulk of the events.
    #[cold]
    #[inline(never)]
    pub(crate) fn of_the_end() -> Self {
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
        let there = self.has(flag);
        self.remove(flag);
        there
    }
}

impl BitOr for Flags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a connection costs while it is idle, with a stream of four bytes (mio's, in a release build
/// on Unix) and a session of sixteen that has a value to spare for "none", as enums have. Every
/// connection pays for each byte here.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Connection<[u8; 4], (u64, bool)>>() <= 104);
