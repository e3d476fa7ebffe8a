//! Services composed of services: layers around one, several side by side.
//!
//! Composition is static: the compiler sees one service, calls are inlined, and a service without a
//! layer pays nothing. Import [`Compose`] and call its methods:
//!
//! ```
//! use oneloop::layer::{Compose, Idle, Meter};
//! # use oneloop::{Context, Event, Next, Peer, Service, ServiceContext, Time};
//! # use std::time::Duration;
//! # struct Echo;
//! # impl Service for Echo {
//! #     type Session = ();
//! #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
//! #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
//! #         Next::Read { until: Time::UNBOUNDED }
//! #     }
//! # }
//!
//! let service = Echo
//!     .with(Idle::after(Duration::from_secs(60)))
//!     .with(Meter::new(|peer, reason, traffic| {
//!         println!("{} {reason} {}", peer.address, traffic.bytes_in);
//!     }));
//! # let _: &dyn std::any::Any = &service;
//! ```
//!
//! The last layer is the outermost: it sees an event first and an answer last. The usual order, from
//! the outside: transformations such as TLS, [`RateLimit`], [`Idle`], [`Meter`], the service. So the
//! meter counts the service's bytes, and a connection in debt is not idle.
//!
//! # Writing a layer
//!
//! A [`Layer`] has a state beside each session, and its [`step`](Layer::step) is called in place of
//! the service's. It calls [`Inner::step`] to step the session, and may do something before and
//! after it, answer without it, or call it several times. [`Layered`] forwards everything else.
//!
//! **Deadlines.** A layer with a deadline of its own returns the earlier one: see [`Due`]. At
//! [`Event::Timeout`] it is the earlier one that is due, whatever the time is: a nearly full server
//! shortens waits. So a layer remembers which was earlier, and does not compare with the clock.
//!
//! **Timers.** A layer may set timers, as a session may, and gets [`Event::Timer`] for its own. Their
//! keys are independent of those of the session, whose timers the layer sees as
//! [`Event::InnerTimer`]: it passes them on, as every event that it does not handle.
//!
//! **Answering without the service.** A layer that returns another wait than the inner session's
//! keeps the session's own, and returns it later. Unread input is presented again after a
//! [`Pause`](crate::Next::Pause) or [`Flush`](crate::Next::Flush).
//!
//! **Bytes.** An observing layer sees the input of a step before and after it, and the number of
//! bytes written. One that changes the bytes implements [`Transform`], or, for a special case,
//! calls [`Context::nested`](crate::Context::nested) itself. Then these are its duties:
//!
//! - Input that the session has not consumed is presented at each of its steps. It is presented
//!   again, with [`Event::Data`], when the session's output had no room, and when the session
//!   returns to reading from another wait.
//! - While the outer output has no room, the session is not stepped with input. The layer returns
//!   [`Next::Flush`], and steps it at [`Event::Flushed`]: so back-pressure passes through the layer.
//! - `Flushed` goes to the session only if its own output, or its own `Flush`, is meant. After
//!   output of the layer alone, the layer returns the session's last wait again.
//! - [`Event::Eof`] goes to the session after all its input was presented, also while it pauses, and
//!   once. A wire that ends in the middle of a frame is an error.
//! - When the session closes, its last output is converted before the layer returns
//!   [`Next::Close`]. Nothing is kept back for later.
//! - [`Event::Drain`], `Wake`, `Timeout` and `InnerTimer` go to the session as they are.

mod activity;
mod boxed;
mod compose;
mod due;
mod fork;
mod idle;
mod layered;
mod measure;
mod meter;
mod optional;
mod rate_limit;
mod transform;
mod unwinding;

use crate::service::inspect::Description;
use crate::service::{Context, EndReason, Event, Next, Peer, Service, ServiceContext};
pub use crate::service::{Output, Side};

pub use activity::{Activity, ActivityState};
pub use boxed::Boxed;
pub use compose::Compose;
pub use due::Due;
pub use fork::{ByListener, ByListeners, Choose, Either, Fork};
pub use idle::{Idle, IdleState};
pub use layered::{Inner, Layered, LayeredSession};
pub use measure::{Bytes, Lines, Measure, Nothing};
pub use meter::{Meter, MeterState, Traffic};
pub use optional::Optional;
pub use rate_limit::{Rate, RateLimit, RateLimitState};
pub use transform::{Decoded, Handshake, Transform, Transformed, TransformedState};

/// Behaviour around a service: one value for the loop, one [`State`](Self::State) per connection.
///
/// [`Compose::with`] puts a service into a layer. See [the module](self) for the rules.
///
/// ```
/// use oneloop::layer::{Inner, Layer};
/// use oneloop::{Context, Event, Next, Peer, Service, ServiceContext};
///
/// /// Counts the steps of all sessions.
/// struct Steps(u64);
///
/// impl Layer for Steps {
///     type State = ();
///     fn open(&mut self, _: &Peer, _: &mut ServiceContext) {}
///     fn step<S: Service>(
///         &mut self,
///         _: &mut (),
///         event: Event,
///         cx: &mut Context<'_>,
///         mut inner: Inner<'_, S>,
///     ) -> Next {
///         self.0 += 1;
///         inner.step(event, cx)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer",
    label = "a `Layer` is needed here",
    note = "implement `oneloop::layer::Layer` for `{Self}`: `type State`, `open` and `step`",
    note = "a `Transform` becomes a layer by `Transformed::new`"
)]
pub trait Layer {
    /// The state of one connection. It lives beside the session in the connection's slot.
    type State;

    /// Creates the state of a new connection, before the inner session is opened.
    fn open(&mut self, peer: &Peer, cx: &mut ServiceContext) -> Self::State;

    /// Handles `event`, usually by a step of the inner session, and returns the session's next wait.
    ///
    /// A layer that only observes marks it `#[inline(always)]`, as the service's own step may be.
    fn step<S: Service>(
        &mut self,
        state: &mut Self::State,
        event: Event,
        cx: &mut Context<'_>,
        inner: Inner<'_, S>,
    ) -> Next;

    /// Returns the message for a connection that the loop refuses, instead of the inner service's.
    /// Default: that one. A layer that changes the bytes returns what its peers understand.
    fn refusal_message<'a>(&'a self, inner: &'a [u8]) -> &'a [u8] {
        inner
    }

    /// Adds what the layer knows of a session to its service's description, or sets it instead. See
    /// [`Service::describe`].
    fn describe(&self, state: &Self::State, description: &mut Description) {
        let _ = (state, description);
    }

    /// Takes back the state of a connection that has ended, after the inner session. Called exactly
    /// once for every state that [`open`](Self::open) created.
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
