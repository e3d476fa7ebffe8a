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
    hold: Hold,
    place: Option<Place>,
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
        let place = match self.address {
            Rate::UNLIMITED => None,
            _ => peer
                .address
                .ip()
                .map(|address| self.addresses.enter(address, cx.now())),
        };
        RateLimitState {
            bucket: Bucket::default(),
            hold: Hold::None,
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
        if let Hold::Paused { inner, due } = state.hold
            && let Some(next) = self.held(state, (inner, due), event, cx)
        {
            return next;
        }
        let input = cx.input();
        let next = inner.step(event, cx);
        let consumed = &input[..input.len() - cx.input().len()];
        match self.charge(state, self.measure.units(consumed), cx.now()) {
            Level::Debt => self.hold_back(state, next),
            Level::Allowed => {
                state.hold = Hold::None;
                next
            }
        }
    }

    fn closed(&mut self, state: RateLimitState, _: &Peer, _: EndReason, cx: &mut ServiceContext) {
        if let Some(place) = state.place {
            self.addresses.leave(place, cx.now());
        }
    }
}

impl<M: Measure> RateLimit<M> {
    #[inline(always)]
    fn charge(&mut self, state: &mut RateLimitState, units: u64, now: Time) -> Level {
        let level = state.bucket.charge(self.session, units, now);
        match &state.place {
            Some(place)
                if self.addresses[place].charge(self.address, units, now) == Level::Debt =>
            {
                Level::Debt
            }
            _ => level,
        }
    }

    /// Holds back a session in debt, if it would read.
    #[cold]
    fn hold_back(&mut self, state: &mut RateLimitState, next: Next) -> Next {
        state.hold = Hold::None;
        let Next::Read { until: inner } = next else {
            return next;
        };
        let paid_at = state.bucket.paid_at(self.session);
        let paid_at = match &state.place {
            Some(place) => paid_at.max(self.addresses[place].paid_at(self.address)),
            None => paid_at,
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
            return Some(self.hold_back(state, read));
        }
        match event {
            Event::Timeout => {
                state.hold = Hold::None;
                Some(read) // presents unread input again
            }
            _ => None,
        }
    }
}
