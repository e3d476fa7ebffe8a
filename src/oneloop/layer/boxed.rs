//! A service whose sessions are allocated apart from their connections.

use std::time::Duration;

use crate::service::inspect::{Description, Inspection};
use crate::service::{
    ConnectError, Context, EndReason, Event, ListenerId, Next, Peer, Service, ServiceContext, Tag,
};

/// A service whose sessions are boxed.
///
/// Every connection's slot is as large as the largest session. A rare and large one, such as that of
/// an admin service beside the main one, is better boxed: its slot then holds a pointer.
#[derive(Clone, Debug, Default)]
pub struct Boxed<S> {
    inner: S,
}

impl<S> Boxed<S> {
    /// Boxes the sessions of `inner`.
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }

    /// Returns the service.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// Returns the service, mutably.
    pub const fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<S: Service> Service for Boxed<S> {
    type Session = Box<S::Session>;

    fn started(&mut self, cx: &mut ServiceContext) {
        self.inner.started(cx);
    }

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> Self::Session {
        Box::new(self.inner.open(peer, cx))
    }

    #[inline]
    fn step(&mut self, session: &mut Self::Session, event: Event, cx: &mut Context<'_>) -> Next {
        self.inner.step(session, event, cx)
    }

    fn closed(
        &mut self,
        session: Self::Session,
        peer: Peer,
        reason: EndReason,
        cx: &mut ServiceContext,
    ) {
        self.inner.closed(*session, peer, reason, cx);
    }

    fn refusal_message(&self, listener: ListenerId, reason: EndReason) -> &[u8] {
        self.inner.refusal_message(listener, reason)
    }

    fn is_proxy(&self, peer: &Peer) -> bool {
        self.inner.is_proxy(peer)
    }

    fn readdressed(&mut self, session: &mut Self::Session, peer: Peer, cx: &mut ServiceContext) {
        self.inner.readdressed(session, peer, cx);
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
        self.inner.describe(session, description);
    }

    fn inspected(&mut self, key: u64, report: &Inspection<'_>, cx: &mut ServiceContext) {
        self.inner.inspected(key, report, cx);
    }
}
