//! A service inside a layer.

use std::time::Duration;

use super::unwinding::in_spite_of;
use super::{Layer, unwinding};
use crate::service::inspect::{Description, Inspection};
use crate::service::{
    ConnectError, Context, EndReason, Event, Inside, ListenerId, Next, Peer, Service,
    ServiceContext, Tag,
};

/// A service inside a layer. It is a service again.
///
/// It forwards every call to the service, so a layer implements only what it changes.
#[derive(Clone, Debug, Default)]
pub struct Layered<L, S> {
    layer: L,
    inner: S,
}

/// The session of a [`Layered`] service: the layer's state beside the inner session.
#[derive(Clone, Debug)]
pub struct LayeredSession<L, S> {
    layer: L,
    inner: S,
}

/// The session inside a layer, to be stepped by [`Layer::step`].
#[derive(Debug)]
pub struct Inner<'a, S: Service> {
    service: &'a mut S,
    session: &'a mut S::Session,
}

impl<S: Service> Inner<'_, S> {
    /// Steps the session, and returns what it waits for.
    ///
    /// The session gets `event`, except for timers: a layer passes [`Event::InnerTimer`] on, and the
    /// session gets its own [`Event::Timer`]. A timer of the layer itself becomes [`Event::Wake`].
    // A function and not a closure, which could not be inlined always. A call would cost more than
    // most layers.
    #[inline(always)]
    pub fn step(&mut self, event: Event, cx: &mut Context<'_>) -> Next {
        let inside = Inside::new(cx);
        let event = inside.event(event);
        self.service.step(self.session, event, inside.cx)
    }
}

impl<L, S> Layered<L, S> {
    /// Puts `inner` into `layer`.
    pub const fn new(layer: L, inner: S) -> Self {
        Self { layer, inner }
    }

    /// Returns the layer.
    pub const fn layer(&self) -> &L {
        &self.layer
    }

    /// Returns the layer, mutably.
    pub const fn layer_mut(&mut self) -> &mut L {
        &mut self.layer
    }

    /// Returns the service inside the layer.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// Returns the service inside the layer, mutably.
    pub const fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<L, S> LayeredSession<L, S> {
    /// Returns the layer's state.
    pub const fn layer(&self) -> &L {
        &self.layer
    }

    /// Returns the inner session.
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<L: Layer, S: Service> Service for Layered<L, S> {
    type Session = LayeredSession<L::State, S::Session>;

    fn started(&mut self, cx: &mut ServiceContext) {
        self.inner.started(cx);
    }

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> Self::Session {
        let layer = self.layer.open(&peer, cx);
        match unwinding::catch(|| self.inner.open(peer, Inside::new(cx).cx)) {
            Ok(inner) => LayeredSession { layer, inner },
            Err(panic) => {
                // The loop gets no session, so the layer's state is returned here.
                self.layer.closed(layer, &peer, EndReason::Panicked, cx);
                unwinding::resume(panic)
            }
        }
    }

    #[inline(always)]
    fn step(&mut self, session: &mut Self::Session, event: Event, cx: &mut Context<'_>) -> Next {
        let LayeredSession { layer, inner } = session;
        let inner = Inner {
            service: &mut self.inner,
            session: inner,
        };
        self.layer.step(layer, event, cx, inner)
    }

    fn closed(
        &mut self,
        session: Self::Session,
        peer: Peer,
        reason: EndReason,
        cx: &mut ServiceContext,
    ) {
        let LayeredSession { layer, inner } = session;
        in_spite_of(
            cx,
            |cx| self.inner.closed(inner, peer, reason, Inside::new(cx).cx),
            |cx| self.layer.closed(layer, &peer, reason, cx),
        );
    }

    fn refusal_message(&self, listener: ListenerId, reason: EndReason) -> &[u8] {
        let inner = self.inner.refusal_message(listener, reason);
        self.layer.refusal_message(inner)
    }

    fn is_proxy(&self, peer: &Peer) -> bool {
        self.inner.is_proxy(peer)
    }

    fn readdressed(&mut self, session: &mut Self::Session, peer: Peer, cx: &mut ServiceContext) {
        let inside = Inside::new(cx);
        self.inner.readdressed(&mut session.inner, peer, inside.cx);
    }

    fn connect_failed(&mut self, tag: Tag, error: &ConnectError, cx: &mut ServiceContext) {
        self.inner.connect_failed(tag, error, cx);
    }

    fn on_timer(&mut self, key: u64, cx: &mut ServiceContext) {
        self.inner.on_timer(key, cx);
    }

    fn draining(&mut self, open: usize, grace: Duration, cx: &mut ServiceContext) {
        self.inner.draining(open, grace, cx);
    }

    fn describe(&self, session: &Self::Session, description: &mut Description) {
        self.inner.describe(&session.inner, description);
        self.layer.describe(&session.layer, description);
    }

    fn inspected(&mut self, key: u64, report: &Inspection<'_>, cx: &mut ServiceContext) {
        self.inner.inspected(key, report, cx);
    }
}
