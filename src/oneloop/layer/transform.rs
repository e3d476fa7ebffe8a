//! Layers that transform the bytes: the inner session has another input and another output.

mod handshake;
mod plain;
#[cfg(test)]
mod tests;

use super::{Inner, Layer};
use crate::service::{
    CloseReason, Context, EndReason, Event, Next, Output, Peer, Service, ServiceContext,
};
pub use handshake::Handshake;
use plain::Plain;

/// A transformation of both directions of a connection, such as encryption or compression.
///
/// [`Transformed`] makes a [`Layer`] of it, and gives the inner session everything that the loop
/// gives to a session: input that it has not consumed is presented again, also when its output has
/// room again; [`Event::Flushed`] comes for its own output; [`Event::Eof`] comes after all its
/// input. A transformation only converts bytes.
///
/// "Plaintext" means the inner session's bytes, "wire" those of the connection.
///
/// ```
/// use oneloop::layer::{Compose, Decoded, Output, Transform, Transformed};
/// # use oneloop::{CloseReason, Context, Event, Next, Peer, Service, ServiceContext, Time};
/// # use oneloop::testing::Harness;
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
/// #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
/// #         cx.write(cx.input());
/// #         cx.consume(cx.input().len());
/// #         Next::Read { until: Time::UNBOUNDED }
/// #     }
/// # }
///
/// /// Inverts every bit on the wire.
/// struct Inverted;
///
/// impl Transform for Inverted {
///     type State = ();
///     fn open(&mut self, _: &Peer, _: &mut ServiceContext) {}
///     fn decode(
///         &mut self,
///         _: &mut (),
///         cx: &mut Context<'_>,
///         plain: &mut Vec<u8>,
///     ) -> Result<Decoded, CloseReason> {
///         plain.extend(cx.input().iter().map(|byte| !byte));
///         cx.consume(cx.input().len());
///         Ok(Decoded::All)
///     }
///     fn encode(&mut self, _: &mut (), plain: &Output, cx: &mut Context<'_>) {
///         let wire: Vec<_> = plain.pieces().flatten().map(|byte| !byte).collect();
///         cx.write(&wire);
///     }
/// }
///
/// let (mut service, mut harness) = (Echo.with(Transformed::new(Inverted)), Harness::new());
/// let mut session = harness.open(&mut service);
/// harness.step(&mut service, &mut session, Event::Open);
/// harness.receive(&[!b'h', !b'i']);
/// harness.step(&mut service, &mut session, Event::Data);
/// assert_eq!(harness.take_output(), [!b'h', !b'i']);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a transformation of a connection's bytes",
    label = "a `Transform` is needed here",
    note = "implement `oneloop::layer::Transform` for `{Self}`: `type State`, `open`, `decode` and `encode`"
)]
pub trait Transform {
    /// The state of one connection.
    type State;

    /// Creates the state of a new connection.
    fn open(&mut self, peer: &Peer, cx: &mut ServiceContext) -> Self::State;

    /// Handles `event` as a part of the handshake. Default: there is no handshake.
    ///
    /// It is called for every event until it returns [`Handshake::Done`]; meanwhile the inner
    /// session gets no event, and [`decode`](Self::decode) is not called. It consumes input, and
    /// may write to the wire. Timers that it sets are its own.
    ///
    /// # Errors
    /// Returns the reason to close the connection, with the output written so far. A handshake that
    /// leaves its end to others begins with [`Handshake::check`].
    fn handshake(
        &mut self,
        state: &mut Self::State,
        event: Event,
        cx: &mut Context<'_>,
    ) -> Result<Handshake, CloseReason> {
        let _ = (state, event, cx);
        Ok(Handshake::Done)
    }

    /// Decodes unread input, consumes it, and appends the plaintext to `plain`.
    ///
    /// It is called at every event, also without input. One call appends at most one frame, so that
    /// unread plaintext stays bounded: while there is more than
    /// [`plain_bytes_max`](Transformed::plain_bytes_max), it is not called. An incomplete frame stays
    /// in the input. The transformation may write to the wire, for example an acknowledgement, and
    /// set timers of its own, at which it is called too.
    ///
    /// # Errors
    /// Returns the reason to close the connection, with the output written so far.
    fn decode(
        &mut self,
        state: &mut Self::State,
        cx: &mut Context<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<Decoded, CloseReason>;

    /// Encodes the output of one step of the inner session, and writes it to the wire.
    fn encode(&mut self, state: &mut Self::State, plain: &Output, cx: &mut Context<'_>);

    /// Returns how many bytes of plaintext, in however many pieces, fit into `room` bytes on the
    /// wire. Default: as many.
    fn fit(&self, room: usize) -> usize {
        room
    }

    /// Handles the end of the wire's input, before the inner session gets [`Event::Eof`].
    ///
    /// `rest` is input that could not be decoded. By default that is an error if there is any. It
    /// is not called if [`decode`](Self::decode) has returned [`Decoded::End`].
    ///
    /// # Errors
    /// Returns the reason to close the connection instead.
    fn wire_ended(&mut self, state: &mut Self::State, rest: &[u8]) -> Result<(), CloseReason> {
        let _ = state;
        match rest {
            [] => Ok(()),
            _ => Err(CloseReason::ProtocolError),
        }
    }

    /// Writes the end of the plaintext stream to the wire, after its last output. Default: nothing.
    ///
    /// It is called once, when the inner session closes or finishes sending. It is not called for a
    /// connection that the transformation closes because of an error, so that its output does not
    /// look complete.
    fn finish(&mut self, state: &mut Self::State, cx: &mut Context<'_>) {
        let _ = (state, cx);
    }

    /// Returns the bytes on the wire for a connection that the loop refuses. Default: none, because
    /// the service's message is plaintext.
    fn refusal_message(&self) -> &[u8] {
        b""
    }

    /// Takes back the state of a connection that has ended.
    fn closed(
        &mut self,
        state: Self::State,
        peer: &Peer,
        reason: EndReason,
        cx: &mut ServiceContext,
    ) {
        let _ = (state, peer, reason, cx);
    }
}

/// The progress of [`Transform::decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decoded {
    /// Some input was decoded; there may be more.
    Some,
    /// All complete frames are decoded.
    All,
    /// The plaintext stream has ended.
    End,
}

/// The [`Layer`] of a [`Transform`].
#[derive(Debug)]
pub struct Transformed<T> {
    transform: T,
    plain_bytes_max: Option<usize>,
    /// Plaintext of the connection being stepped, unless it has unread plaintext of its own.
    plain: Plain,
    /// The output of an inner step.
    output: Output,
}

/// The state of one connection behind a [`Transform`].
#[derive(Debug)]
pub struct TransformedState<T> {
    transform: T,
    /// Plaintext that the inner session has not consumed.
    unread: Plain,
    /// The maximum of plaintext to which the session has raised its own, while there is some.
    raised: Option<usize>,
    stage: Stage,
    wake: Wake,
    /// The inner session's last answer.
    wait: Next,
    duplex: Duplex,
    flush: Flush,
    room: Room,
    presented: Presented,
    end: End,
    sending: Sending,
}

/// The connection's stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The transformation's handshake is in progress.
    Handshake,
    /// The inner session has not got its first event.
    New,
    Open,
}

/// The inner session's mode: see [`Context::set_duplex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duplex {
    Half,
    Full,
}

/// A wake-up during the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    None,
    Pending,
}

/// The purpose of the flush that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    /// The transformation's own output is sent, or there is room again for the inner session.
    Own,
    /// The inner session's output is sent.
    Inner,
}

/// The room that the inner session has left at its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Some,
    /// None: it gets its unread plaintext again, or [`Event::Flushed`].
    None,
}

/// The presentation of unread plaintext to the inner session, at [`Event::Data`] or [`Event::Eof`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presented {
    All,
    /// All, but it is presented again as soon as the session reads and its output has room.
    Again,
    /// Some of it is new. It is presented as soon as the session reads.
    New,
}

/// The inner session's sending side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Open,
    /// The end of its output is written; more is discarded.
    Finished,
}

/// The end of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    None,
    /// The wire has ended.
    Wire,
    /// The plaintext stream has ended.
    Plain,
    /// The inner session has got its [`Event::Eof`].
    Delivered,
}

impl<T: Transform> Transformed<T> {
    /// Creates the layer of `transform`.
    pub fn new(transform: T) -> Self {
        Self {
            transform,
            plain_bytes_max: None,
            plain: Plain::default(),
            output: Output::default(),
        }
    }

    /// Sets the most unread plaintext of a session. Default: `Limits::input_bytes_max`. A session
    /// may [raise](Context::raise_input_max) it for a message, as it may raise that one.
    ///
    /// A connection that has more, and whose session waits for yet more, ends with
    /// [`CloseReason::ProtocolError`]. One frame may exceed the maximum.
    #[must_use]
    pub const fn plain_bytes_max(mut self, bytes: usize) -> Self {
        self.plain_bytes_max = Some(bytes);
        self
    }

    /// Returns the transformation.
    pub const fn transform(&self) -> &T {
        &self.transform
    }

    /// Returns the transformation, mutably.
    pub const fn transform_mut(&mut self) -> &mut T {
        &mut self.transform
    }
}

impl<T: Transform> Layer for Transformed<T> {
    type State = TransformedState<T::State>;

    fn open(&mut self, peer: &Peer, cx: &mut ServiceContext) -> Self::State {
        TransformedState {
            transform: self.transform.open(peer, cx),
            unread: Plain::default(),
            raised: None,
            stage: Stage::Handshake,
            wake: Wake::None,
            wait: Next::Flush,
            duplex: Duplex::Half,
            flush: Flush::Own,
            room: Room::Some,
            presented: Presented::All,
            end: End::None,
            sending: Sending::Open,
        }
    }

    fn step<S: Service>(
        &mut self,
        state: &mut Self::State,
        event: Event,
        cx: &mut Context<'_>,
        inner: Inner<'_, S>,
    ) -> Next {
        let mut plain = match state.unread.is_empty() {
            true => std::mem::take(&mut self.plain),
            false => std::mem::take(&mut state.unread),
        };
        let answer = self.pump(state, &mut plain, event, cx, inner);
        match plain.is_empty() {
            true => {
                self.plain = plain.recycled();
                state.raised = None;
            }
            false => state.unread = plain,
        }
        answer.unwrap_or_else(Next::Close)
    }

    fn refusal_message<'a>(&'a self, _: &'a [u8]) -> &'a [u8] {
        self.transform.refusal_message()
    }

    fn closed(
        &mut self,
        state: Self::State,
        peer: &Peer,
        reason: EndReason,
        cx: &mut ServiceContext,
    ) {
        self.transform.closed(state.transform, peer, reason, cx);
    }
}

impl<T: Transform> Transformed<T> {
    /// Steps the inner session with `event`, and with the events that result, while its output has
    /// room.
    fn pump<S: Service>(
        &mut self,
        state: &mut TransformedState<T::State>,
        plain: &mut Plain,
        event: Event,
        cx: &mut Context<'_>,
        mut inner: Inner<'_, S>,
    ) -> Result<Next, CloseReason> {
        if event == Event::Eof && state.end == End::None {
            state.end = End::Wire;
        }
        if state.stage == Stage::Handshake {
            if event == Event::Wake {
                state.wake = Wake::Pending;
            }
            match self.transform.handshake(&mut state.transform, event, cx)? {
                Handshake::Done => state.stage = Stage::New,
                Handshake::Read { until } => return Ok(Next::Read { until }),
                Handshake::Pause { until } => return Ok(Next::Pause { until }),
            }
        }
        // In half duplex all earlier output is sent, unless this is the event of that.
        let pending = cx.has_pending_output();
        if !pending && event != Event::Flushed {
            state.flush = Flush::Own;
        }
        let mut decoded = self.decode(state, plain, cx)?;
        let (room, mut written) = (self.transform.fit(cx.room()), 0);
        let mut due = match state.passed_on(event) {
            None if !pending && state.owes_flushed(plain) => Some(Event::Flushed),
            None if !cx.has_room() && state.presented == Presented::Again => None,
            None => state.due(plain, decoded),
            passed_on => passed_on,
        };
        while let Some(event) = due {
            self.step_inner(state, plain, event, cx, &mut inner)?;
            if matches!(state.wait, Next::Close(_) | Next::Abort) {
                return Ok(state.wait);
            }
            decoded = self.decode(state, plain, cx)?;
            due = state.due(plain, decoded);
            written += self.output.len();
            if due.is_some() && (written >= room || self.transform.fit(cx.room()) == 0) {
                return Ok(state.await_room(cx));
            }
        }
        let reads = matches!(state.wait, Next::Read { .. });
        if reads && plain.len() > self.plain_max(state, cx) {
            return Err(CloseReason::ProtocolError);
        }
        Ok(state.wait)
    }

    /// Decodes input until none is left, or there is much unread plaintext.
    fn decode(
        &mut self,
        state: &mut TransformedState<T::State>,
        plain: &mut Plain,
        cx: &mut Context<'_>,
    ) -> Result<Decoded, CloseReason> {
        if matches!(state.end, End::Plain | End::Delivered) {
            cx.consume(cx.input().len());
            return Ok(Decoded::End);
        }
        let before = plain.len();
        let mut decoded = Decoded::Some;
        while decoded == Decoded::Some && plain.len() <= self.plain_max(state, cx) {
            let bytes = plain.appendable();
            decoded = self.transform.decode(&mut state.transform, cx, bytes)?;
        }
        if decoded == Decoded::End {
            state.end = End::Plain;
        }
        if plain.len() > before {
            state.presented = Presented::New;
        }
        Ok(decoded)
    }

    fn plain_max(&self, state: &TransformedState<T::State>, cx: &Context<'_>) -> usize {
        let most = self.plain_bytes_max;
        let most = most.unwrap_or_else(|| cx.limits().input_bytes_max);
        most.max(state.raised.unwrap_or(0))
    }

    /// Steps the inner session once, and encodes its output.
    fn step_inner<S: Service>(
        &mut self,
        state: &mut TransformedState<T::State>,
        plain: &mut Plain,
        event: Event,
        cx: &mut Context<'_>,
        inner: &mut Inner<'_, S>,
    ) -> Result<(), CloseReason> {
        if event == Event::Eof && state.end == End::Wire {
            self.transform
                .wire_ended(&mut state.transform, cx.input())?;
        }
        let (transform, output) = (&mut self.transform, &mut self.output);
        let fit = |room| transform.fit(room);
        let input = match event {
            Event::Open => &[],
            _ => plain.unread(),
        };
        let ((next, had_room), consumed) = cx.nested(input, output, fit, |cx| {
            (inner.step(event, cx), cx.has_room())
        });
        plain.consume(consumed);
        state.raised = cx.raised_input_max().or(state.raised);
        if state.sending == Sending::Open && !output.is_empty() {
            transform.encode(&mut state.transform, output, cx);
        }
        match output.duplex() {
            Some(true) => state.duplex = Duplex::Full,
            Some(false) => state.duplex = Duplex::Half,
            None => {}
        }
        if !output.is_empty() || next == Next::Flush {
            state.flush = Flush::Inner;
        } else if !cx.has_pending_output() {
            state.flush = Flush::Own;
        }
        state.stepped(event, next, had_room);
        let finishes = output.is_finished() || matches!(next, Next::Close(_));
        if finishes && state.sending == Sending::Open {
            state.sending = Sending::Finished;
            transform.finish(&mut state.transform, cx);
        }
        Ok(())
    }
}

impl<T> TransformedState<T> {
    /// Returns the event if the inner session gets it as it is.
    fn passed_on(&mut self, event: Event) -> Option<Event> {
        match (self.stage, event) {
            (Stage::Handshake | Stage::New, _)
            | (Stage::Open, Event::Open | Event::Data | Event::Eof) => None,
            // The transformation's own: `decode` was called.
            (Stage::Open, Event::Timer(_)) => None,
            (Stage::Open, Event::Flushed) => {
                let flush = std::mem::replace(&mut self.flush, Flush::Own);
                (flush == Flush::Inner).then_some(event)
            }
            (Stage::Open, _) => Some(event),
        }
    }

    /// Returns true if the inner session gets [`Event::Flushed`] because it has left no room, and has
    /// no unread plaintext to be presented again.
    fn owes_flushed(&self, plain: &Plain) -> bool {
        let reads = matches!(self.wait, Next::Read { .. });
        self.stage == Stage::Open && self.room == Room::None && (plain.is_empty() || !reads)
    }

    /// Returns the next event that is due to the inner session, as the loop would.
    fn due(&self, plain: &Plain, decoded: Decoded) -> Option<Event> {
        if self.stage != Stage::Open {
            return Some(Event::Open);
        }
        if self.wake == Wake::Pending {
            return Some(Event::Wake);
        }
        let ended = matches!(self.end, End::Wire | End::Plain) && decoded != Decoded::Some;
        match self.wait {
            Next::Read { .. } if self.presented != Presented::All && !plain.is_empty() => {
                Some(match self.end {
                    End::Delivered => Event::Eof,
                    _ => Event::Data,
                })
            }
            Next::Read { .. } | Next::Pause { .. } if ended => Some(Event::Eof),
            _ => None,
        }
    }

    /// Notes a step of the inner session.
    fn stepped(&mut self, event: Event, next: Next, had_room: bool) {
        self.stage = Stage::Open;
        if event == Event::Wake {
            self.wake = Wake::None;
        }
        if event == Event::Eof {
            self.end = End::Delivered;
        }
        if matches!(event, Event::Data | Event::Eof) {
            self.presented = Presented::All;
        }
        // Unread input is presented again if its answer had no room, or after another wait.
        let resumes = matches!(self.wait, Next::Pause { .. } | Next::Flush)
            && matches!(next, Next::Read { .. })
            && !matches!(event, Event::Data | Event::Eof);
        self.room = match had_room {
            true => Room::Some,
            false => Room::None,
        };
        if (!had_room || resumes) && self.presented == Presented::All {
            self.presented = Presented::Again;
        }
        self.wait = next;
    }

    /// Returns the wait until the inner session's output has room for the answers to more
    /// plaintext.
    ///
    /// In half duplex the wire is not read meanwhile. In full duplex it is, as for a session without
    /// a transformation.
    fn await_room(&mut self, cx: &mut Context<'_>) -> Next {
        match self.duplex {
            Duplex::Half => {
                self.flush = Flush::Own;
                Next::Flush
            }
            Duplex::Full => {
                if !cx.has_pending_output() {
                    cx.request_flushed();
                }
                self.wait
            }
        }
    }
}
