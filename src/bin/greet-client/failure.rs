//! How a conversation can fail: one sentence for the user and one exit code for the script.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::wire::Framing;
use greet_support::address::Address;

/// Why the conversation did not come to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection was made.
    Unreachable { server: Address, error: io::Error },
    /// The server cannot be talked to over TLS.
    #[cfg(feature = "tls")]
    NotEncrypted { server: Address, error: io::Error },
    /// The server did not send its answer within the time limit.
    Stalled {
        server: Address,
        timeout: Duration,
        awaiting: Awaiting,
        framing: Framing,
    },
    /// The server closed the connection before the conversation was over. It owed an answer or not.
    Closed {
        server: Address,
        awaiting: Option<Awaiting>,
    },
    /// The connection broke.
    Broken { server: Address, error: io::Error },
    /// The server does not follow the protocol.
    Violated {
        server: Address,
        violation: ProtocolViolation,
    },
    /// Standard input could not be read.
    Input(io::Error),
    /// A line of standard input is too long to be a name: more than so many bytes.
    NameTooLong(usize),
    /// Standard output could not be written.
    Output(io::Error),
    /// Nothing reads standard output any more, as in `greet-client | head -1`: a reason to stop,
    /// and not an error.
    OutputClosed,
    /// The user pressed Ctrl-C at the prompt.
    Interrupted,
}

/// The answer that the server owes, which is the state of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaiting {
    /// The first question.
    FirstQuestion,
    /// A reply to the name that it was sent, and the next question.
    NextQuestion,
    /// Its answer to `exit`.
    GoodBye,
}

/// A violation of the protocol by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProtocolViolation {
    /// More than so many bytes without a question.
    TooMuch(usize),
    /// A line that is not UTF-8.
    NotUtf8,
}

impl Failure {
    /// Returns the exit code that `--help` documents.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Input(_) | Self::Output(_) => 1,
            Self::NameTooLong(_) => 2,
            Self::Unreachable { .. } => 3,
            #[cfg(feature = "tls")]
            Self::NotEncrypted { .. } => 3,
            Self::Stalled { .. } => 4,
            Self::Closed { .. } | Self::Broken { .. } => 5,
            Self::Violated { .. } => 6,
            Self::Interrupted => 130,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { server, error } => unreachable_sentence(f, server, error),
            #[cfg(feature = "tls")]
            Self::NotEncrypted { server, error } => write!(
                f,
                "No TLS with {server} ({error}): {}",
                encryption_hint(error)
            ),
            Self::Stalled {
                server,
                timeout,
                awaiting,
                framing,
            } => write!(
                f,
                "{server} did not {awaiting} within {}: {}",
                humantime::format_duration(*timeout),
                stall_hint(*awaiting, *framing)
            ),
            Self::Closed {
                server,
                awaiting: Some(awaiting),
            } => write!(
                f,
                "{server} closed the connection and did not {awaiting}: {}",
                close_hint(*awaiting)
            ),
            Self::Closed {
                server,
                awaiting: None,
            } => write!(
                f,
                "{server} ended the conversation: if it gave no reason, try again, or look into \
                 the server's log"
            ),
            Self::Broken { server, error } => write!(
                f,
                "The connection to {server} broke ({error}): try again, or look into the server's log"
            ),
            Self::Violated { server, violation } => write!(
                f,
                "{server} sent {violation}: is it a greeting server? Check the address"
            ),
            Self::Input(error) => write!(
                f,
                "Cannot read names from standard input ({error}): try --name"
            ),
            Self::NameTooLong(bytes_max) => write!(
                f,
                "A line of standard input is longer than {bytes_max} bytes: give one name a line"
            ),
            Self::Output(error) => write!(
                f,
                "Cannot write to standard output ({error}): check where it is redirected to"
            ),
            Self::OutputClosed => f.write_str("Standard output is closed"),
            Self::Interrupted => f.write_str("Interrupted"),
        }
    }
}

impl fmt::Display for Awaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstQuestion => "ask for a name",
            Self::NextQuestion => "ask for another name",
            Self::GoodBye => "say good bye",
        })
    }
}

impl fmt::Display for ProtocolViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMuch(bytes_max) => {
                write!(f, "more than {bytes_max} bytes without asking for a name")
            }
            Self::NotUtf8 => f.write_str("text that is not valid UTF-8"),
        }
    }
}

fn unreachable_sentence(
    f: &mut fmt::Formatter<'_>,
    server: &Address,
    error: &io::Error,
) -> fmt::Result {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => write!(
            f,
            "Connection refused by {server}: is the server running? \
             Start it with: cargo run --release"
        ),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => write!(
            f,
            "No connection to {server} in time: check the address, or try a longer --timeout"
        ),
        _ => write!(
            f,
            "No connection to {server} ({error}): check the address and the network"
        ),
    }
}

#[cfg(feature = "tls")]
fn encryption_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::NotFound => "check --tls-ca and --tls-name",
        io::ErrorKind::InvalidData => {
            "if it speaks TLS, check --tls-ca and --tls-name; if it does not, leave out --tls"
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            "does it speak TLS? If it is slow, try a longer --timeout"
        }
        _ => "does it speak TLS? Look into the server's log",
    }
}

const fn stall_hint(awaiting: Awaiting, framing: Framing) -> &'static str {
    match (awaiting, framing) {
        (Awaiting::FirstQuestion, _) => {
            "is it a greeting server? If it is a slow one, try a longer --timeout"
        }
        (_, Framing::Silence) => "try a longer --timeout, or --framing line if it wants lines",
        (_, Framing::Line) => "try a longer --timeout, or --framing silence if it knows no lines",
    }
}

const fn close_hint(awaiting: Awaiting) -> &'static str {
    match awaiting {
        Awaiting::FirstQuestion => "if it gave no reason, check the address, or try again later",
        Awaiting::NextQuestion | Awaiting::GoodBye => {
            "if it gave no reason, try again, or look into the server's log"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Address {
        Address::DEFAULT.parse().expect("the default is good")
    }

    #[test]
    fn refused_connection_suggests_the_server() {
        let failure = Failure::Unreachable {
            server: server(),
            error: io::ErrorKind::ConnectionRefused.into(),
        };
        assert_eq!(
            failure.to_string(),
            "Connection refused by 127.0.0.1:6000: is the server running? \
             Start it with: cargo run --release"
        );
    }

    #[test]
    fn stall_suggests_the_other_framing() {
        let stalled = |framing| Failure::Stalled {
            server: server(),
            timeout: Duration::from_secs(10),
            awaiting: Awaiting::NextQuestion,
            framing,
        };
        assert_eq!(
            stalled(Framing::Silence).to_string(),
            "127.0.0.1:6000 did not ask for another name within 10s: \
             try a longer --timeout, or --framing line if it wants lines"
        );
        assert!(
            stalled(Framing::Line)
                .to_string()
                .contains("--framing silence")
        );
    }
}
