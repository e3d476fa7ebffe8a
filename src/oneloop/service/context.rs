//! The session's view of its connection, and its requests to the loop.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::output::WriteBuf;
use super::part::Part;
use super::requests::{Control, Requests};
use super::shared::Shared;
use super::{Connect, SessionId, Time};

/// A session's view of its connection during one step: its unread input, its output, its id.
///
/// It dereferences to the [`ServiceContext`] (the time, and requests to the loop), so it can be
/// passed on as one.
#[derive(Debug)]
pub struct Context<'a> {
    pub(super) input: &'a [u8],
    pub(super) scratch: &'a mut Scratch,
}

/// The view of a callback outside a step, such as [`Service::on_timer`](super::Service::on_timer):
/// the time, and requests to the loop.
///
/// It has no input, no output and no session id, so using these outside a step does not compile.
#[derive(Debug)]
pub struct ServiceContext {
    pub(crate) now: Time,
    pub(crate) requests: Requests,
    /// The part of the service that is called.
    pub(super) part: Part,
}

/// The state that the loop lends to the session being stepped. One is enough, since sessions are
/// stepped one at a time.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) service: ServiceContext,
    /// The session being stepped. After a panic, the session that panicked.
    pub(crate) current: SessionId,
    pub(crate) output: WriteBuf,
}

impl Scratch {
    /// Creates a scratch whose output has room for `mark` bytes and never holds more than `max`.
    pub(crate) fn new(mark: usize, max: usize) -> Self {
        Self {
            service: ServiceContext {
                now: Time::START,
                requests: Requests::default(),
                part: Part::WHOLE,
            },
            current: SessionId::NONE,
            output: WriteBuf::new(mark, max),
        }
    }
}

impl<'a> Context<'a> {
    #[inline]
    pub(crate) fn new(input: &'a [u8], scratch: &'a mut Scratch) -> Self {
        debug_assert!(
            scratch.output.is_plain() && scratch.output.len() == 0,
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
    /// If `bytes` is more than the length of the input. Like every panic in a step, this ends only
    /// this session.
    #[inline]
    pub fn consume(&mut self, bytes: usize) {
        self.input = &self.input[bytes..];
    }

    /// Appends `bytes` to the output. Writing never fails.
    ///
    /// Output above the mark (`Limits::output_bytes_mark`) is kept for this session, which is not
    /// stepped with input until the output is flushed. Output above the hard maximum
    /// (`Limits::output_bytes_max`) ends the session with
    /// [`EndReason::OutputOverflow`](super::EndReason::OutputOverflow). A session that answers many
    /// messages in one step checks [`has_room`](Self::has_room) before each message.
    #[inline(always)]
    pub fn write(&mut self, bytes: &[u8]) {
        self.write_parts([bytes]);
    }

    /// Appends the parts to the output in order, as [`write`](Self::write) does.
    // Always: inlined, the lengths of literal parts are constants and their copies single stores,
    // which saves a service more than a hundred instructions for each message.
    #[inline(always)]
    pub fn write_parts<const PARTS: usize>(&mut self, parts: [&[u8]; PARTS]) {
        self.scratch.output.append(parts);
    }

    /// Appends shared bytes to the output, without a copy. Writing never fails.
    ///
    /// They leave with what precedes and follows them, in one system call. Output that must wait
    /// for the peer refers to them, so a broadcast holds its bytes once. They count to the mark and
    /// to the maximum as [`write`](Self::write) describes. Less than 256 bytes are copied, which
    /// costs less than a reference.
    ///
    /// ```
    /// # use oneloop::{Context, Shared};
    /// fn send_page(page: &Shared, cx: &mut Context<'_>) {
    ///     cx.write(b"HTTP/1.1 200 OK\r\n\r\n");
    ///     cx.write_shared(page.clone());
    /// }
    /// ```
    pub fn write_shared(&mut self, bytes: Shared) {
        self.scratch.output.append_shared(bytes);
    }

    /// Appends formatted text to the output: `write!(cx, "{count} items\r\n")`.
    pub fn write_fmt(&mut self, text: fmt::Arguments<'_>) {
        // A formatter that fails has written part of its output; this method has no way to report
        // it.
        let _ = fmt::write(&mut self.scratch.output, text);
    }

    /// Returns true while the output of this step is below the mark.
    ///
    /// A session that stops here with unread input is stepped again, with
    /// [`Event::Data`](super::Event::Data), once the output is flushed.
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

    /// Returns how many bytes this step has written, also above the mark.
    #[inline]
    #[must_use]
    pub fn written(&self) -> usize {
        self.scratch.output.len()
    }

    /// Returns the id of this session, for use by other sessions.
    #[inline]
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.scratch.current
    }

    /// Sets full duplex on or off. Default: off.
    ///
    /// By default a session is neither read nor stepped while it has pending output: a peer that
    /// does not read its answers cannot ask for more. In full duplex it is, as a session must be
    /// whose two directions are independent, such as a forwarder's. Then
    /// [`has_room`](Self::has_room) counts the pending output too: the session stops consuming, or
    /// stops its source, while there is no room. It still gets
    /// [`Event::Flushed`](super::Event::Flushed) once all output is flushed, and
    /// `Limits::write_timeout` still bounds each wait for the peer.
    ///
    /// It takes effect in the last phase of the turn.
    pub fn set_duplex(&mut self, on: bool) {
        self.control(Control::Duplex(on));
    }

    /// Finishes sending: the peer gets the output written so far, then the end of the stream. The
    /// session is still read and stepped.
    ///
    /// It takes effect in the last phase of the turn. Output written after that is discarded.
    pub fn finish(&mut self) {
        self.control(Control::Finish);
    }

    fn control(&mut self, control: Control) {
        let id = self.id();
        self.scratch.service.requests.controls.push((id, control));
    }

    // The methods of `ServiceContext`, repeated: through `DerefMut` a call such as
    // `cx.set_timer(cx.now())` would borrow the context twice.

    /// Steps another session soon. See [`ServiceContext::wake`].
    pub fn wake(&mut self, session: SessionId) {
        self.scratch.service.wake(session);
    }

    /// Steps all sessions soon. See [`ServiceContext::wake_all`].
    pub fn wake_all(&mut self) {
        self.scratch.service.wake_all();
    }

    /// Ends a session at once. See [`ServiceContext::abort`].
    pub fn abort(&mut self, session: SessionId) {
        self.scratch.service.abort(session);
    }

    /// Opens an outbound connection. See [`ServiceContext::connect`].
    pub fn connect(&mut self, connect: Connect) {
        self.scratch.service.connect(connect);
    }

    /// Sets the service's timer. See [`ServiceContext::set_timer`].
    pub fn set_timer(&mut self, at: Time) {
        self.scratch.service.set_timer(at);
    }

    /// Stops the server. See [`ServiceContext::drain`].
    pub fn drain(&mut self) {
        self.scratch.service.drain();
    }

    /// Returns the current time. See [`ServiceContext::now`].
    #[inline]
    #[must_use]
    pub fn now(&self) -> Time {
        self.scratch.service.now()
    }

    /// Returns the point in time `delay` from now. See [`ServiceContext::after`].
    #[inline]
    #[must_use]
    pub fn after(&self, delay: Duration) -> Time {
        self.scratch.service.after(delay)
    }
}

impl ServiceContext {
    /// Steps `session` with [`Event::Wake`](super::Event::Wake) soon: in the last phase of this
    /// turn, or of one of the next turns if very many are woken.
    ///
    /// This is how a session reaches another one; the message itself goes into a field of the
    /// service. Sessions are woken in the order of the calls. Several calls for one session become
    /// one event. A session that has ended by then is skipped.
    pub fn wake(&mut self, session: SessionId) {
        self.requests.wake(session);
    }

    /// Steps every session with [`Event::Wake`](super::Event::Wake) soon, in no particular order.
    pub fn wake_all(&mut self) {
        self.requests.wake_all = true;
    }

    /// Ends `session` at once, with a reset, also one with pending output. The reason is
    /// [`EndReason::Aborted`](super::EndReason::Aborted).
    ///
    /// Does nothing if the session has ended by then, or has closed and has no pending output. For
    /// an orderly end, wake the session and let it return
    /// [`Next::Close`](super::Next::Close).
    pub fn abort(&mut self, session: SessionId) {
        self.requests.controls.push((session, Control::Abort));
    }

    /// Opens an outbound connection.
    ///
    /// It becomes a session of this service ([`Peer::tag`](super::Peer::tag) is its tag), or
    /// [`connect_failed`](super::Service::connect_failed) is called.
    pub fn connect(&mut self, mut connect: Connect) {
        connect.tag.part = self.part;
        self.requests.connect.push(connect);
    }

    /// Sets the timer: [`Service::on_timer`](super::Service::on_timer) is called at `at`. There is
    /// one timer; setting it again moves it.
    pub fn set_timer(&mut self, at: Time) {
        self.requests.timer = Some(at);
    }

    /// Stops the whole server, as a signal does. See [`Event::Drain`](super::Event::Drain).
    pub fn drain(&mut self) {
        self.requests.drain = true;
    }

    /// Returns the current time. It is read once for each batch of events, not for each call.
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

impl AsMut<Self> for ServiceContext {
    #[inline]
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl AsMut<ServiceContext> for Context<'_> {
    #[inline]
    fn as_mut(&mut self) -> &mut ServiceContext {
        &mut self.scratch.service
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
        let output = scratch.output.slices().flatten().copied().collect();
        (result, output)
    }

    #[test]
    fn output_above_the_mark_is_kept_and_leaves_no_room() {
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
    fn consumed_input_is_removed_and_the_rest_kept() {
        let ((), _) = with_context(b"Alice\nBob", (8, 8), |cx| {
            cx.consume(6);
            assert_eq!(cx.input(), b"Bob");
        });
    }
}
