//! The layer of a transformation.

use super::plain::Plain;
use super::state::{Duplex, End, Flush, Presented, Sending, Stage, TransformedState, Wake};
use super::{Decoded, Handshake, Transform};
use crate::layer::{Inner, Layer};
use crate::service::{
    CloseReason, Context, EndReason, Event, Next, Output, Peer, Service, ServiceContext,
};

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
        TransformedState::new(self.transform.open(peer, cx))
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
        if state.stage == Stage::Handshake
            && let Some(wait) = self.shake_hands(state, event, cx)?
        {
            return Ok(wait);
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

    /// Advances the handshake. Returns the wait for its next event, unless it is complete.
    fn shake_hands(
        &mut self,
        state: &mut TransformedState<T::State>,
        event: Event,
        cx: &mut Context<'_>,
    ) -> Result<Option<Next>, CloseReason> {
        if event == Event::Wake {
            state.wake = Wake::Pending;
        }
        match self.transform.handshake(&mut state.transform, event, cx)? {
            Handshake::Done => {
                state.stage = Stage::New;
                Ok(None)
            }
            Handshake::Read { until } => Ok(Some(Next::Read { until })),
            Handshake::Pause { until } => Ok(Some(Next::Pause { until })),
        }
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
