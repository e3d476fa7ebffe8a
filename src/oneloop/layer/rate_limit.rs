//! A layer that limits how fast sessions consume input.

mod addresses;
mod rate;
#[cfg(test)]
mod tests;

use super::{Bytes, Due, Inner, Layer, Measure};
use crate::service::{Context, EndReason, Event, Next, Peer, Service, ServiceContext, Time};
use addresses::{Addresses, Place};
pub use rate::Rate;
use rate::{Bucket, Level};

/// Limits how fast sessions consume input: each session, all sessions of one address, or both.
///
/// No input is refused. A session that has consumed more than its rate and its burst allow is not
/// read until that is paid off, so the peer is slowed down by the flow control of TCP. One step may
/// consume all input that has arrived, at most `Limits::input_bytes_max`, and so more than the burst;
/// the pause after it is as much longer.
///
/// A session takes up to a sixteenth of a burst in advance, which other sessions of its address then
/// lack, and returns at its end what it has not used.
///
/// The unit is set by a [`Measure`]: [`Bytes`], [`Lines`](super::Lines), or a function that counts
/// messages. Sessions of one IPv6 network of 64 bits count as one address. Outbound connections are
/// limited like accepted ones; put the layer around the service that needs it.
///
/// ```
/// use oneloop::layer::{Compose, Lines, Rate, RateLimit};
/// # use oneloop::{Context, Event, Next, Peer, Service, ServiceContext, Time};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
/// #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
/// #         Next::Read { until: Time::UNBOUNDED }
/// #     }
/// # }
///
/// let limit = RateLimit::of(Lines)
///     .per_session(Rate::per_second(100, 1_000))
///     .per_address(Rate::per_second(1_000, 5_000));
/// let service = Echo.with(limit);
/// # let _: &dyn std::any::Any = &service;
/// ```
///
/// While a session is held back it is stepped with wake-ups, its own deadline and
/// [`Event::Drain`] as ever, and consumes unread input then. [`Event::Eof`] waits if there is unread
/// input.
#[derive(Debug)]
pub struct RateLimit<M = Bytes> {
    measure: M,
    session: Rate,
    address: Rate,
    addresses: Addresses,
}

/// The state of one connection in a [`RateLimit`].
#[derive(Debug)]
pub struct RateLimitState {
    bucket: Bucket,
    /// Units that are charged already, so that few steps need the buckets: a sixteenth of a burst at
    /// most. -1 at first, and while the session has a debt.
    lease: i64,
    hold: Hold,
    end: End,
    place: Place,
}

/// Whether a session is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    None,
    /// It would read until `inner`; `due` is the earlier of that and the end of the pause.
    Paused {
        inner: Time,
        due: Due,
    },
}

/// The end of the stream of a session that is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    None,
    /// It has come, and the session is still to get it.
    Owed,
}

impl RateLimit {
    /// Limits bytes.
    #[must_use]
    pub fn bytes() -> Self {
        Self::of(Bytes)
    }
}

impl<M: Measure> RateLimit<M> {
    /// Limits the units that `measure` counts. By default all rates are unlimited.
    pub fn of(measure: M) -> Self {
        Self {
            measure,
            session: Rate::UNLIMITED,
            address: Rate::UNLIMITED,
            addresses: Addresses::default(),
        }
    }

    /// Limits each session.
    #[must_use]
    pub const fn per_session(mut self, rate: Rate) -> Self {
        self.session = rate;
        self
    }

    /// Limits all sessions of one address together.
    #[must_use]
    pub const fn per_address(mut self, rate: Rate) -> Self {
        self.address = rate;
        self
    }

    /// Returns the number of addresses in the table: those with a session, and those that have not
    /// paid off.
    pub fn addresses(&self) -> usize {
        self.addresses.len()
    }
}

impl<M: Measure> Layer for RateLimit<M> {
    type State = RateLimitState;

    fn open(&mut self, peer: &Peer, cx: &mut ServiceContext) -> RateLimitState {
        let place = match (self.address, peer.address.ip()) {
            (Rate::UNLIMITED, _) | (_, None) => Place::NONE,
            (_, Some(address)) => self.addresses.enter(address, cx.now()),
        };
        RateLimitState {
            bucket: Bucket::default(),
            lease: -1,
            hold: Hold::None,
            end: End::None,
            place,
        }
    }

    #[inline(always)]
    fn step<S: Service>(
        &mut self,
        state: &mut RateLimitState,
        event: Event,
        cx: &mut Context<'_>,
        mut inner: Inner<'_, S>,
    ) -> Next {
        if let Hold::Paused { inner: until, due } = state.hold {
            return self.step_held(state, (until, due), event, cx, inner);
        }
        self.step_inner(state, event, cx, &mut inner)
    }

    fn closed(&mut self, state: RateLimitState, _: &Peer, _: EndReason, cx: &mut ServiceContext) {
        if let Some(bucket) = self.addresses.bucket(&state.place) {
            bucket.refund(self.address, u32::try_from(state.lease).unwrap_or(0));
        }
        self.addresses.leave(state.place, cx.now());
    }
}

impl<M: Measure> RateLimit<M> {
    /// Steps the inner session, and charges the input that it consumes.
    #[inline(always)]
    fn step_inner<S: Service>(
        &mut self,
        state: &mut RateLimitState,
        event: Event,
        cx: &mut Context<'_>,
        inner: &mut Inner<'_, S>,
    ) -> Next {
        let input = cx.input();
        let next = inner.step(event, cx);
        let consumed = &input[..input.len() - cx.input().len()];
        let units = self.measure.units(consumed);
        let left = state.lease - i64::from(units);
        if left < 0 {
            return self.spend(state, units, next, cx.now());
        }
        state.lease = left;
        next
    }

    /// Steps the inner session although it is held back, if it gets the event.
    #[cold]
    fn step_held<S: Service>(
        &mut self,
        state: &mut RateLimitState,
        wait: (Time, Due),
        event: Event,
        cx: &mut Context<'_>,
        mut inner: Inner<'_, S>,
    ) -> Next {
        if let Some(next) = self.held(state, wait, event, cx) {
            return next;
        }
        state.hold = Hold::None;
        if event == Event::Eof {
            state.end = End::None;
        }
        let next = self.step_inner(state, event, cx, &mut inner);
        if state.end == End::None || matches!(next, Next::Close(_) | Next::Abort) {
            return next;
        }
        let is_held = state.hold != Hold::None;
        if cx.input().is_empty() || !is_held && !matches!(next, Next::Read { .. }) {
            // The event has taken the input before the end, or the session does not read.
            state.end = End::None;
            return self.step_inner(state, Event::Eof, cx, &mut inner);
        }
        if !is_held {
            state.end = End::None; // unread input is presented again, with its end
        }
        next
    }

    /// Charges units beyond the lease, and takes another lease if that is allowed.
    #[cold]
    fn spend(&mut self, state: &mut RateLimitState, units: u32, next: Next, now: Time) -> Next {
        let leased = u32::try_from(state.lease).unwrap_or(0);
        state.lease = 0;
        if self.charge(state, units - leased, now) == Level::Debt {
            return self.hold_back(state, next, now);
        }
        let lease = self.session.lease.min(self.address.lease);
        match self.charge(state, lease, now) {
            Level::Allowed => state.lease = lease.into(),
            Level::Debt => self.refund(state, lease),
        }
        next
    }

    fn refund(&mut self, state: &mut RateLimitState, units: u32) {
        state.bucket.refund(self.session, units);
        if let Some(bucket) = self.addresses.bucket(&state.place) {
            bucket.refund(self.address, units);
        }
    }

    fn charge(&mut self, state: &mut RateLimitState, units: u32, now: Time) -> Level {
        let level = state.bucket.charge(self.session, units, now);
        if let Some(bucket) = self.addresses.bucket(&state.place)
            && bucket.charge(self.address, units, now) == Level::Debt
        {
            return Level::Debt;
        }
        level
    }

    /// Holds back a session in debt, if it would read.
    #[cold]
    fn hold_back(&mut self, state: &mut RateLimitState, next: Next, now: Time) -> Next {
        state.lease = -1;
        state.bucket.bound(now);
        let mut paid_at = state.bucket.paid_at(self.session);
        if let Some(bucket) = self.addresses.bucket(&state.place) {
            bucket.bound(now);
            paid_at = paid_at.max(bucket.paid_at(self.address));
        }
        let Next::Read { until: inner } = next else {
            return next;
        };
        let (next, due) = Due::first(Next::Pause { until: inner }, paid_at);
        state.hold = Hold::Paused { inner, due };
        next
    }

    /// Handles an event of a session that is held back. Returns `None` if the inner session gets it.
    #[cold]
    fn held(
        &mut self,
        state: &mut RateLimitState,
        (inner, due): (Time, Due),
        event: Event,
        cx: &mut Context<'_>,
    ) -> Option<Next> {
        match event {
            Event::Timeout if due == Due::Layer => {}
            Event::Eof if !cx.input().is_empty() => {}
            _ => return None,
        }
        // Other sessions of the address may have consumed more since.
        let read = Next::Read { until: inner };
        if self.charge(state, 0, cx.now()) == Level::Debt {
            if event == Event::Eof {
                state.end = End::Owed;
            }
            return Some(self.hold_back(state, read, cx.now()));
        }
        match event {
            Event::Timeout => {
                (state.hold, state.end) = (Hold::None, End::None);
                Some(read) // presents unread input again, and its end
            }
            _ => None,
        }
    }
}
