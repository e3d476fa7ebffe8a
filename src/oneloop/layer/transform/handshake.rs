//! The progress of a transformation's handshake.

use crate::service::{CloseReason, Event, Time};

/// The progress of [`Transform::handshake`](super::Transform::handshake).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// It is complete, and the inner session is opened. Input that is left is decoded.
    Done,
    /// It waits for more input, at most until the deadline.
    Read {
        /// When [`Event::Timeout`] is due.
        until: Time,
    },
    /// It waits for a timer or a wake-up, at most until the deadline. Meanwhile the socket is not
    /// read, unless the peer has finished, as with [`Next::Pause`](crate::Next::Pause).
    Pause {
        /// When [`Event::Timeout`] is due.
        until: Time,
    },
}

impl Handshake {
    /// Returns the error of a handshake that `event` ends: its deadline has passed, the server is
    /// stopping, or the peer has finished sending.
    ///
    /// # Errors
    /// [`CloseReason::Timeout`], [`CloseReason::Shutdown`] or [`CloseReason::Eof`].
    pub const fn check(event: Event) -> Result<(), CloseReason> {
        match event {
            Event::Timeout => Err(CloseReason::Timeout),
            Event::Drain => Err(CloseReason::Shutdown),
            Event::Eof => Err(CloseReason::Eof),
            _ => Ok(()),
        }
    }
}
