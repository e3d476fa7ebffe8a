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
mod requests;
mod time;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use context::Scratch;
pub use context::{Context, ServiceContext};
pub use end::{CloseReason, EndReason};
pub(crate) use requests::Connect;
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

    /// Makes the session of a connection that begins. [`Event::Open`] follows at once, and with
    /// it the first chance to write.
    ///
    /// A panic in here ends this connection alone, with [`EndReason::Panicked`].
    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> Self::Session;

    /// Handles `event` and returns what the session waits for next.
    ///
    /// The output is empty at every call: a session is not stepped while its output waits to
    /// leave. A panic in here ends this session alone, with [`EndReason::Panicked`].
    fn step(&mut self, session: &mut Self::Session, event: Event, cx: &mut Context<'_>) -> Next;

    /// Takes a session whose connection has ended. Called exactly once for every session that
    /// [`open`](Self::open) made, also when the reactor is dropped.
    fn closed(
        &mut self,
        session: Self::Session,
        peer: Peer,
        why: EndReason,
        cx: &mut ServiceContext,
    ) {
        let _ = (session, peer, why, cx);
    }

    /// Returns the message for a connection that the loop refuses. `why` is [`EndReason::ServerFull`] or
    /// [`EndReason::AddressLimit`]. Default: empty.
    fn refusal_message(&self, why: EndReason) -> &[u8] {
        let _ = why;
        b""
    }

    /// Handles the failure of an outbound connection that was asked for with `tag`. No session
    /// was opened for it.
    fn connect_failed(&mut self, tag: u32, error: &io::Error, cx: &mut ServiceContext) {
        let _ = (tag, error, cx);
    }

    /// Handles the time set with [`ServiceContext::set_timer`]. If it panics, it is called again a
    /// second later.
    fn on_timer(&mut self, cx: &mut ServiceContext) {
        let _ = cx;
    }

    /// Handles the beginning of a stop: `open` connections have `grace` to finish. Called once,
    /// before the sessions get their [`Event::Drain`].
    fn draining(&mut self, open: usize, grace: Duration, cx: &mut ServiceContext) {
        let _ = (open, grace, cx);
    }
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The id of the session that serves it.
    pub id: SessionId,
    /// The peer's address.
    pub address: SocketAddr,
    /// The tag that the service gave with [`ServiceContext::connect`]. `None` for an accepted
    /// connection.
    pub tag: Option<u32>,
}

/// What can happen to a session.
///
/// [`Context::input`] returns all unread input at every event. What is not consumed stays in the
/// connection's buffer, up to `Limits::input_bytes_max`, and is there again when more has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The connection is established. Always the first event.
    Open,
    /// Input has arrived, or input that the session left because there was no room for its answer
    /// (see [`Context::has_room`]) can be answered now.
    Data,
    /// The peer has finished sending: what [`Context::input`] holds now is all there will be. It
    /// comes once, and again only for input that the session left because there was no room or
    /// because it waited for something else. It comes to a paused session too, so that it notices
    /// a peer that has gone.
    Eof,
    /// All output has been handed to the operating system. It comes after [`Next::Flush`], and
    /// after every other step whose output the operating system did not take at once; a deadline
    /// that was given with that step does not count any more.
    Flushed,
    /// The instant given with [`Next::Read`] or [`Next::Pause`] has come. It may come earlier than
    /// asked for when the server is nearly full (see `Limits`).
    Timeout,
    /// Another session, or this one, called [`ServiceContext::wake`] for this session.
    Wake,
    /// The server is stopping: answer what is unread, say goodbye, and close. What had arrived by
    /// then has been read and stepped before; nothing is read any more. Comes at most once.
    Drain,
}

/// What a session waits for. Every wait has a bound: the first two carry their deadline (only
/// [`Time::UNBOUNDED`] is none), the third is bounded by the loop's write deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More input, at most until the deadline.
    Read {
        /// When [`Event::Timeout`] is due.
        until: Time,
    },
    /// [`Event::Wake`], at most until the deadline. The socket is not read meanwhile, unless the
    /// peer has finished: then the rest is read and [`Event::Eof`] comes.
    Pause {
        /// When [`Event::Timeout`] is due.
        until: Time,
    },
    /// The output to leave; then [`Event::Flushed`] comes. The socket is not read meanwhile, and
    /// the loop's write deadline bounds the wait. This is how a stream is sent: a piece, `Flush`,
    /// the next piece.
    Flush,
    /// The end: the output is flushed, the sending side shut down, what the peer still sends is
    /// discarded for a little while (so that it gets our last words and no reset), then the
    /// connection is closed.
    Close(CloseReason),
}

/// Names one session for as long as its connection lives; never another one, also not after its
/// slot has been given to a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl SessionId {
    /// The session of a call that is not about a session.
    pub(crate) const NONE: Self = Self {
        index: u32::MAX,
        generation: u32::MAX,
    };
}

impl fmt::Display for SessionId {
    /// The number of the session, counted from the first one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.generation)
    }
}
