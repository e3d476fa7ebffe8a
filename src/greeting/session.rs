//! What is remembered of one connection.

use super::framing::Delimiter;
use oneloop::{CloseReason, SessionId, Time};

/// What a [`Greeter`](super::Greeter) remembers of one connection. The bytes of a name that is not
/// whole yet stay in the connection's unread input.
#[derive(Debug)]
pub struct Session {
    pub(super) state: State,
}

/// Where a session stands.
///
/// ```text
///          gap or bytes             a name            gap or bytes
/// Greeting ────────────▶ AwaitName ───────▶ Reply ────────────────▶ AwaitName …
///                        │    ▲  │                                  exit, a fault, a deadline,
///                        └────┘  └───────────────────────▶ Closing  the end of the stream, drain
///                        a line
/// ```
///
/// A peer that ends its names with line feeds gets reply and question at once, so it stays in
/// `AwaitName`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The welcome has been sent; the question follows after the quiet gap.
    Greeting(PeerState),
    /// The question has been sent.
    AwaitName(Prompt),
    /// A reply has been sent; the question follows after the quiet gap.
    Reply(PeerState),
    /// No question will follow.
    Closing(Closing),
}

/// A question that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    /// When a whole name must be there.
    pub(super) deadline: Time,
    pub(super) peer: PeerState,
    pub(super) timer: Timer,
}

/// What the deadline that the loop was given means. It must be remembered: the loop may cut a wait
/// short, so the time at which it ends does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The time for a whole name is over.
    Name,
    /// The peer has been quiet: what has come is a name.
    QuietGap,
}

/// What a peer has shown of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerState {
    /// What ends its names.
    pub(super) delimiter: Delimiter,
    /// How many of its names were none.
    pub(super) mistakes: u8,
}

/// The last stretch of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// The server stops, and there was no room yet for all that is owed.
    Draining(PeerState),
    /// The last word is said.
    Closed(CloseReason),
}

impl Session {
    pub(super) const fn new(delimiter: Delimiter) -> Self {
        let peer = PeerState {
            delimiter,
            mistakes: 0,
        };
        Self {
            state: State::Greeting(peer),
        }
    }

    /// The one way from state to state.
    pub(super) fn enter(&mut self, next: State, id: SessionId) {
        log::trace!("{id}: {} -> {}", self.state.as_str(), next.as_str());
        self.state = next;
    }
}

impl State {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Greeting(_) => "Greeting",
            Self::AwaitName(_) => "AwaitName",
            Self::Reply(_) => "Reply",
            Self::Closing(_) => "Closing",
        }
    }
}

/// Every idle connection pays for its session.
const _: () = assert!(size_of::<Session>() <= 16);
