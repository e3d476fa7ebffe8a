//! Two services in one loop.

use std::io;
use std::time::Duration;

use super::unwinding::in_spite_of;
use crate::service::{Context, EndReason, Event, Next, Peer, Service, ServiceContext};

/// Two services in one loop. Each connection is a session of one of them.
///
/// `C` chooses the service of an accepted connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fork<A, B, C> {
    first: A,
    second: B,
    choose: C,
}

/// One of the two services of a [`Fork`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first service.
    First,
    /// The second service.
    Second,
}

/// The session of a [`Fork`].
#[derive(Clone, Copy, Debug)]
pub enum Either<A, B> {
    /// A session of the first service.
    First(A),
    /// A session of the second service.
    Second(B),
}

/// Chooses the service of a [`Fork`] for an accepted connection.
///
/// A function `Fn(&Peer) -> Side` does.
pub trait Choose {
    /// Returns the side that serves `peer`.
    fn side(&self, peer: &Peer) -> Side;
}

impl<F: Fn(&Peer) -> Side> Choose for F {
    fn side(&self, peer: &Peer) -> Side {
        self(peer)
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

    /// Returns the first service, mutably.
    pub const fn first_mut(&mut self) -> &mut A {
        &mut self.first
    }

    /// Returns the second service.
    pub const fn second(&self) -> &B {
        &self.second
    }

    /// Returns the second service, mutably.
    pub const fn second_mut(&mut self) -> &mut B {
        &mut self.second
    }
}

impl<A: Service, B: Service, C: Choose> Service for Fork<A, B, C> {
    type Session = Either<A::Session, B::Session>;

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> Self::Session {
        match self.choose.side(&peer) {
            Side::First => Either::First(self.first.open(peer, cx)),
            Side::Second => Either::Second(self.second.open(peer, cx)),
        }
    }

    #[inline(always)]
    fn step(&mut self, session: &mut Self::Session, event: Event, cx: &mut Context<'_>) -> Next {
        match session {
            Either::First(session) => self.first.step(session, event, cx),
            Either::Second(session) => self.second.step(session, event, cx),
        }
    }

    fn closed(
        &mut self,
        session: Self::Session,
        peer: Peer,
        reason: EndReason,
        cx: &mut ServiceContext,
    ) {
        match session {
            Either::First(session) => self.first.closed(session, peer, reason, cx),
            Either::Second(session) => self.second.closed(session, peer, reason, cx),
        }
    }

    fn refusal_message(&self, reason: EndReason) -> &[u8] {
        self.first.refusal_message(reason)
    }

    fn connect_failed(&mut self, tag: u32, error: &io::Error, cx: &mut ServiceContext) {
        self.first.connect_failed(tag, error, cx);
    }

    fn on_timer(&mut self, cx: &mut ServiceContext) {
        self.first.on_timer(cx);
    }

    fn draining(&mut self, open: usize, grace: Duration, cx: &mut ServiceContext) {
        in_spite_of(
            cx,
            |cx| self.first.draining(open, grace, cx),
            |cx| self.second.draining(open, grace, cx),
        );
    }
}
