//! The state of one connection behind a transformation, and the event that is due to its session.

use super::Decoded;
use super::plain::Plain;
use crate::service::{Context, Event, Next};

#[cfg(doc)]
use super::Transform;

/// The state of one connection behind a [`Transform`].
#[derive(Debug)]
pub struct TransformedState<T> {
    pub(super) transform: T,
    /// Plaintext that the inner session has not consumed.
    pub(super) unread: Plain,
    /// The maximum of plaintext to which the session has raised its own, while there is some.
    pub(super) raised: Option<usize>,
    pub(super) stage: Stage,
    pub(super) wake: Wake,
    /// The inner session's last answer.
    pub(super) wait: Next,
    pub(super) duplex: Duplex,
    pub(super) flush: Flush,
    pub(super) room: Room,
    pub(super) presented: Presented,
    pub(super) end: End,
    pub(super) sending: Sending,
}

/// The connection's stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The transformation's handshake is in progress.
    Handshake,
    /// The inner session has not got its first event.
    New,
    Open,
}

/// The inner session's mode: see [`Context::set_duplex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duplex {
    Half,
    Full,
}

/// A wake-up during the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    None,
    Pending,
}

/// The purpose of the flush that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flush {
    /// The transformation's own output is sent, or there is room again for the inner session.
    Own,
    /// The inner session's output is sent.
    Inner,
}

/// The room that the inner session has left at its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Some,
    /// None: it gets its unread plaintext again, or [`Event::Flushed`].
    None,
}

/// The presentation of unread plaintext to the inner session, at [`Event::Data`] or [`Event::Eof`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presented {
    All,
    /// All, but it is presented again as soon as the session reads and its output has room.
    Again,
    /// Some of it is new. It is presented as soon as the session reads.
    New,
}

/// The inner session's sending side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    Open,
    /// The end of its output is written; more is discarded.
    Finished,
}

/// The end of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    None,
    /// The wire has ended.
    Wire,
    /// The plaintext stream has ended.
    Plain,
    /// The inner session has got its [`Event::Eof`].
    Delivered,
}

impl<T> TransformedState<T> {
    /// Returns the state of a new connection.
    pub(super) fn new(transform: T) -> Self {
        Self {
            transform,
            unread: Plain::default(),
            raised: None,
            stage: Stage::Handshake,
            wake: Wake::None,
            wait: Next::Flush,
            duplex: Duplex::Half,
            flush: Flush::Own,
            room: Room::Some,
            presented: Presented::All,
            end: End::None,
            sending: Sending::Open,
        }
    }

    /// Returns the event if the inner session gets it as it is.
    pub(super) fn passed_on(&mut self, event: Event) -> Option<Event> {
        match (self.stage, event) {
            (Stage::Handshake | Stage::New, _)
            | (Stage::Open, Event::Open | Event::Data | Event::Eof) => None,
            // The transformation's own: `decode` was called.
            (Stage::Open, Event::Timer(_)) => None,
            (Stage::Open, Event::Flushed) => {
                let flush = std::mem::replace(&mut self.flush, Flush::Own);
                (flush == Flush::Inner).then_some(event)
            }
            (Stage::Open, _) => Some(event),
        }
    }

    /// Returns true if the inner session gets [`Event::Flushed`] because it has left no room, and has
    /// no unread plaintext to be presented again.
    pub(super) fn owes_flushed(&self, plain: &Plain) -> bool {
        let reads = matches!(self.wait, Next::Read { .. });
        self.stage == Stage::Open && self.room == Room::None && (plain.is_empty() || !reads)
    }

    /// Returns the next event that is due to the inner session, as the loop would.
    pub(super) fn due(&self, plain: &Plain, decoded: Decoded) -> Option<Event> {
        if self.stage != Stage::Open {
            return Some(Event::Open);
        }
        if self.wake == Wake::Pending {
            return Some(Event::Wake);
        }
        let ended = matches!(self.end, End::Wire | End::Plain) && decoded != Decoded::Some;
        match self.wait {
            Next::Read { .. } if self.presented != Presented::All && !plain.is_empty() => {
                Some(match self.end {
                    End::Delivered => Event::Eof,
                    _ => Event::Data,
                })
            }
            Next::Read { .. } | Next::Pause { .. } if ended => Some(Event::Eof),
            _ => None,
        }
    }

    /// Notes a step of the inner session.
    pub(super) fn stepped(&mut self, event: Event, next: Next, had_room: bool) {
        self.stage = Stage::Open;
        if event == Event::Wake {
            self.wake = Wake::None;
        }
        if event == Event::Eof {
            self.end = End::Delivered;
        }
        if matches!(event, Event::Data | Event::Eof) {
            self.presented = Presented::All;
        }
        // Unread input is presented again if its answer had no room, or after another wait.
        let resumes = matches!(self.wait, Next::Pause { .. } | Next::Flush)
            && matches!(next, Next::Read { .. })
            && !matches!(event, Event::Data | Event::Eof);
        self.room = match had_room {
            true => Room::Some,
            false => Room::None,
        };
        if (!had_room || resumes) && self.presented == Presented::All {
            self.presented = Presented::Again;
        }
        self.wait = next;
    }

    /// Returns the wait until the inner session's output has room for the answers to more
    /// plaintext.
    ///
    /// In half duplex the wire is not read meanwhile. In full duplex it is, as for a session without
    /// a transformation.
    pub(super) fn await_room(&mut self, cx: &mut Context<'_>) -> Next {
        match self.duplex {
            Duplex::Half => {
                self.flush = Flush::Own;
                Next::Flush
            }
            Duplex::Full => {
                if !cx.has_pending_output() {
                    cx.request_flushed();
                }
                self.wait
            }
        }
    }
}
