//! The session's view of its connection, and its requests to the loop.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::inspect::Inspect;
use super::limits::SessionLimits;
use super::output::WriteBuf;
use super::requests::Control;
use super::service_context::ServiceContext;
use super::shared::Shared;
use super::timers::TimerId;
use super::{Announced, Connect, SessionId, Time};

/// A session's view of its connection during one step: its unread input, its output, its id.
///
/// It dereferences to the [`ServiceContext`] (the time, and requests to the loop), so it can be
/// passed on as one.
#[derive(Debug)]
pub struct Context<'a> {
    pub(super) input: &'a [u8],
    pub(super) scratch: &'a mut Scratch,
}

/// The state that the loop lends to the session being stepped. One is enough, since sessions are
/// stepped one at a time.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) service: ServiceContext,
    /// The session being stepped. After a panic, the session that panicked. After a step its index
    /// is that of [`SessionId::NONE`]. See [`end_step`](Self::end_step).
    pub(crate) current: SessionId,
    pub(crate) output: WriteBuf,
    pub(crate) limits: SessionLimits,
    /// The input maximum that the session being stepped has raised its own to. Its output is not
    /// plain then, so that this is cleared at the end of the step.
    pub(super) input_max: Option<usize>,
}

impl Scratch {
    pub(crate) fn new(limits: SessionLimits) -> Self {
        Self {
            service: ServiceContext::new(),
            current: SessionId::NONE,
            output: WriteBuf::new(limits.output_bytes_mark, limits.output_bytes_max),
            limits,
            input_max: None,
        }
    }

    /// Takes the input maximum that the step has raised the session's own to.
    pub(crate) fn take_input_max(&mut self) -> Option<usize> {
        self.input_max.take()
    }

    /// Ends a step. The number of the session that was stepped remains.
    #[inline(always)]
    pub(crate) fn end_step(&mut self) {
        self.current.index = SessionId::NONE.index;
    }

    /// Returns true during a step, and after one that has panicked.
    pub(crate) fn is_stepping(&self) -> bool {
        self.current.index != SessionId::NONE.index
    }

    /// Returns the number of the session that was stepped last, if one was.
    pub(crate) fn last_stepped(&self) -> Option<u32> {
        let number = self.current.generation;
        (number != SessionId::NONE.generation).then_some(number)
    }

    /// Clears all that a step has left, except requests to the loop.
    pub(crate) fn reset(&mut self) {
        self.output.reset();
        self.input_max = None;
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

    /// Raises this session's input maximum to `bytes`, for the message at hand. Returns false, and
    /// changes nothing, if that is more than `Limits::input_bytes_hard_max`.
    ///
    /// So a session that knows from a message's head how long it is can wait for all of it, while
    /// `Limits::input_bytes_max` bounds what a peer costs otherwise. It holds from this step until
    /// the session consumes input in a later one, or all of it in this one: call it in each step
    /// that leaves a part of a message longer than `Limits::input_bytes_max`.
    ///
    /// ```
    /// # use oneloop::{CloseReason, Context, Next};
    /// # use std::time::Duration;
    /// /// Waits for the whole of a message whose head announces `length` bytes.
    /// fn wait_for(length: usize, cx: &mut Context<'_>) -> Next {
    ///     if !cx.raise_input_max(length) {
    ///         cx.write(b"too long\n");
    ///         return Next::Close(CloseReason::ProtocolError);
    ///     }
    ///     Next::Read { until: cx.after(Duration::from_secs(60)) }
    /// }
    /// ```
    #[must_use]
    pub fn raise_input_max(&mut self, bytes: usize) -> bool {
        let Scratch { limits, .. } = self.scratch;
        if bytes > limits.input_bytes_hard_max {
            return false;
        }
        if bytes > limits.input_bytes_max {
            self.scratch.input_max = Some(bytes);
            self.scratch.output.leave_plain();
        }
        true
    }

    /// Returns the limits that hold for this session.
    #[must_use]
    pub fn limits(&self) -> SessionLimits {
        self.scratch.limits
    }

    /// Returns the id of this session, for use by other sessions.
    #[inline]
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.scratch.current
    }

    /// Sets a timer of this session: [`Event::Timer`](super::Event::Timer) with this `key` comes at
    /// `at`. A timer with the same key that is still set moves.
    ///
    /// A session may have any number of timers, besides the deadline of its wait. Unlike that one,
    /// they are never shortened under load. A timer is not early, and is late only as far as the
    /// loop is: it comes after input that arrived before it, waits until the session may be
    /// stepped ([`Event::Flushed`](super::Event::Flushed) comes first), and comes in the next turn
    /// if `at` has passed. [`Time::UNBOUNDED`] cancels the timer. The loop frees all timers of a
    /// session when it ends.
    ///
    /// A [`Layer`](crate::layer::Layer) has timers of its own, whose keys are independent of those of
    /// the session inside it and of other layers.
    pub fn set_timer(&mut self, key: u32, at: Time) {
        let (id, now) = (self.timer_id(key), self.now());
        self.scratch.service.timers.set(id, at, now);
    }

    /// Cancels a timer of this session: its event does not come. Does nothing if none is set.
    pub fn cancel_timer(&mut self, key: u32) {
        let id = self.timer_id(key);
        self.scratch.service.timers.cancel(id);
    }

    fn timer_id(&self, key: u32) -> TimerId {
        self.scratch.service.timer_of(self.id(), key)
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

    /// Gives the connection the address of its client, which a proxy has announced, and opens the
    /// session again.
    ///
    /// The address counts from then on: in [`Peer`](super::Peer), in the log, and for
    /// `Limits::connections_per_address_max`. If that has no place for it, the connection is refused
    /// as if it came from there: the client gets
    /// [`Service::refusal_message`](super::Service::refusal_message), and the session ends with
    /// [`EndReason::AddressLimit`](super::EndReason::AddressLimit). Otherwise
    /// [`Service::readdressed`](super::Service::readdressed) is called and the events begin anew:
    /// [`Event::Open`](super::Event::Open), then [`Data`](super::Event::Data) if there is unread
    /// input, then those that had come before and still hold,
    /// [`Eof`](super::Event::Eof) and [`Drain`](super::Event::Drain).
    ///
    /// With [`Announced::NoClient`], or the address that the connection has already, only the events
    /// begin anew. It takes effect in the last phase of the turn; until then the session waits, with
    /// [`Next::Pause`](super::Next::Pause) for example. An outbound connection is not changed. The
    /// layer [`proxy`](crate::proxy) is built on this.
    pub fn readdress(&mut self, announced: Announced) {
        self.control(Control::Readdress(announced));
    }

    fn control(&mut self, control: Control) {
        let id = self.id();
        self.scratch.service.requests.controls.push((id, control));
    }

    // The methods of `ServiceContext`, repeated: through `DerefMut` a call such as
    // `cx.set_service_timer(1, cx.now())` would borrow the context twice.

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

    /// Sets a timer of the service. See [`ServiceContext::set_service_timer`].
    pub fn set_service_timer(&mut self, key: u64, at: Time) {
        self.scratch.service.set_service_timer(key, at);
    }

    /// Cancels a timer of the service. See [`ServiceContext::cancel_service_timer`].
    pub fn cancel_service_timer(&mut self, key: u64) {
        self.scratch.service.cancel_service_timer(key);
    }

    /// Requests a report of the loop's state. See [`ServiceContext::inspect`].
    pub fn inspect(&mut self, inspect: Inspect) {
        self.scratch.service.inspect(inspect);
    }

    /// Stops the server. See [`ServiceContext::drain`].
    pub fn drain(&mut self) {
        self.scratch.service.drain();
    }

    /// Returns a random number. See [`ServiceContext::random`].
    pub fn random(&mut self) -> u64 {
        self.scratch.service.random()
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
        let mut scratch = Scratch::new(SessionLimits {
            input_bytes_max: 100,
            input_bytes_hard_max: 1000,
            output_bytes_mark: mark,
            output_bytes_max: max,
        });
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
            assert_eq!(cx.written(), 5);
            cx.write(b"fghijk");
            room.push(cx.room());
            assert!(!cx.has_room());
            write!(cx, "{}", 12);
            assert_eq!(cx.written(), 13);
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

    #[test]
    fn input_maximum_is_raised_up_to_the_hard_one() {
        let mut scratch = Scratch::new(SessionLimits {
            input_bytes_max: 100,
            input_bytes_hard_max: 1000,
            output_bytes_mark: 8,
            output_bytes_max: 20,
        });
        for (bytes, raised, input_max) in [
            (0, true, None),
            (100, true, None),
            (101, true, Some(101)),
            (1000, true, Some(1000)),
            (1001, false, None),
        ] {
            let mut cx = Context::new(b"", &mut scratch);
            cx.write(b"ab");
            assert_eq!(cx.raise_input_max(bytes), raised);
            cx.write(b"c");
            assert_eq!((cx.room(), cx.written()), (5, 3));
            assert_eq!(scratch.output.is_plain(), input_max.is_none());
            let output: Vec<_> = scratch.output.slices().flatten().copied().collect();
            assert_eq!(output, b"abc");
            assert_eq!(scratch.take_input_max(), input_max);
            scratch.reset();
        }
    }
}
