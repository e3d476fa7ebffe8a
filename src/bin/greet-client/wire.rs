//! The wire: names go out in one write, messages come in however TCP has cut them.
//!
//! TCP has no messages, so the client must know where one ends. A line ends at `\n`; the question
//! has no `\n`, and is known by its text at the beginning of a line. Nothing else is assumed: how
//! the bytes are spread over segments, and how long the pauses are, changes nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::args::Framing;
use crate::failure::{Awaiting, Failure, Rubbish};

/// The name that ends a conversation.
pub(crate) const EXIT: &[u8] = b"exit";

/// The server's answer to [`EXIT`].
pub(crate) const GOOD_BYE: &[u8] = b"Good bye!";

/// What the server says when it wants a name. No newline follows.
pub(crate) const QUESTION: &[u8] = b"What's your name?";

/// One message of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A line, without its newline.
    Line(Vec<u8>),
    /// [`QUESTION`].
    Question,
}

/// A connection to a greeting server, and what the server owes on it.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    server: Address,
    framing: Framing,
    timeout: Duration,
    awaiting: Awaiting,
    /// When the server must have said what it owes.
    deadline: Instant,
    /// How many bytes the server may still take to say it.
    allowance: usize,
    /// Received, and not yet a whole message.
    unfinished: Vec<u8>,
}

impl Wire {
    /// Connects to the first address of `server` that answers, within `timeout` for all of them.
    ///
    /// # Errors
    ///
    /// [`Failure::Unreachable`], with the error of the address that was tried last.
    pub(crate) fn connect(
        server: Address,
        framing: Framing,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let stream = match open(&server, timeout) {
            Ok(stream) => stream,
            Err(error) => return Err(Failure::Unreachable { server, error }),
        };
        Ok(Self {
            stream,
            server,
            framing,
            timeout,
            awaiting: Awaiting::FirstQuestion,
            deadline: Instant::now() + timeout,
            allowance: ANSWER_BYTES_MAX,
            unfinished: Vec::new(),
        })
    }

    /// Sends a name, after which the server owes a reply and the next question; to [`EXIT`] it
    /// owes [`GOOD_BYE`].
    ///
    /// A connection that the server has closed is no error here: what it said last is still to be
    /// heard, and hearing it ends with the reason.
    pub(crate) fn say(&mut self, name: &[u8]) -> Result<(), Failure> {
        self.expect_answer_to(name);
        let mut bytes = name.to_vec();
        if self.framing == Framing::Line {
            bytes.push(b'\n');
        }
        // One write for all of it: a server may take one read for one name.
        match self.stream.write_all(&bytes) {
            Ok(()) => Ok(()),
            Err(error) if has_peer_left(&error) => Ok(()),
            Err(error) if has_timed_out(&error) => Err(self.stalled()),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// [`Failure::Stalled`] when what the server owes is not complete in time, [`Failure::Closed`]
    /// and [`Failure::Broken`] when nothing more can come, [`Failure::Rubbish`] when too much came.
    /// What then remains of a message is [`Wire::unfinished`].
    pub(crate) fn hear(&mut self) -> Result<Message, Failure> {
        loop {
            if let Some(message) = take_message(&mut self.unfinished) {
                return Ok(message);
            }
            self.receive()?;
        }
    }

    /// The beginning of a message whose end has not come.
    pub(crate) fn unfinished(&self) -> &[u8] {
        &self.unfinished
    }

    /// The failure of a server that speaks, but not the protocol.
    pub(crate) fn rubbish(&self, rubbish: Rubbish) -> Failure {
        Failure::Rubbish {
            server: self.server.clone(),
            rubbish,
        }
    }

    fn expect_answer_to(&mut self, name: &[u8]) {
        self.awaiting = if name == EXIT {
            Awaiting::GoodBye
        } else {
            Awaiting::NextQuestion
        };
        self.deadline = Instant::now() + self.timeout;
        self.allowance = ANSWER_BYTES_MAX;
    }

    /// Takes in at least one byte.
    fn receive(&mut self) -> Result<(), Failure> {
        let mut chunk = [0; CHUNK_BYTES];
        match self.read_by_deadline(&mut chunk) {
            Ok(0) => Err(self.closed()),
            Ok(count) if count > self.allowance => {
                // Nobody wants to see it.
                self.unfinished.clear();
                Err(self.rubbish(Rubbish::TooMuch(ANSWER_BYTES_MAX)))
            }
            Ok(count) => {
                self.allowance -= count;
                self.unfinished.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            Err(error) if has_timed_out(&error) => Err(self.stalled()),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// One read. The deadline holds for the whole answer, so a server that sends a byte now and
    /// then cannot put it off.
    fn read_by_deadline(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            // It can fail as in `configure`, and then the read returns at once.
            let _ = self.stream.set_read_timeout(Some(left));
            match self.stream.read(chunk) {
                // A socket with a time limit is interrupted also by Ctrl-Z and `fg`.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn stalled(&self) -> Failure {
        Failure::Stalled {
            server: self.server.clone(),
            timeout: self.timeout,
            awaiting: self.awaiting,
            framing: self.framing,
        }
    }

    fn closed(&self) -> Failure {
        Failure::Closed {
            server: self.server.clone(),
            awaiting: self.awaiting,
        }
    }

    fn broken(&self, error: io::Error) -> Failure {
        Failure::Broken {
            server: self.server.clone(),
            error,
        }
    }
}

fn open(server: &Address, timeout: Duration) -> io::Result<TcpStream> {
    let addresses = server.resolve()?;
    // Equal shares, so that one address that swallows packets leaves time for the others.
    let share = timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match open_one(address, share) {
            Ok(stream) => {
                configure(&stream, timeout);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn open_one(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    // On the host itself, a port where nobody listens can be the very one that the kernel picked
    // for our end, and then TCP connects the socket with itself.
    if stream.local_addr()? == address {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// Errors are ignored: some systems refuse the options of a connection that the server has already
/// closed, and what it said before is still to be heard.
fn configure(stream: &TcpStream, timeout: Duration) {
    let _ = stream.set_write_timeout(Some(timeout));
    // Otherwise the tail of a name longer than a segment waits for an acknowledgement, and a
    // server that goes by silence takes the two parts for two names.
    let _ = stream.set_nodelay(true);
}

/// Takes the first whole message out of `received`.
fn take_message(received: &mut Vec<u8>) -> Option<Message> {
    if received.starts_with(QUESTION) {
        received.drain(..QUESTION.len());
        return Some(Message::Question);
    }
    let end = received.iter().position(|&byte| byte == b'\n')?;
    let line = received.drain(..=end).take(end).collect();
    Some(Message::Line(line))
}

fn has_peer_left(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}

/// A read or write that meets its time limit fails with the one on Unix, the other on Windows.
fn has_timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The most that a server may send before it asks for a name again. A greeting is as long as a
/// name and a few words; [`NAME_BYTES_MAX`](crate::terminal::NAME_BYTES_MAX) leaves room for a
/// server that takes a long name for many short ones and greets each.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What one read takes at most.
const CHUNK_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Message {
        Message::Line(text.into())
    }

    /// The messages of `chunks`, and what remains.
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
    fn every_way_to_cut_the_bytes_in_three_gives_the_same_messages() {
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
    fn the_question_within_a_line_is_part_of_the_line() {
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
    fn a_farewell_right_after_the_question_is_a_line_of_its_own() {
        let (messages, _) = messages([&b"What's your name?You took too long. Good bye!\n"[..]]);
        assert_eq!(
            messages,
            [Message::Question, line("You took too long. Good bye!")]
        );
    }
}
