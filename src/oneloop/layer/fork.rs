//! Two services in one loop.

use std::time::Duration;

use super::unwinding::in_spite_of;
use crate::service::inspect::{Description, Inspection};
use crate::service::{
    ConnectError, Context, EndReason, Entered, Event, ListenerId, Next, Peer, Service,
    ServiceContext, Side, Tag,
};

/// Two services in one loop. Each connection is a session of one of them.
///
/// `C` chooses the service of an accepted connection: see [`Choose`]. An outbound connection is a
/// session of the service that has requested it. The two cannot confuse their tags and timers: each
/// sees only its own, whatever their values are.
///
/// ```
/// use oneloop::layer::{ByListener, Compose};
/// # use oneloop::{Context, Event, Next, Peer, Service, ServiceContext, Time};
/// # struct Echo;
/// # struct Admin;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
/// #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
/// #         Next::Read { until: Time::UNBOUNDED }
/// #     }
/// # }
/// # impl Service for Admin {
/// #     type Session = [u8; 1000];
/// #     fn open(&mut self, _: Peer, _: &mut ServiceContext) -> [u8; 1000] { [0; 1000] }
/// #     fn step(&mut self, _: &mut [u8; 1000], _: Event, cx: &mut Context<'_>) -> Next {
/// #         Next::Read { until: Time::UNBOUNDED }
/// #     }
/// # }
///
/// // Connections to the listener with the name "admin" are the admin service's.
/// let service = Echo.beside(Admin.boxed(), ByListener("admin"));
/// # fn session<S: Service>(_: &S) -> usize { size_of::<S::Session>() }
/// # assert_eq!(session(&service), 8);
/// ```
///
/// The sessions share the slots of the loop, whose size is that of the larger session:
/// [`boxed`](super::Compose::boxed) helps if that is the rare one.
#[derive(Clone, Debug, Default)]
pub struct Fork<A, B, C> {
    first: A,
    second: B,
    choose: C,
}

/// The session of a [`Fork`].
#[derive(Clone, Debug)]
pub enum Either<A, B> {
    /// A session of the first service.
    First(A),
    /// A session of the second service.
    Second(B),
}

/// Chooses the service of a [`Fork`] for an accepted connection.
///
/// [`ByListener`] chooses by the name of the listener, a function `Fn(&Peer) -> Side` by the peer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not choose between two services",
    label = "a `Choose` is needed here",
    note = "use `ByListener`, or a function `Fn(&Peer) -> Side`"
)]
pub trait Choose {
    /// Returns the side that serves `peer`.
    fn side(&self, peer: &Peer) -> Side;

    /// Returns the side whose refusal message is sent to a connection that `listener` refuses.
    /// Default: the first.
    fn refusing_side(&self, listener: ListenerId) -> Side {
        let _ = listener;
        Side::First
    }
}

/// Chooses the second service for connections to the listener with this name, the first one for all
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByListener(pub &'static str);

/// Chooses the second service for connections to the listeners with these names, the first one for
/// all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByListeners(pub &'static [&'static str]);

impl<F: Fn(&Peer) -> Side> Choose for F {
    fn side(&self, peer: &Peer) -> Side {
        self(peer)
    }
}

impl Choose for ByListener {
    fn side(&self, peer: &Peer) -> Side {
        peer.listener
            .map_or(Side::First, |listener| self.refusing_side(listener))
    }

    fn refusing_side(&self, listener: ListenerId) -> Side {
        match listener.name() == self.0 {
            true => Side::Second,
            false => Side::First,
        }
    }
}

impl Choose for ByListeners {
    fn side(&self, peer: &Peer) -> Side {
        peer.listener
            .map_or(Side::First, |listener| self.refusing_side(listener))
    }

    fn refusing_side(&self, listener: ListenerId) -> Side {
        match self.0.contains(&listener.name()) {
            true => Side::Second,
            false => Side::First,
        }
    }
}

impl<A, B, C> Fork<A, B, C> {
    /// Puts `second` beside `first`.
    pub const fn new(first: A, second: B, choose: C) -> Self {
        Self {
            first,
            second,
            choose,
        }
    }

    /// Returns the first service.
    pub const fn first(&self) -> &A {
        &self.first
    }

    /// Returns the first service, mutably. For a call that makes requests see
    /// [`with_first`](Self::with_first).
    pub const fn first_mut(&mut self) -> &mut A {
        &mut self.first
    }

    /// Returns the second service.
    pub const fn second(&self) -> &B {
        &self.second
    }

    /// Returns the second service, mutably. For a call that makes requests see
    /// [`with_second`](Self::with_second).
    pub const fn second_mut(&mut self) -> &mut B {
        &mut self.second
    }

    /// Calls the first service from outside, for example by a handle. Connections and timers that
    /// `call` requests are the first service's.
    pub fn with_first<T>(
        &mut self,
        cx: &mut ServiceContext,
        call: impl FnOnce(&mut A, &mut ServiceContext) -> T,
    ) -> T {
        call(&mut self.first, Entered::new(cx, Side::First).cx)
    }

    /// Calls the second service from outside, for example by a handle. Connections and timers that
    /// `call` requests are the second service's.
    pub fn with_second<T>(
        &mut self,
        cx: &mut ServiceContext,
        call: impl FnOnce(&mut B, &mut ServiceContext) -> T,
    ) -> T {
        call(&mut self.second, Entered::new(cx, Side::Second).cx)
    }

    /// Calls both services. The second one is called even if the first one panics.
    fn with_both(
        &mut self,
        cx: &mut ServiceContext,
        first: impl FnOnce(&mut A, &mut ServiceContext),
        second: impl FnOnce(&mut B, &mut ServiceContext),
    ) {
        let Self {
            first: a,
            second: b,
            ..
        } = self;
        in_spite_of(
            cx,
            |cx| first(a, Entered::new(cx, Side::First).cx),
            |cx| second(b, Entered::new(cx, Side::Second).cx),
        );
    }
}

impl<A: Service, B: Service, C: Choose> Service for Fork<A, B, C> {
    type Session = Either<A::Session, B::Session>;

    fn started(&mut self, cx: &mut ServiceContext) {
        self.with_both(cx, A::started, B::started);
    }

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> Self::Session {
        let side = match peer.tag {
            Some(tag) => tag.split().0,
            None => self.choose.side(&peer),
        };
        let peer = peer.within_side();
        match side {
            Side::First => Either::First(self.with_first(cx, |first, cx| first.open(peer, cx))),
            Side::Second => {
                Either::Second(self.with_second(cx, |second, cx| second.open(peer, cx)))
            }
        }
    }

    #[inline(always)]
    fn step(&mut self, session: &mut Self::Session, event: Event, cx: &mut Context<'_>) -> Next {
        match session {
            Either::First(session) => {
                let entered = Entered::new(cx, Side::First);
                self.first.step(session, event, entered.cx)
            }
            Either::Second(session) => {
                let entered = Entered::new(cx, Side::Second);
                self.second.step(session, event, entered.cx)
            }
        }
    }

    fn closed(
        &mut self,
        session: Self::Session,
        peer: Peer,
        reason: EndReason,
        cx: &mut ServiceContext,
    ) {
        let peer = peer.within_side();
        match session {
            Either::First(session) => {
                self.with_first(cx, |first, cx| first.closed(session, peer, reason, cx));
            }
            Either::Second(session) => {
                self.with_second(cx, |second, cx| second.closed(session, peer, reason, cx));
            }
        }
    }

    fn refusal_message(&self, listener: ListenerId, reason: EndReason) -> &[u8] {
        match self.choose.refusing_side(listener) {
            Side::First => self.first.refusal_message(listener, reason),
            Side::Second => self.second.refusal_message(listener, reason),
        }
    }

    fn is_proxy(&self, peer: &Peer) -> bool {
        match self.choose.side(peer) {
            Side::First => self.first.is_proxy(peer),
            Side::Second => self.second.is_proxy(peer),
        }
    }

    fn readdressed(&mut self, session: &mut Self::Session, peer: Peer, cx: &mut ServiceContext) {
        match session {
            Either::First(session) => {
                self.with_first(cx, |first, cx| first.readdressed(session, peer, cx));
            }
            Either::Second(session) => {
                self.with_second(cx, |second, cx| second.readdressed(session, peer, cx));
            }
        }
    }

    fn connect_failed(&mut self, tag: Tag, error: &ConnectError, cx: &mut ServiceContext) {
        let (side, tag) = tag.split();
        match side {
            Side::First => self.with_first(cx, |first, cx| first.connect_failed(tag, error, cx)),
            Side::Second => {
                self.with_second(cx, |second, cx| second.connect_failed(tag, error, cx));
            }
        }
    }

    fn on_timer(&mut self, key: u64, cx: &mut ServiceContext) {
        match cx.due_side() {
            Side::First => self.with_first(cx, |first, cx| first.on_timer(key, cx)),
            Side::Second => self.with_second(cx, |second, cx| second.on_timer(key, cx)),
        }
    }

    fn describe(&self, session: &Self::Session, description: &mut Description) {
        match session {
            Either::First(session) => self.first.describe(session, description),
            Either::Second(session) => self.second.describe(session, description),
        }
    }

    fn inspected(&mut self, key: u64, report: &Inspection<'_>, cx: &mut ServiceContext) {
        match cx.due_side() {
            Side::First => self.with_first(cx, |first, cx| first.inspected(key, report, cx)),
            Side::Second => self.with_second(cx, |second, cx| second.inspected(key, report, cx)),
        }
    }

    /// Each service gets the number of all open connections.
    fn draining(&mut self, open: usize, grace: Duration, cx: &mut ServiceContext) {
        self.with_both(
            cx,
            |first, cx| first.draining(open, grace, cx),
            |second, cx| second.draining(open, grace, cx),
        );
    }
}
