//! One connection's slot: everything that an idle connection costs.

use std::io;
use std::net::SocketAddr;
use std::ops::BitOr;

use super::address::Address;
use super::deadlines::Link;
use crate::net::{Net, Readiness};
use crate::service::{EndReason, Event, Next, Time};

/// A connection in the slab.
#[derive(Debug)]
pub(crate) struct Connection<Stream, Session> {
    pub(crate) stream: Stream,
    /// Distinguishes this connection from earlier ones in the same slot.
    pub(crate) serial: u32,
    address: Address,
    /// `None` until the connection is established, and for one that is turned away.
    pub(crate) session: Option<Session>,
    pub(crate) phase: Phase,
    /// Why it ends, once that is decided.
    pub(crate) why: Option<EndReason>,
    pub(crate) flags: Flags,
    /// The deadline that the session asked for.
    pub(crate) until: Time,
    /// The deadline that holds: the session's, the write deadline, or a shorter one.
    pub(crate) due: Time,
    pub(crate) link: Link,
    held: Option<Box<Held>>,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Outbound, not established yet.
    Connecting { ticket: u32 },
    /// The session is stepped.
    Live,
    /// The session has spoken its last word, or had none; what is owed leaves.
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
/// attempt says so. Those from [`OPENED`](Self::OPENED) on are news, which the session is still to
/// be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u16);

/// What the loop holds for a connection that is not idle: input that makes no whole message yet,
/// output that the kernel would not take. Given back as soon as both are empty.
#[derive(Debug, Default)]
struct Held {
    input: Vec<u8>,
    output: Vec<u8>,
    /// How much of `output` has left.
    sent: usize,
}

impl<Stream, Session> Connection<Stream, Session> {
    pub(crate) fn new(stream: Stream, serial: u32, address: SocketAddr, phase: Phase) -> Self {
        Self {
            stream,
            serial,
            address: address.into(),
            session: None,
            phase,
            why: None,
            // A new socket is worth writing to.
            flags: Flags::WRITABLE,
            until: Time::NEVER,
            due: Time::NEVER,
            link: Link::UNFILED,
            held: None,
        }
    }

    /// The peer's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.into()
    }

    /// Decides that it ends, now and without further words. One that is being turned away stays
    /// turned away, however that goes.
    pub(crate) fn end(&mut self, why: EndReason) {
        if !self.why.is_some_and(EndReason::is_refusal) {
            self.why = Some(why);
        }
        self.phase = Phase::Dead;
        self.held = None;
    }

    /// Notes what the session waits for now; says until when, if it is for the session to say.
    /// Turning away from input and back to it makes what is unread worth offering again.
    pub(crate) fn waits(&mut self, next: Next) -> Option<Time> {
        match next {
            Next::Read { until } => {
                if self.flags.take(Flags::PAUSED) {
                    self.flags.add(Flags::OFFER);
                }
                Some(until)
            }
            Next::Pause { until } => {
                self.flags.add(Flags::PAUSED);
                Some(until)
            }
            Next::Flush => {
                self.flags.add(Flags::PAUSED | Flags::FLUSHED);
                // It has none until it is told, and then it sets one, be it the same again.
                Some(Time::NEVER)
            }
            Next::Close(why) => {
                self.why = Some(why);
                self.phase = Phase::Flushing;
                None
            }
        }
    }

    /// Takes the first piece of news that the session can be told now. While it waits for its output to
    /// leave, that comes before all else.
    pub(crate) fn next_news(&mut self, now: Time) -> Option<Event> {
        if self.flags.take(Flags::OPENED) {
            return Some(Event::Opened);
        }
        if self.flags.take(Flags::FLUSHED) {
            return Some(Event::Flushed);
        }
        if self.flags.take(Flags::WOKEN) {
            return Some(Event::Woken);
        }
        if !self.flags.has(Flags::PAUSED) && self.flags.take(Flags::OFFER) {
            if self.flags.has(Flags::FINISHED) {
                return Some(Event::PeerFinished);
            }
            if self.has_input() {
                return Some(Event::Data);
            }
        }
        // What the session was told before may have made it ask for a later one.
        if self.flags.take(Flags::DEADLINE) && self.due <= now {
            // Whatever the session asks for after this is a new one, be it the same again.
            (self.until, self.due) = (Time::NEVER, Time::NEVER);
            return Some(Event::Deadline);
        }
        if self.flags.take(Flags::DRAIN) {
            self.flags.add(Flags::DRAINING);
            return Some(Event::Drain);
        }
        None
    }

    /// True if the next thing to do is to read, as it is for nearly every event: its session is
    /// alive, wants input and has left none, it owes no output, and there is no news.
    #[inline(always)]
    pub(crate) fn is_to_be_read(&self) -> bool {
        self.held.is_none()
            && self.phase == Phase::Live
            && !self.flags.has(Flags::NEWS)
            && self.wants_reading()
    }

    /// True if its session wants input, and there may be some.
    #[inline]
    pub(crate) fn wants_reading(&self) -> bool {
        let matter = Flags::READABLE | Flags::PAUSED | Flags::DRAINING;
        self.flags.of_these(matter) == Flags::READABLE
    }

    /// True if the wheel will look at its deadline in time.
    #[inline]
    pub(crate) fn is_filed_in_time(&self) -> bool {
        self.link.fires() <= self.due
    }

    /// The deadline before it was shortened, as far as it is known: a session's is remembered, the
    /// loop's own are not.
    pub(crate) fn deadline_asked_for(&self) -> Time {
        if self.phase == Phase::Live && !self.owes_output() {
            self.until
        } else {
            self.due
        }
    }

    /// True if it is still owed something: a session that has not closed, or output.
    pub(crate) fn is_unfinished(&self) -> bool {
        match self.phase {
            Phase::Connecting { .. } | Phase::Live => true,
            Phase::Flushing => self.owes_output(),
            Phase::Lingering { .. } | Phase::Dead => false,
        }
    }

    /// True if the kernel has not taken all output yet.
    #[inline]
    pub(crate) fn owes_output(&self) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| !held.output.is_empty())
    }

    /// Keeps `output`, which the kernel would not take. There must be none kept yet.
    pub(crate) fn keep_output(&mut self, output: &[u8]) {
        let held = self.held.get_or_insert_default();
        debug_assert!(
            held.output.is_empty(),
            "output is kept only when there is none"
        );
        held.output.reserve_exact(output.len());
        held.output.extend_from_slice(output);
    }

    /// Writes what fits of the kept output, and gives its memory back when all has left.
    pub(crate) fn write_unsent(
        &mut self,
        net: &mut impl Net<Stream = Stream>,
    ) -> io::Result<usize> {
        let Some(held) = &mut self.held else {
            return Ok(0);
        };
        let bytes = net.write(&mut self.stream, &held.output[held.sent..])?;
        held.sent += bytes;
        if held.sent == held.output.len() {
            held.output = Vec::new();
            held.sent = 0;
            self.give_back();
        }
        Ok(bytes)
    }

    /// True if there is input that the session has left unread.
    #[inline]
    pub(crate) fn has_input(&self) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| !held.input.is_empty())
    }

    /// Copies the unread input to the front of `buffer`, and says how much it is.
    #[inline]
    pub(crate) fn unread(&self, buffer: &mut [u8]) -> usize {
        let Some(held) = &self.held else { return 0 };
        buffer[..held.input.len()].copy_from_slice(&held.input);
        held.input.len()
    }

    /// The bytes held on the heap.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held
            .as_ref()
            .map_or(0, |held| held.input.capacity() + held.output.capacity())
    }

    /// Keeps `input` as all that is unread.
    pub(crate) fn keep_input(&mut self, input: &[u8]) {
        if !input.is_empty() {
            let held = self.held.get_or_insert_default();
            held.input.clear();
            held.input.reserve_exact(input.len());
            held.input.extend_from_slice(input);
        } else if let Some(held) = &mut self.held {
            held.input = Vec::new();
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if self
            .held
            .as_ref()
            .is_some_and(|held| held.input.is_empty() && held.output.is_empty())
        {
            self.held = None;
        }
    }
}

impl Flags {
    /// No read has said `WouldBlock` since the last event.
    pub(crate) const READABLE: Self = Self(1);
    /// No write has said `WouldBlock` since the last event.
    pub(crate) const WRITABLE: Self = Self(1 << 1);
    /// An event spoke of the end: short reads prove nothing any more.
    pub(crate) const CLOSED: Self = Self(1 << 2);
    /// A read returned 0.
    pub(crate) const FINISHED: Self = Self(1 << 3);
    /// It stands in one of the loop's lists.
    pub(crate) const QUEUED: Self = Self(1 << 4);
    /// The session does not want input for now.
    pub(crate) const PAUSED: Self = Self(1 << 5);
    /// The session knows that the server stops: nothing is read for it any more.
    const DRAINING: Self = Self(1 << 6);
    /// It may begin.
    pub(crate) const OPENED: Self = Self(1 << 7);
    /// The output that it waits for has left.
    const FLUSHED: Self = Self(1 << 8);
    pub(crate) const WOKEN: Self = Self(1 << 9);
    /// It wants input again, having left some.
    const OFFER: Self = Self(1 << 10);
    pub(crate) const DEADLINE: Self = Self(1 << 11);
    pub(crate) const DRAIN: Self = Self(1 << 12);

    pub(crate) const NEWS: Self = Self(!0 << 7);

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
    fn of_the_end() -> Self {
        Self::READABLE | Self::WRITABLE | Self::CLOSED
    }

    #[inline]
    pub(crate) fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    #[inline]
    fn of_these(self, some: Self) -> Self {
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

    fn take(&mut self, flag: Self) -> bool {
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
