//! The reasons why outbound connections fail.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

/// The reason why an outbound connection could not be established: see
/// [`Service::connect_failed`](super::Service::connect_failed).
///
/// ```
/// use oneloop::ConnectError;
///
/// fn may_retry(error: &ConnectError) -> bool {
///     match error {
///         ConnectError::Stopping => false,
///         ConnectError::Os(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
///         _ => true,
///     }
/// }
/// # assert!(!may_retry(&ConnectError::Stopping));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The operating system's error, usually because no process listens at the address, or it
    /// cannot be reached.
    Os(io::Error),
    /// The process or the system has no free descriptor, or the kernel no memory for buffers.
    Exhausted(io::Error),
    /// The operating system refused to register the socket with the poller. The connection ends with
    /// [`EndReason::RegisterFailed`](super::EndReason::RegisterFailed).
    Register(io::Error),
    /// It was not established within [`Connect::timeout`](super::Connect::timeout), or
    /// `Limits::connect_timeout`.
    TimedOut,
    /// As many outbound connections as `Limits::outbound_max` allows are open.
    OutboundMax,
    /// The loop is stopping.
    Stopping,
}

impl ConnectError {
    /// Returns the kind of the error, as [`io::Error`] has it: that of the operating system's error,
    /// if there is one.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Os(error) | Self::Exhausted(error) | Self::Register(error) => error.kind(),
            Self::TimedOut => ErrorKind::TimedOut,
            Self::OutboundMax => ErrorKind::QuotaExceeded,
            Self::Stopping => ErrorKind::Other,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os(error) | Self::Exhausted(error) => error.fmt(f),
            Self::Register(error) => write!(f, "the socket could not be registered: {error}"),
            Self::TimedOut => f.write_str("the connection was not established in time"),
            Self::OutboundMax => {
                f.write_str("as many outbound connections as outbound_max allows are open")
            }
            Self::Stopping => f.write_str("the loop is stopping"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Displayed as it is, so its own source comes next.
            Self::Os(error) | Self::Exhausted(error) => error.source(),
            Self::Register(error) => Some(error),
            Self::TimedOut | Self::OutboundMax | Self::Stopping => None,
        }
    }
}

impl From<ConnectError> for io::Error {
    /// Returns the operating system's error as it is. The others are wrapped, under their
    /// [`kind`](ConnectError::kind).
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Os(error) | ConnectError::Exhausted(error) => error,
            other => Self::new(other.kind(), other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_error() -> [ConnectError; 6] {
        let refused = || ErrorKind::ConnectionRefused.into();
        [
            ConnectError::Os(refused()),
            ConnectError::Exhausted(ErrorKind::OutOfMemory.into()),
            ConnectError::Register(refused()),
            ConnectError::TimedOut,
            ConnectError::OutboundMax,
            ConnectError::Stopping,
        ]
    }

    #[test]
    fn connect_error_is_displayed_in_words_of_its_own() {
        let mut words = every_error().map(|error| error.to_string());
        words.sort_unstable();
        assert!(words.windows(2).all(|pair| pair[0] != pair[1]), "{words:?}");
    }

    #[test]
    fn connect_error_keeps_its_kind_as_an_io_error() {
        for error in every_error() {
            let (kind, words) = (error.kind(), error.to_string());
            let error = io::Error::from(error);
            assert_eq!((error.kind(), error.to_string()), (kind, words));
        }
    }
}
