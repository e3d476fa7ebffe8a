//! The seam between a service and the loop.
//!
//! A service is a state machine without I/O. It sees no socket, no poller and no clock: bytes and
//! the current [`Time`] come in through a [`Context`], bytes and a [`Next`] go out. The loop that
//! drives it does not know the meaning of the bytes.
//!
//! Nothing in this module may name a socket, mio or a clock.

mod address_key;
mod connect;
mod connect_error;
mod context;
mod counters;
mod depth;
mod end;
mod filled;
mod histogram;
pub mod inspect;
mod limits;
mod nested;
mod output;
mod part;
mod peer;
mod requests;
mod segment;
mod service_context;
mod shared;
mod time;
mod timers;

use std::time::Duration;

pub(crate) use address_key::address_key;
pub use connect::{Address, Connect};
pub use connect_error::ConnectError;
pub use context::Context;
pub(crate) use context::Scratch;
pub use counters::{Counters, Usage};
pub(crate) use depth::Inside;
pub use end::{CloseReason, EndReason};
use inspect::{Description, Inspection};
pub use limits::SessionLimits;
pub use nested::Output;
pub use part::Side;
pub(crate) use part::{Entered, Part};
pub use peer::{Announced, ListenerId, Peer, PeerAddress, Route, SessionId, Tag};
pub(crate) use requests::Control;
pub(crate) use segment::{Chunk, Segment};
pub use service_context::ServiceContext;
pub use shared::{FileSlice, Shared};
pub use time::Time;
pub(crate) use timers::{Place, TimerId, TimerKey};

/// A server's behaviour: one value for the loop, one [`Session`](Self::Session) per connection.
///
/// There is one thread, so state that all sessions share is a plain field of the service: no lock,
/// no reference counting.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a service",
    label = "the loop needs a `Service` here",
    note = "implement `oneloop::Service` for `{Self}`: `type Session`, `open` and `step`"
)]
pub trait Service {
    /// The state of one connection. It lives in the connection's slot, so every idle connection
    /// pays for its size.
    type Session;

    /// Handles the start of the loop. Called once, when its first turn begins: a place to set a
    /// timer, or to connect. Nothing has been accepted yet.
    fn started(&mut self, cx: &mut ServiceContext) {
        let _ = cx;
    }

    /// Creates the session of a new connection. [`Event::Open`] follows at once, with the first
    /// opportunity to write.
    ///
    /// A panic here ends only this connection, with [`EndReason::Panicked`].
    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> Self::Session;

    /// Handles `event` and returns what the session waits for next.
    ///
    /// A session is not stepped while it has pending output, unless it is in full duplex (see
    /// [`Context::set_duplex`]). A panic here ends only this session, with
    /// [`EndReason::Panicked`].
    fn step(&mut self, session: &mut Self::Session, event: Event, cx: &mut Context<'_>) -> Next;

    /// Takes back a session whose connection has ended. Called exactly once for every session that
    /// [`open`](Self::open) created, also when the reactor is dropped.
    fn closed(
        &mut self,
        session: Self::Session,
        peer: Peer,
        reason: EndReason,
        cx: &mut ServiceContext,
    ) {
        let _ = (session, peer, reason, cx);
    }

    /// Returns the message for a connection to this `listener` that the loop refuses. Default:
    /// empty.
    ///
    /// `reason` is [`EndReason::ServerFull`] or [`EndReason::AddressLimit`].
    fn refusal_message(&self, listener: ListenerId, reason: EndReason) -> &[u8] {
        let _ = (listener, reason);
        b""
    }

    /// Returns true if an accepted connection is a proxy's, which announces the client. Default:
    /// false.
    ///
    /// Such a connection is not counted for the address of the proxy, and its route is
    /// [`Route::Probe`] until it is [readdressed](Context::readdress). `peer` has no id yet.
    fn is_proxy(&self, peer: &Peer) -> bool {
        let _ = peer;
        false
    }

    /// Handles the announcement of a session's client, after [`Context::readdress`]: `peer` has the
    /// client's address and the [`Route`]. [`Event::Open`] follows.
    ///
    /// A panic here ends only this session, with [`EndReason::Panicked`].
    fn readdressed(&mut self, session: &mut Self::Session, peer: Peer, cx: &mut ServiceContext) {
        let _ = (session, peer, cx);
    }

    /// Handles the failure of an outbound connection with this `tag`. It had no session.
    fn connect_failed(&mut self, tag: Tag, error: &ConnectError, cx: &mut ServiceContext) {
        let _ = (tag, error, cx);
    }

    /// Handles the timer with this `key`, set with [`ServiceContext::set_service_timer`].
    ///
    /// If it panics, it is called again a second later, unless it had set the timer itself.
    fn on_timer(&mut self, key: u64, cx: &mut ServiceContext) {
        let _ = (key, cx);
    }

    /// Handles the start of a drain: `open` connections have `grace` to finish. Called once, before
    /// the sessions get their [`Event::Drain`].
    fn draining(&mut self, open: usize, grace: Duration, cx: &mut ServiceContext) {
        let _ = (open, grace, cx);
    }

    /// Describes a session for a list of sessions, as an admin service has one: see
    /// [`ServiceContext::inspect`]. Sets the fields of `description` that the service knows.
    fn describe(&self, session: &Self::Session, description: &mut Description) {
        let _ = (session, description);
    }

    /// Handles a report of the loop's state, requested with this `key` by
    /// [`ServiceContext::inspect`].
    fn inspected(&mut self, key: u64, report: &Inspection<'_>, cx: &mut ServiceContext) {
        let _ = (key, report, cx);
    }
}

/// An event of a session.
///
/// [`Context::input`] returns all unread input at every event. Bytes that are not consumed stay in
/// the connection's buffer, up to `Limits::input_bytes_max`, and are presented again when more
/// arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The connection is established. Always the first event. It comes again after
    /// [`Context::readdress`].
    Open,
    /// Input has arrived. Also sent for input that the session did not consume because there was no
    /// room for its answer (see [`Context::has_room`]), once there is.
    Data,
    /// The peer has finished sending: [`Context::input`] holds all remaining input.
    ///
    /// It comes once, and again only for input that the session did not consume because there was
    /// no room or because it waited for another event. A paused session gets it too, so that it
    /// notices a peer that has disconnected.
    Eof,
    /// The operating system has taken all output.
    ///
    /// It comes after [`Next::Flush`], and after every other step whose output the operating system
    /// did not take at once; a deadline returned from that step is discarded, except in full
    /// duplex. It also comes after a step that left no room, unless unread input is offered again: a
    /// session that has more to write stops when there is no room (see [`Context::has_room`]), and
    /// goes on here.
    Flushed,
    /// The deadline given with [`Next::Read`] or [`Next::Pause`] has passed. It may come earlier
    /// than requested when the server is nearly full (see `Limits`).
    Timeout,
    /// Another session, or this one, called [`ServiceContext::wake`] for this session, or
    /// [`ServiceContext::wake_all`].
    Wake,
    /// The timer with this key, set with [`Context::set_timer`], is due. It is no longer set.
    ///
    /// It is independent of the wait: a session that answers with the deadline of its last answer
    /// goes on with the same wait.
    Timer(u32),
    /// The server is stopping: answer the unread input, say goodbye, and close.
    ///
    /// Input that had arrived before the drain has been read and stepped. A session whose work is
    /// not done returns [`Next::Read`] and is read on, until it closes or `Limits::drain_timeout`
    /// has elapsed. Comes at most once.
    Drain,
    /// A timer of a session, or of a layer, inside this layer is due. Only layers get it, and pass it
    /// on: the session gets its [`Event::Timer`].
    InnerTimer(u32),
}

/// The event that a session waits for. Every wait has a bound.
///
/// The first two carry their deadline ([`Time::UNBOUNDED`] is the only exception); the loop's write
/// deadline bounds the third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// More input, at most until the deadline.
    Read {
        /// When [`Event::Timeout`] is due.
        until: Time,
    },
    /// [`Event::Wake`], at most until the deadline. Meanwhile the socket is not read, unless the
    /// peer has finished: then its remaining input is read and [`Event::Eof`] comes.
    Pause {
        /// When [`Event::Timeout`] is due.
        until: Time,
    },
    /// The output to be flushed; then [`Event::Flushed`] comes. Meanwhile the socket is not read,
    /// and the loop's write deadline bounds the wait. A stream is sent this way: a piece, `Flush`,
    /// the next piece.
    Flush,
    /// The end. The output is flushed and the sending side shut down; the peer's remaining input is
    /// discarded for a short time, so that the peer gets all output and no reset; then the
    /// connection is closed.
    Close(CloseReason),
    /// The end, at once and with a reset, so that the peer cannot mistake the data it has received
    /// for complete data. Unsent output is discarded. The reason is [`EndReason::Aborted`].
    Abort,
}
