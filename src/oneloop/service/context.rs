//! What a session may see and ask for while it is stepped.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::output::Output;
use super::requests::{Connect, Requests};
use super::{SessionId, Time};

/// A session's view of its connection during one step: its unread input, its output, its id.
///
/// It dereferences to the [`ServiceContext`], which offers what is not about this connection (the
/// time, and requests to the loop), so it can be passed on as one.
#[derive(Debug)]
pub struct Context<'a> {
    input: &'a [u8],
    scratch: &'a mut Scratch,
}

/// The view of a callback that is not about one connection's bytes, such as
/// [`Service::on_timer`](super::Service::on_timer): the time, and requests to the loop.
///
/// It has no input, no output and no session id, so using these outside a step does not compile.
#[derive(Debug)]
pub struct ServiceContext {
    pub(crate) now: Time,
    pub(crate) requests: Requests,
}

/// What the loop lends to the session that is being stepped. There is one, since one session is
/// stepped at a time.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) service: ServiceContext,
    /// The session that is being stepped. After a panic it names the session that panicked.
    pub(crate) user: SessionId,
    pub(crate) output: Output,
}

impl Scratch {
    /// Creates a scratch with an empty output that has room for `mark` bytes and never holds more
    /// than `max`.
    pub(crate) fn new(mark: usize, max: usize) -> Self {
        Self {
            service: ServiceContext {
                now: Time::START,
                requests: Requests::default(),
            },
            user: SessionId::NONE,
            output: Output::new(mark, max),
        }
    }
}

impl<'a> Context<'a> {
    #[inline]
    pub(crate) fn new(input: &'a [u8], scratch: &'a mut Scratch) -> Self {
        debug_assert_eq!(
            scratch.output.as_slice(),
            b"",
            "a step begins with no output"
        );
        Self { input, scratch }
    }

    /// Returns the unread input. The slice outlives this borrow, so a message can be answered in
    /// place.
    #[inline]
    #[must_use]
    pub fn input(&self) -> &'a [u8] {
        self.input
    }

    /// Marks the first `bytes` of the input as read. The rest stays in the connection's buffer.
    ///
    /// # Panics
    /// If `bytes` is more than the length of the input. As every panic of a step, this ends the
    /// session and nothing else.
    #[inline]
    pub fn consume(&mut self, bytes: usize) {
        self.input = &self.input[bytes..];
    }

    /// Appends `bytes` to the output.
    ///
    /// Writing never fails. Output above the mark (`Limits::output_bytes_mark`) is kept for this
    /// session: it is then not stepped with input until the output has left. Output above the
    /// hard maximum (`Limits::output_bytes_max`) ends the session with
    /// [`EndReason::OutputOverflow`](super::EndReason::OutputOverflow). A session that answers
    /// many messages in one step calls [`has_room`](Self::has_room) before it takes the next one.
    #[inline(always)]
    pub fn write(&mut self, bytes: &[u8]) {
        self.write_parts([bytes]);
    }

    /// Appends the parts to the output, one behind the other, as [`write`](Self::write) does.
    // Always: inlined, the lengths of literal parts are constants and their copies single stores,
    // which saves a service more than a hundred instructions for each message.
    #[inline(always)]
    pub fn write_parts<const PARTS: usize>(&mut self, parts: [&[u8]; PARTS]) {
        self.scratch.output.append(parts);
    }

    /// Appends formatted text to the output: `write!(cx, "{count} items\r\n")`.
    pub fn write_fmt(&mut self, text: fmt::Arguments<'_>) {
        // A formatter that fails has written what it could; there is nobody to report it to.
        let _ = fmt::write(&mut self.scratch.output, text);
    }

    /// Returns true while the output of this step is below the mark.
    ///
    /// A session that stops here and leaves input unread is stepped again, with
    /// [`Event::Data`](super::Event::Data), once the output has left.
    #[inline]
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Returns how many more bytes fit below the mark.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        self.scratch.output.room()
    }

    /// Returns the id of this session, to give to others.
    #[inline]
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.scratch.user
    }

    // The methods of `ServiceContext`, once more: through `DerefMut` a call such as
    // `cx.set_timer(cx.now())` would borrow the context twice.

    /// See [`ServiceContext::wake`].
    pub fn wake(&mut self, session: SessionId) {
        self.scratch.service.wake(session);
    }

    /// See [`ServiceContext::connect`].
    pub fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>, tag: u32) {
        self.scratch.service.connect(to, from, tag);
    }

    /// See [`ServiceContext::set_timer`].
    pub fn set_timer(&mut self, at: Time) {
        self.scratch.service.set_timer(at);
    }

    /// See [`ServiceContext::drain`].
    pub fn drain(&mut self) {
        self.scratch.service.drain();
    }

    /// See [`ServiceContext::now`].
    #[inline]
    #[must_use]
    pub fn now(&self) -> Time {
        self.scratch.service.now()
    }

    /// See [`ServiceContext::after`].
    #[inline]
    #[must_use]
    pub fn after(&self, delay: Duration) -> Time {
        self.scratch.service.after(delay)
    }
}

impl ServiceContext {
    /// Steps `session` with [`Event::Wake`](super::Event::Wake) soon: this is how a session
    /// reaches another one, with the message itself in a field of the service. Sessions are woken
    /// in the order of the calls; several calls for one session become one event; a session that
    /// has ended by then is passed over.
    pub fn wake(&mut self, session: SessionId) {
        self.requests.wake(session);
    }

    /// Opens a connection to `to`, from the local address `from` if one is given. It becomes a
    /// session of this service ([`Peer::tag`](super::Peer::tag) carries `tag`), or
    /// [`connect_failed`](super::Service::connect_failed) is called.
    pub fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>, tag: u32) {
        self.requests.connect.push(Connect { to, from, tag });
    }

    /// Calls [`Service::on_timer`](super::Service::on_timer) at `at`. There is one alarm; setting it
    /// again moves it.
    pub fn set_timer(&mut self, at: Time) {
        self.requests.alarm = Some(at);
    }

    /// Asks the whole server to stop as if by a signal: see [`Event::Drain`](super::Event::Drain).
    pub fn drain(&mut self) {
        self.requests.drain = true;
    }

    /// Returns the present. It is read once for each batch of events, not for each call.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Returns the point in time `delay` from now.
    #[inline]
    #[must_use]
    pub fn after(&self, delay: Duration) -> Time {
        self.now + delay
    }
}

impl Deref for Context<'_> {
    type Target = ServiceContext;

    #[inline]
    fn deref(&self) -> &ServiceContext {
        &self.scratch.service
    }
}

impl DerefMut for Context<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut ServiceContext {
        &mut self.scratch.service
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_context<T>(
        input: &[u8],
        (mark, max): (usize, usize),
        body: impl FnOnce(&mut Context<'_>) -> T,
    ) -> (T, Vec<u8>) {
        let mut scratch = Scratch::new(mark, max);
        let result = body(&mut Context::new(input, &mut scratch));
        (result, scratch.output.as_slice().to_vec())
    }

    #[test]
    fn output_above_the_mark_is_written_and_leaves_no_room() {
        let (room, output) = with_context(b"", (8, 20), |cx| {
            let mut room = vec![cx.room()];
            cx.write_parts([b"abc", b"de"]);
            room.push(cx.room());
            assert!(cx.has_room());
            cx.write(b"fghijk");
            room.push(cx.room());
            assert!(!cx.has_room());
            write!(cx, "{}", 12);
            room
        });
        assert_eq!(room, [8, 3, 0]);
        assert_eq!(output, b"abcdefghijk12");
    }

    #[test]
    fn consumed_input_is_gone_and_the_rest_stays() {
        let ((), _) = with_context(b"Alice\nBob", (8, 8), |cx| {
            cx.consume(6);
            assert_eq!(cx.input(), b"Bob");
        });
    }
}
