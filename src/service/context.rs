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
    now: Time,
    id: SessionId,
    input: &'a [u8],
    output: &'a mut Output,
    commands: &'a mut Commands,
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

impl<'a> Context<'a> {
    #[inline]
    pub(crate) fn new(
        now: Time,
        id: SessionId,
        input: &'a [u8],
        output: &'a mut Output,
        commands: &'a mut Commands,
    ) -> Self {
        debug_assert_eq!(output.as_slice(), b"", "a step begins with no output");
        Self {
            now,
            id,
            input,
            output,
            commands,
        }
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
        if self.output.append(parts) {
            Ok(())
        } else {
            self.refuse(parts.iter().map(|part| part.len()).sum())
        }
    }

    /// Steps `session` with [`Event::Woken`](super::Event::Woken) soon: this is how a session
    /// reaches another one, with the message itself in a field of the service. A session that is
    /// gone by then is passed over; several calls may become one event.
    pub fn wake(&mut self, session: SessionId) {
        self.commands.wake.push(session);
    }

    /// Opens a connection to `to`, from the local address `from` if one is given. It becomes a
    /// session of this service ([`Peer::ticket`](super::Peer::ticket) says which), or
    /// [`connect_failed`](super::Service::connect_failed) is called.
    pub fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>, ticket: u32) {
        self.commands.connect.push(Connect { to, from, ticket });
    }

    /// Calls [`Service::alarm`](super::Service::alarm) at `at`. There is one alarm; setting it
    /// again moves it.
    pub fn set_alarm(&mut self, at: Time) {
        self.commands.alarm = Some(at);
    }

    /// Asks the whole server to stop as if by a signal: see [`Event::Drain`](super::Event::Drain).
    pub fn drain(&mut self) {
        self.commands.drain = true;
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
        self.output.room()
    }

    /// The present: read once for each turn of the loop.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The point in time `delay` from now.
    #[inline]
    #[must_use]
    pub fn after(&self, delay: Duration) -> Time {
        self.now + delay
    }

    /// This session's name, to give to others.
    #[inline]
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    #[cold]
    fn refuse(&self, bytes: usize) -> Result<(), Full> {
        let max = self.output.bytes_max();
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
        let (mut output, mut commands) = (Output::new(max), Commands::default());
        let id = SessionId {
            index: 0,
            serial: 0,
        };
        let mut cx = Context::new(Time::START, id, input, &mut output, &mut commands);
        let result = body(&mut cx);
        (result, output.as_slice().to_vec())
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
