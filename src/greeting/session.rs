//! The state of one conversation.

use super::framing::Delimiter;
use oneloop::{CloseReason, SessionId, Time};

/// The state of one conversation. The bytes of a partial name stay in the connection's unread
/// input.
#[derive(Debug)]
pub struct Session {
    pub(super) state: State,
}

/// The states of a session.
///
/// ```text
///          gap or bytes             a name            gap or bytes
/// Greeting ────────────▶ AwaitName ───────▶ Reply ────────────────▶ AwaitName …
///                        │    ▲  │                                  exit, a mistake, a timeout,
///                        └────┘  └───────────────────────▶ Closing  the end of the stream, drain
///                        a line
/// ```
///
/// A peer that ends its names with line feeds gets reply and question at once, and its session
/// stays in `AwaitName`.
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

/// A question without an answer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    /// The deadline for a complete name.
    pub(super) deadline: Time,
    pub(super) peer: PeerState,
    pub(super) timer: Timer,
}

/// The meaning of the deadline given to the loop.
///
/// It must be stored: under load the loop expires deadlines early, so the time does not identify
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The timeout for a complete name.
    Name,
    /// The quiet gap, which ends a name.
    QuietGap,
}

/// The properties of a peer, learned from its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerState {
    /// The end of its names.
    pub(super) delimiter: Delimiter,
    /// The number of its invalid names.
    pub(super) mistakes: u8,
}

/// The final states of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// The server drains, and replies did not all have room.
    Draining(PeerState),
    /// The session has closed.
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

    /// Changes the state. The only setter.
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

/// Each idle connection holds one session.
const _: () = assert!(size_of::<Session>() <= 16);
