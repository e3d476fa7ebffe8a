//! The seam: what a service and the loop know of each other.
//!
//! A service is a state machine without I/O. It sees no socket, no poller and no clock: bytes and
//! the present [`Time`] come in through a [`Context`], bytes and the [`Next`] wish go out. The loop
//! that drives it knows nothing of what the bytes mean.
//!
//! Nothing in this module may name a socket, mio or a clock.

mod context;
mod end;
mod output;
mod time;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use context::{Connect, Desk};
pub use context::{Context, Full};
pub use end::EndReason;
pub(crate) use output::Output;
pub use time::Time;

/// A server's behaviour: one value for the whole loop, one [`Session`](Self::Session) for each
/// connection.
///
/// There is one thread, so whatever all sessions share is a plain field of the service: no lock,
/// no reference counting.
pub trait Service {
    /// What the service remembers of one connection. It lives in the connection's slot, so its
    /// size is paid for every idle connection.
    type Session;

    /// A connection is about to begin. Nothing may be sent yet: [`Event::Opened`] follows at once.
    fn open(&mut self, peer: Peer, cx: &mut Context<'_>) -> Self::Session;

    /// Something happened to `session`; the answer says what it waits for now.
    ///
    /// The output is empty at every call: a session whose last words have not left yet is not
    /// stepped. A panic in here ends this session alone, with [`EndReason::Panicked`].
    fn step(&mut self, session: &mut Self::Session, event: Event, cx: &mut Context<'_>) -> Next;

    /// The connection is gone. Called exactly once for every session that was opened.
    fn closed(&mut self, session: Self::Session, peer: SocketAddr, why: EndReason) {
        let _ = (session, peer, why);
    }

    /// What a peer is told that is turned away at the door, for `why` one of
    /// [`EndReason::Full`] and [`EndReason::AddressFull`]. Default: nothing.
    fn refusal(&self, why: EndReason) -> &[u8] {
        let _ = why;
        b""
    }

    /// An outbound connection asked for with `ticket` could not be made; no session was opened.
    fn connect_failed(&mut self, ticket: u32, error: &io::Error, cx: &mut Context<'_>) {
        let _ = (ticket, error, cx);
    }

    /// The time set with [`Context::set_alarm`] has come.
    fn alarm(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// The server begins to stop: `open` connections have `grace` to finish. Called once, before
    /// the sessions get their [`Event::Drain`].
    fn draining(&mut self, open: usize, grace: Duration) {
        let _ = (open, grace);
    }
}

/// The other end of a connection, as a new session is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The peer's address.
    pub address: SocketAddr,
    /// For a connection this service asked for: the ticket it gave. `None` for an accepted one.
    pub ticket: Option<u32>,
}

/// What can happen to a session.
///
/// Unread input is at hand at every event through [`Context::input`]; what is not consumed is
/// kept, bounded, and offered again when more has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection is established. Always the first event.
    Opened,
    /// There is input that the session has not seen, or has left because its output was full.
    Data,
    /// The peer has finished sending: what [`Context::input`] holds now is all there will be. If
    /// the answer is [`Next::Flush`], it comes again once the output has left.
    PeerFinished,
    /// All output has been handed to the operating system, after [`Next::Flush`].
    Flushed,
    /// The instant given with [`Next::Read`] or [`Next::Pause`] has come. It may come earlier than
    /// asked for when the server is nearly full (see `Limits`).
    Deadline,
    /// Another session, or this one, called [`Context::wake`] for this session.
    Woken,
    /// The server is stopping: answer what is owed, say goodbye, and close. Nothing is read any
    /// more. Comes at most once.
    Drain,
}

/// What a session waits for. There is no wait without an end: the first two carry their deadline,
/// the third is bounded by the loop's write deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More input, at most until the deadline.
    Read {
        /// When [`Event::Deadline`] is due.
        until: Time,
    },
    /// Nothing but [`Event::Woken`], at most until the deadline. The socket is not read meanwhile.
    Pause {
        /// When [`Event::Deadline`] is due.
        until: Time,
    },
    /// The output to leave; then [`Event::Flushed`] comes. The socket is not read meanwhile, and
    /// the loop's write deadline bounds the wait. This is back-pressure: answer it when
    /// [`Context::write`] says [`Full`].
    Flush,
    /// The end: the output is flushed, the sending side shut down, what the peer still sends is
    /// discarded for a little while (so that it gets our last words and no reset), then the
    /// connection is closed.
    Close(EndReason),
}

/// Names one session for as long as its connection lives; never another one, also not after its
/// slot has been given to a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    pub(crate) index: u32,
    pub(crate) serial: u32,
}

impl SessionId {
    /// The session of a call that is not about a session.
    pub(crate) const NOBODY: Self = Self {
        index: u32::MAX,
        serial: u32::MAX,
    };
}

impl fmt::Display for SessionId {
    /// The number of the session, counted from the first one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.serial)
    }
}
