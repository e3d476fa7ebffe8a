//! The wire: names go out in one write, messages come in however TCP has cut them.
//!
//! TCP has no messages, so the client must know where one ends. A line ends at `\n`; the question
//! has no `\n`, and is known by its text at the beginning of a line. Nothing else is assumed: how
//! the bytes are spread over segments, and how long the pauses are, changes nothing.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use log::debug;

use crate::failure::Failure;
use greet_support::address::Address;

/// The name that ends a conversation.
pub(crate) const EXIT: &[u8] = b"exit";

/// The server's answer to [`EXIT`].
pub(crate) const GOOD_BYE: &[u8] = b"Good bye!";

/// The server's request for a name. No newline follows.
pub(crate) const QUESTION: &[u8] = b"What's your name?";

/// One message of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A line, without its newline.
    Line(Vec<u8>),
    /// [`QUESTION`].
    Question,
}

/// The end of a name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Nothing: the name ends when no more bytes come (the tutorial's bytes).
    Silence,
    /// A newline.
    Line,
}

/// Connects to the first address of `server` that answers, within `timeout` for all of them.
///
/// # Errors
///
/// [`Failure::Unreachable`], with the error of the address that was tried last.
pub(crate) fn connect(server: &Address, timeout: Duration) -> Result<TcpStream, Failure> {
    open(server, timeout).map_err(|error| Failure::Unreachable {
        server: server.clone(),
        error,
    })
}

fn open(server: &Address, timeout: Duration) -> io::Result<TcpStream> {
    let addresses = server.resolve()?;
    // Equal shares, so that one address that swallows packets leaves time for the others.
    let share = timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match open_one(address, share) {
            Ok(stream) => {
                debug!("connected to {address}");
                configure(&stream, timeout);
                return Ok(stream);
            }
            Err(error) => {
                debug!("no connection to {address}: {error}");
                last = error;
            }
        }
    }
    Err(last)
}

fn open_one(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    // On the host itself, a port without a listener can be the very one that the kernel picked
    // for our end, and then TCP connects the socket with itself.
    if stream.local_addr()? == address {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// Errors are ignored: some systems refuse the options of a connection that the server has already
/// closed, and its messages are still to be read.
fn configure(stream: &TcpStream, timeout: Duration) {
    let _ = stream.set_write_timeout(Some(timeout));
    // Otherwise the tail of a name longer than a segment waits for an acknowledgement, and a
    // server that goes by silence takes the two parts for two names.
    let _ = stream.set_nodelay(true);
}

/// Takes the first whole message out of `received`.
pub(crate) fn take_message(received: &mut Vec<u8>) -> Option<Message> {
    if received.starts_with(QUESTION) {
        received.drain(..QUESTION.len());
        return Some(Message::Question);
    }
    let end = received.iter().position(|&byte| byte == b'\n')?;
    let line = received.drain(..=end).take(end).collect();
    Some(Message::Line(line))
}

/// Returns `true` for the errors of a connection that the peer has closed.
pub(crate) fn has_peer_left(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}

/// Returns `true` for the error of a write that met its time limit: the one on Unix, the other on
/// Windows.
pub(crate) fn has_timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Message {
        Message::Line(text.into())
    }

    /// Returns the messages of `chunks`, and the rest.
    fn messages<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Message>, Vec<u8>) {
        let mut received = Vec::new();
        let mut messages = Vec::new();
        for chunk in chunks {
            received.extend_from_slice(chunk);
            messages.extend(std::iter::from_fn(|| take_message(&mut received)));
        }
        (messages, received)
    }

    #[test]
    fn bytes_cut_in_three_give_the_same_messages() {
        let bytes = b"Welcome!\nWhat's your name?Hello B\xc3\xb6!\nWhat's your name?Good bye!\n";
        let whole = messages([&bytes[..]]);
        assert_eq!(
            whole.0,
            [
                line("Welcome!"),
                Message::Question,
                line("Hello Bö!"),
                Message::Question,
                line("Good bye!")
            ]
        );
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let cut = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(messages(cut), whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn question_within_a_line_is_part_of_it() {
        let (messages, rest) = messages([&b"Hello What's your name?!\nWhat's your name?"[..]]);
        assert_eq!(
            messages,
            [line("Hello What's your name?!"), Message::Question]
        );
        assert!(rest.is_empty());
    }

    #[test]
    fn half_a_question_is_no_message() {
        let (messages, rest) = messages([&b"Welcome!\nWhat's your"[..]]);
        assert_eq!(messages, [line("Welcome!")]);
        assert_eq!(rest, b"What's your");
    }

    #[test]
    fn line_after_the_question_is_separate() {
        let (messages, _) = messages([&b"What's your name?You took too long. Good bye!\n"[..]]);
        assert_eq!(
            messages,
            [Message::Question, line("You took too long. Good bye!")]
        );
    }
}
