//! The reasons why connections end.

use std::fmt;

/// The reason that a service gives with [`Next::Close`](super::Next::Close).
///
/// The loop's own reasons are in [`EndReason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The conversation is complete.
    Completed,
    /// The peer has finished sending, and every request is answered.
    Eof,
    /// The peer broke the service's rules.
    ProtocolError,
    /// The peer missed the service's deadline.
    Timeout,
    /// The server is stopping.
    Shutdown,
    /// The service does not serve this peer, for example because a room is full.
    Refused,
    /// The handshake of a layer, such as TLS, has failed.
    HandshakeFailed,
    /// The peer's stream has ended without the mark that a layer, such as TLS, requires: it may be
    /// incomplete.
    Truncated,
}

/// The reason why a connection ended. The log, the counters and the tests all use this one.
///
/// Every connection has exactly one. Those that are also a [`CloseReason`] are the service's, or its
/// layers'; the loop gives the others.
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
    /// The peer missed the service's deadline.
    Timeout,
    /// The server stopped, so the service closed the connection.
    Shutdown,
    /// The service did not serve this peer.
    Refused,
    /// The peer reset the connection, or became unreachable so that writing to it failed.
    Reset,
    /// The peer accepted less than `Limits::write_progress_bytes` of its output within
    /// `Limits::write_timeout`.
    WriteTimeout,
    /// The unread input of the session exceeded `Limits::input_bytes_max`.
    InputOverflow,
    /// The session wrote more than `Limits::output_bytes_max` in one step.
    OutputOverflow,
    /// Refused by the loop: `Limits::connections_max` was reached.
    ServerFull,
    /// Refused by the loop: `Limits::connections_per_address_max` was reached.
    AddressLimit,
    /// Still open when `Limits::drain_timeout` had elapsed.
    DrainTimeout,
    /// The service panicked in this session.
    Panicked,
    /// The operating system refused to register the socket.
    RegisterFailed,
    /// The outbound connection could not be established.
    ConnectFailed,
    /// Still open when the reactor was dropped.
    Dropped,
    /// The service aborted the connection: [`Next::Abort`](super::Next::Abort), or
    /// [`ServiceContext::abort`](super::ServiceContext::abort).
    Aborted,
    /// The handshake of a layer, such as TLS, failed.
    HandshakeFailed,
    /// The peer's stream ended without the mark that a layer, such as TLS, requires.
    Truncated,
    /// A proxy's own connection has ended, in any ordinary way: it was reset, or finished by either
    /// side. See [`Route::Probe`](super::Route::Probe).
    Probe,
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
            CloseReason::HandshakeFailed => Self::HandshakeFailed,
            CloseReason::Truncated => Self::Truncated,
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
        Self::Aborted,
        Self::HandshakeFailed,
        Self::Truncated,
        Self::Probe,
    ];

    /// Returns true if the loop refused the connection when it was accepted.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::ServerFull | Self::AddressLimit)
    }

    /// Returns true if the connection ended in the middle of a session, or with unsent output.
    ///
    /// The peer then sees a reset, and cannot mistake the data it has received for complete data.
    #[must_use]
    pub const fn is_abnormal(self) -> bool {
        matches!(
            self,
            Self::WriteTimeout
                | Self::OutputOverflow
                | Self::DrainTimeout
                | Self::Panicked
                | Self::Dropped
                | Self::Aborted
        )
    }

    /// Returns the reason for a proxy's own connection that would end for this one otherwise.
    pub(crate) const fn of_probe(self) -> Self {
        match self {
            Self::Completed | Self::Eof | Self::Reset => Self::Probe,
            trouble => trouble,
        }
    }

    /// Returns the name of the counter of connections that ended for this reason.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Completed => "ended_completed",
            Self::Eof => "ended_eof",
            Self::ProtocolError => "ended_protocol_error",
            Self::Timeout => "ended_timeout",
            Self::Shutdown => "ended_shutdown",
            Self::Refused => "ended_refused",
            Self::Reset => "ended_reset",
            Self::WriteTimeout => "ended_write_timeout",
            Self::InputOverflow => "ended_input_overflow",
            Self::OutputOverflow => "ended_output_overflow",
            Self::ServerFull => "ended_server_full",
            Self::AddressLimit => "ended_address_limit",
            Self::DrainTimeout => "ended_drain_timeout",
            Self::Panicked => "ended_panicked",
            Self::RegisterFailed => "ended_register_failed",
            Self::ConnectFailed => "ended_connect_failed",
            Self::Dropped => "ended_dropped",
            Self::Aborted => "ended_aborted",
            Self::HandshakeFailed => "ended_handshake_failed",
            Self::Truncated => "ended_truncated",
            Self::Probe => "ended_probe",
        }
    }

    /// Returns the reason in plain words, as in the log.
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
            Self::Aborted => "aborted by the service",
            Self::HandshakeFailed => "handshake failed",
            Self::Truncated => "stream cut short",
            Self::Probe => "probe of a proxy",
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

    #[test]
    fn reason_is_displayed_in_words_of_its_own() {
        let mut words: Vec<_> = EndReason::ALL.iter().map(ToString::to_string).collect();
        assert!(words.iter().all(|words| words.len() > 5), "{words:?}");
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), EndReason::ALL.len());
    }

    #[test]
    fn reason_of_a_service_becomes_the_one_of_its_name() {
        for reason in [
            CloseReason::Completed,
            CloseReason::Eof,
            CloseReason::ProtocolError,
            CloseReason::Timeout,
            CloseReason::Shutdown,
            CloseReason::Refused,
            CloseReason::HandshakeFailed,
            CloseReason::Truncated,
        ] {
            let end = EndReason::from(reason);
            assert_eq!(format!("{end:?}"), format!("{reason:?}"));
            assert_eq!(end.to_string(), reason.to_string());
            assert!(!end.is_abnormal() && !end.is_refusal(), "{end}");
        }
    }

    #[test]
    fn reasons_of_the_loop_are_refusals_or_abnormal_as_documented() {
        for reason in [EndReason::ServerFull, EndReason::AddressLimit] {
            assert!(reason.is_refusal() && !reason.is_abnormal(), "{reason}");
        }
        for reason in [
            EndReason::WriteTimeout,
            EndReason::OutputOverflow,
            EndReason::DrainTimeout,
            EndReason::Panicked,
            EndReason::Dropped,
            EndReason::Aborted,
        ] {
            assert!(reason.is_abnormal() && !reason.is_refusal(), "{reason}");
        }
    }
}
