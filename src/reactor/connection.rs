//! One connection's slot: everything that an idle connection costs.

use std::io;
use std::net::SocketAddr;

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
    pub(crate) wants: Wants,
    /// Why it ends, once that is decided.
    pub(crate) why: Option<EndReason>,
    pub(crate) hints: Hints,
    pub(crate) news: News,
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

/// What a live session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Input,
    Nothing,
    Flushed,
}

/// What is worth trying, and what is still to be told. Each is a fact about the past, not a state:
/// a hint may be stale, and then the attempt says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hints {
    /// No read has said `WouldBlock` since the last event.
    pub(crate) readable: bool,
    /// No write has said `WouldBlock` since the last event.
    pub(crate) writable: bool,
    /// An event spoke of the end: short reads prove nothing any more.
    pub(crate) closed: bool,
    /// A read returned 0.
    pub(crate) finished: bool,
    /// The session knows that the server stops: nothing is read for it any more.
    pub(crate) draining: bool,
    /// It stands in the ready list.
    pub(crate) queued: bool,
}

/// What a session is still to be told: a set of the constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News(u8);

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
            wants: Wants::Input,
            why: None,
            hints: Hints::NEW,
            news: News(0),
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

    /// Notes what an event said.
    #[inline]
    pub(crate) fn mark(&mut self, ready: Readiness) {
        self.hints.readable |= ready.readable;
        self.hints.writable |= ready.writable;
        self.hints.closed |= ready.closed;
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

    /// Notes what the session waits for now. Leaving [`Wants::Input`] and coming back to it makes
    /// unread input worth offering again.
    #[inline]
    pub(crate) fn waits(&mut self, next: Next) {
        if let Next::Read { until } = next
            && self.wants == Wants::Input
        {
            self.until = until;
        } else {
            self.waits_for_else(next);
        }
    }

    #[cold]
    fn waits_for_else(&mut self, next: Next) {
        match next {
            Next::Read { until } => {
                self.wants = Wants::Input;
                self.news.add(News::OFFER);
                self.until = until;
            }
            Next::Pause { until } => {
                self.wants = Wants::Nothing;
                self.until = until;
            }
            Next::Flush => {
                self.wants = Wants::Flushed;
                self.news.add(News::FLUSHED);
                // It has none until it is told, and then it sets one, be it the same again.
                self.until = Time::NEVER;
            }
            Next::Close(why) => {
                self.why = Some(why);
                self.phase = Phase::Flushing;
            }
        }
    }

    /// Takes the first piece of news that the session can be told now.
    #[inline]
    pub(crate) fn next_news(&mut self, now: Time) -> Option<Event> {
        if self.news.is_empty() {
            None
        } else {
            self.take_news(now)
        }
    }

    /// In the order in which they are told. While the session waits for its output to leave, that
    /// comes before all else.
    #[cold]
    fn take_news(&mut self, now: Time) -> Option<Event> {
        if self.news.take(News::OPENED) {
            return Some(Event::Opened);
        }
        if self.news.take(News::FLUSHED) {
            return Some(Event::Flushed);
        }
        if self.news.take(News::WOKEN) {
            return Some(Event::Woken);
        }
        if self.wants == Wants::Input && self.news.take(News::OFFER) {
            if self.hints.finished {
                return Some(Event::PeerFinished);
            }
            if self.has_input() {
                return Some(Event::Data);
            }
        }
        // What the session was told before may have made it ask for a later one.
        if self.news.take(News::DEADLINE) && self.due <= now {
            return Some(Event::Deadline);
        }
        if self.news.take(News::DRAIN) {
            self.hints.draining = true;
            return Some(Event::Drain);
        }
        None
    }

    /// True if its session wants input, and there may be some.
    #[inline]
    pub(crate) fn wants_reading(&self) -> bool {
        self.hints.readable && self.wants == Wants::Input && !self.hints.draining
    }

    /// True if the wheel will look at its deadline in time, and it is not to be reaped.
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        self.phase != Phase::Dead && self.link.fires() <= self.due
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
        let held = self.held.get_or_insert_default();
        if input.is_empty() {
            held.input = Vec::new();
            self.give_back();
        } else {
            held.input.clear();
            held.input.reserve_exact(input.len());
            held.input.extend_from_slice(input);
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

impl News {
    pub(crate) const OPENED: Self = Self(1);
    /// The session waits for its output to leave.
    const FLUSHED: Self = Self(1 << 1);
    pub(crate) const WOKEN: Self = Self(1 << 2);
    /// The session wants input again, having left some.
    const OFFER: Self = Self(1 << 3);
    pub(crate) const DEADLINE: Self = Self(1 << 4);
    pub(crate) const DRAIN: Self = Self(1 << 5);

    #[inline]
    pub(crate) fn add(&mut self, news: Self) {
        self.0 |= news.0;
    }

    #[inline]
    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn take(&mut self, news: Self) -> bool {
        let there = self.0 & news.0 != 0;
        self.0 &= !news.0;
        there
    }
}

impl Hints {
    /// A new socket is worth trying in both directions.
    const NEW: Self = Self {
        readable: false,
        writable: true,
        closed: false,
        finished: false,
        draining: false,
        queued: false,
    };
}

/// What a connection costs while it is idle, with a stream of four bytes (mio's, in a release build
/// on Unix) and a session of sixteen that has a value to spare for "none", as enums have. Every
/// connection pays for each byte here.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Connection<[u8; 4], (u64, bool)>>() <= 112);
