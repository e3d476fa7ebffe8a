//! Layers that transform the bytes: the inner session has another input and another output.

mod handshake;
mod plain;
mod state;
#[cfg(test)]
mod tests;
mod transformed;

use crate::service::{CloseReason, Context, EndReason, Event, Output, Peer, ServiceContext};

pub use handshake::Handshake;
pub use state::TransformedState;
pub use transformed::Transformed;

/// A transformation of both directions of a connection, such as encryption or compression.
///
/// [`Transformed`] makes a [`Layer`](super::Layer) of it, and gives the inner session everything
/// that the loop gives to a session: input that it has not consumed is presented again, also when
/// its output has room again; [`Event::Flushed`] comes for its own output; [`Event::Eof`] comes
/// after all its input. A transformation only converts bytes.
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
