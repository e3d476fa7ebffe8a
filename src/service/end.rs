//! Why a connection ended.

use std::fmt;

/// Why a connection ended: every connection has exactly one reason, and the log, the counters and
/// the tests all use this one.
///
/// A service gives one of the first five with `Next::Close`; the loop gives the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EndReason {
    /// The service had finished, as the peer wished.
    Finished,
    /// The peer had finished sending, and everything owed to it was answered.
    PeerFinished,
    /// The peer broke the service's rules.
    Misbehaved,
    /// The peer let the service's deadline pass.
    TimedOut,
    /// The server stopped, and the peer was told so.
    Drained,
    /// The peer reset the connection, or vanished so that writing to it failed.
    Reset,
    /// The peer did not take its output within `Limits::write_timeout`.
    WriteTimeout,
    /// The session left more input unread than `Limits::input_bytes_max`.
    InputFull,
    /// Turned away: the server had all the connections it allows.
    Full,
    /// Turned away: its address had all the connections it is allowed.
    AddressFull,
    /// Still open when the time to drain was over.
    Cut,
    /// The service panicked in this session.
    Panicked,
    /// The operating system refused something that this socket needed.
    SocketFailed,
    /// An outbound connection that could not be made.
    ConnectFailed,
}

impl EndReason {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 14] = [
        Self::Finished,
        Self::PeerFinished,
        Self::Misbehaved,
        Self::TimedOut,
        Self::Drained,
        Self::Reset,
        Self::WriteTimeout,
        Self::InputFull,
        Self::Full,
        Self::AddressFull,
        Self::Cut,
        Self::Panicked,
        Self::SocketFailed,
        Self::ConnectFailed,
    ];

    /// True for a connection that was turned away at the door.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Full | Self::AddressFull)
    }

    /// The reason in plain words, as the log has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::PeerFinished => "peer finished",
            Self::Misbehaved => "misbehaved",
            Self::TimedOut => "timed out",
            Self::Drained => "drained",
            Self::Reset => "reset by peer",
            Self::WriteTimeout => "did not read its output in time",
            Self::InputFull => "sent more than was read",
            Self::Full => "refused, server full",
            Self::AddressFull => "refused, address has its share",
            Self::Cut => "cut off at the end of the drain",
            Self::Panicked => "session panicked",
            Self::SocketFailed => "socket failed",
            Self::ConnectFailed => "connect failed",
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
    fn the_list_of_all_reasons_is_in_counter_order() {
        for (place, reason) in EndReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
        }
    }
}
