//! The reasons why a loop cannot go on.

use std::error::Error;
use std::fmt;
use std::io;

/// The reason why a loop cannot go on: see [`Reactor::turn`](super::Reactor::turn).
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// Polling for events failed.
    Poll(io::Error),
    /// A listener is unusable.
    Accept {
        /// The address of the listener.
        listener: String,
        /// The error of the operating system.
        error: io::Error,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poll(error) => write!(f, "polling for events failed: {error}"),
            Self::Accept { listener, error } => write!(f, "cannot accept on {listener}: {error}"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Poll(error) | Self::Accept { error, .. } => Some(error),
        }
    }
}

impl From<RunError> for io::Error {
    /// Keeps the kind of the operating system's error.
    fn from(error: RunError) -> Self {
        let (RunError::Poll(cause) | RunError::Accept { error: cause, .. }) = &error;
        Self::new(cause.kind(), error)
    }
}
