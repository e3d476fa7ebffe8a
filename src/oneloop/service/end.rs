//! Why a connection ended.

use std::fmt;

/// The reason that a service gives with [`Next::Close`](super::Next::Close).
///
/// The loop's own reasons are not among them: see [`EndReason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The conversation is complete.
    Completed,
    /// The peer has finished sending, and every request is answered.
    Eof,
    /// The peer broke the service's rules.
    ProtocolError,
    /// The peer let the service's deadline pass.
    Timeout,
    /// The server stops.
    Shutdown,
    /// The service does not serve this peer: a room is full, a right is missing.
    Refused,
}

/// The reason why a connection ended. Every connection has exactly one, and the log, the counters
/// and the tests all use this one.
///
/// The first six are the service's ([`CloseReason`]); the loop gives the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum EndReason {
    /// The conversation was complete.
    Completed,
    /// The peer had finished sending, and every request was answered.
    Eof,
    /// The peer broke the service's rules.
    ProtocolError,
    /// The peer let the service's deadline pass.
    Timeout,
    /// The server stopped, and the service closed the connection because of it.
    Shutdown,
    /// The service did not serve this peer.
    Refused,
    /// The peer reset the connection, or vanished so that writing to it failed.
    Reset,
    /// The peer took less than `Limits::write_progress_bytes` of its output within
    /// `Limits::write_timeout`.
    WriteTimeout,
    /// The peer sent more than `Limits::input_bytes_max` that the session left unread.
    InputOverflow,
    /// The session wrote more than `Limits::output_bytes_max` in one step.
    OutputOverflow,
    /// Refused by the loop: the server had all the connections it allows.
    ServerFull,
    /// Refused by the loop: the address had all the connections it is allowed.
    AddressLimit,
    /// Still open when the time to drain was over.
    DrainTimeout,
    /// The service panicked in this session.
    Panicked,
    /// The operating system refused something that this socket needed.
    RegisterFailed,
    /// An outbound connection that could not be made.
    ConnectFailed,
    /// Still open when the reactor was dropped.
    Dropped,
}

impl From<CloseReason> for EndReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Completed => Self::Completed,
            CloseReason::Eof => Self::Eof,
            CloseReason::ProtocolError => Self::ProtocolError,
            CloseReason::Timeout => Self::Timeout,
            CloseReason::Shutdown => Self::Shutdown,
            CloseReason::Refused => Self::Refused,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        EndReason::from(*self).fmt(f)
    }
}

impl EndReason {
    /// Every reason, in the order of the counters.
    pub const ALL: &[Self] = &[
        Self::Completed,
        Self::Eof,
        Self::ProtocolError,
        Self::Timeout,
        Self::Shutdown,
        Self::Refused,
        Self::Reset,
        Self::WriteTimeout,
        Self::InputOverflow,
        Self::OutputOverflow,
        Self::ServerFull,
        Self::AddressLimit,
        Self::DrainTimeout,
        Self::Panicked,
        Self::RegisterFailed,
        Self::ConnectFailed,
        Self::Dropped,
    ];

    /// Returns true for a connection that the loop refused when it was accepted.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::ServerFull | Self::AddressLimit)
    }

    /// Returns true if the connection ended before all that was written had been sent, or in the
    /// middle of a session. The peer then sees a reset, and cannot take what it has received for
    /// the whole.
    #[must_use]
    pub const fn is_abnormal(self) -> bool {
        matches!(
            self,
            Self::WriteTimeout
                | Self::OutputOverflow
                | Self::DrainTimeout
                | Self::Panicked
                | Self::Dropped
        )
    }

    /// Returns the reason in plain words, as the log has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "finished",
            Self::Eof => "peer finished",
            Self::ProtocolError => "misbehaved",
            Self::Timeout => "timed out",
            Self::Shutdown => "drained",
            Self::Refused => "refused by the service",
            Self::Reset => "reset by peer",
            Self::WriteTimeout => "did not read its output in time",
            Self::InputOverflow => "sent more than was read",
            Self::OutputOverflow => "was answered with more than fits",
            Self::ServerFull => "refused, server full",
            Self::AddressLimit => "refused, address has its share",
            Self::DrainTimeout => "cut off at the end of the drain",
            Self::Panicked => "session panicked",
            Self::RegisterFailed => "socket failed",
            Self::ConnectFailed => "connect failed",
            Self::Dropped => "reactor dropped",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_all_reasons_is_in_counter_order() {
        for (place, &reason) in EndReason::ALL.iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
        }
    }
}
