//! What a session may see and ask for while it is stepped.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::output::Output;
use super::{SessionId, Time};

/// A session's view of its connection during one call: the unread input, room for output, the
/// time, and what it may ask of the loop.
#[derive(Debug)]
pub struct Context<'a> {
    input: &'a [u8],
    desk: &'a mut Desk,
}

/// What the loop lends to the session that is being stepped. There is one, since one session is
/// stepped at a time.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The time of this turn.
    pub(crate) now: Time,
    /// Whose session is being stepped. What is left here after a panic is whose panic it was.
    pub(crate) user: SessionId,
    pub(crate) output: Output,
    pub(crate) commands: Commands,
}

/// What sessions ask of the loop. Gathered while they are stepped, carried out when the batch is
/// over, so that no session ever changes the connections under the loop's feet.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    pub(crate) wake: Vec<SessionId>,
    pub(crate) connect: Vec<Connect>,
    pub(crate) alarm: Option<Time>,
    pub(crate) drain: bool,
}

impl Commands {
    /// True if nothing is asked for.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            wake,
            connect,
            alarm,
            drain,
        } = self;
        wake.is_empty() && connect.is_empty() && alarm.is_none() && !drain
    }
}

/// An outbound connection to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connect {
    pub(crate) to: SocketAddr,
    pub(crate) from: Option<IpAddr>,
    pub(crate) ticket: u32,
}

/// The output has no room for this message: nothing of it was written. Answer
/// [`Next::Flush`](super::Next::Flush) without consuming what led to it, and try again after
/// [`Event::Flushed`](super::Event::Flushed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Desk {
    /// A desk with so much room for output, and nobody at it.
    pub(crate) fn new(output_bytes_max: usize) -> Self {
        Self {
            now: Time::START,
            user: SessionId::NOBODY,
            output: Output::new(output_bytes_max),
            commands: Commands::default(),
        }
    }
}

impl<'a> Context<'a> {
    #[inline]
    pub(crate) fn new(input: &'a [u8], desk: &'a mut Desk) -> Self {
        debug_assert_eq!(desk.output.as_slice(), b"", "a step begins with no output");
        Self { input, desk }
    }

    /// Marks the first `bytes` of the input as read.
    ///
    /// # Panics
    /// If there are fewer bytes than that.
    #[inline]
    pub fn consume(&mut self, bytes: usize) {
        self.input = &self.input[bytes..];
    }

    /// Writes the parts one behind the other, all of them or, if they do not fit, none.
    ///
    /// # Errors
    /// [`Full`] if there is no room now.
    ///
    /// # Panics
    /// If the parts together are longer than `Limits::output_bytes_max`: they could never be sent.
    // Always: inlined, the lengths of literal parts are constants and their copies single stores,
    // which saves a service more than a hundred instructions for each message.
    #[inline(always)]
    pub fn write<const PARTS: usize>(&mut self, parts: [&[u8]; PARTS]) -> Result<(), Full> {
        if self.desk.output.append(parts) {
            Ok(())
        } else {
            self.refuse(parts.iter().map(|part| part.len()).sum())
        }
    }

    /// Steps `session` with [`Event::Woken`](super::Event::Woken) soon: this is how a session
    /// reaches another one, with the message itself in a field of the service. A session that is
    /// gone by then is passed over; several calls may become one event.
    pub fn wake(&mut self, session: SessionId) {
        self.desk.commands.wake.push(session);
    }

    /// Opens a connection to `to`, from the local address `from` if one is given. It becomes a
    /// session of this service ([`Peer::ticket`](super::Peer::ticket) says which), or
    /// [`connect_failed`](super::Service::connect_failed) is called.
    pub fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>, ticket: u32) {
        self.desk
            .commands
            .connect
            .push(Connect { to, from, ticket });
    }

    /// Calls [`Service::alarm`](super::Service::alarm) at `at`. There is one alarm; setting it
    /// again moves it.
    pub fn set_alarm(&mut self, at: Time) {
        self.desk.commands.alarm = Some(at);
    }

    /// Asks the whole server to stop as if by a signal: see [`Event::Drain`](super::Event::Drain).
    pub fn drain(&mut self) {
        self.desk.commands.drain = true;
    }

    /// The unread input. The slice outlives this borrow, so a message can be answered in place.
    #[inline]
    #[must_use]
    pub fn input(&self) -> &'a [u8] {
        self.input
    }

    /// How many more bytes can be written now.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        self.desk.output.room()
    }

    /// The present: read once for each turn of the loop.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Time {
        self.desk.now
    }

    /// The point in time `delay` from now.
    #[inline]
    #[must_use]
    pub fn after(&self, delay: Duration) -> Time {
        self.desk.now + delay
    }

    /// This session's name, to give to others.
    #[inline]
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.desk.user
    }

    #[cold]
    fn refuse(&self, bytes: usize) -> Result<(), Full> {
        let max = self.desk.output.bytes_max();
        assert!(
            bytes <= max,
            "a message of {bytes} bytes never fits the output of {max} bytes"
        );
        Err(Full)
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the output has no room for this message")
    }
}

impl std::error::Error for Full {}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_context<T>(
        input: &[u8],
        max: usize,
        body: impl FnOnce(&mut Context<'_>) -> T,
    ) -> (T, Vec<u8>) {
        let mut desk = Desk::new(max);
        let result = body(&mut Context::new(input, &mut desk));
        (result, desk.output.as_slice().to_vec())
    }

    #[test]
    fn a_message_is_written_whole_or_not_at_all() {
        let (results, output) = with_context(b"", 8, |cx| {
            [
                cx.write([b"abc", b"de"]),
                cx.write([b"fgh", b"i"]),
                cx.write([b"fgh"]),
            ]
        });
        assert_eq!(results, [Ok(()), Err(Full), Ok(())]);
        assert_eq!(output, b"abcdefgh");
    }

    #[test]
    #[should_panic(expected = "never fits")]
    fn a_message_that_can_never_fit_is_a_bug_of_the_service() {
        let _ = with_context(b"", 8, |cx| cx.write([b"123456789"]));
    }

    #[test]
    fn consumed_input_is_gone_and_the_rest_stays() {
        let ((), _) = with_context(b"Alice\nBob", 8, |cx| {
            cx.consume(6);
            assert_eq!(cx.input(), b"Bob");
        });
    }
}
