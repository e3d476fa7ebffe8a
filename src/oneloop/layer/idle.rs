//! A layer that closes idle connections.

use std::time::Duration;

use super::{Due, Inner, Layer};
use crate::service::{CloseReason, Context, Event, Next, Peer, Service, ServiceContext, Time};

/// Closes connections on which no byte has moved for some time, with
/// [`CloseReason::Timeout`](crate::CloseReason::Timeout).
///
/// Bytes count, not calls: input that has arrived, output that the session has written, and output
/// that was flushed. Wake-ups and time-outs do not. While output is pending the loop's write
/// deadline applies instead, so a peer that reads slowly is not idle. The time may be shortened on
/// a nearly full server, like every wait.
///
/// ```
/// # use oneloop::layer::{Compose, Idle};
/// # use oneloop::{Context, Event, Next, Peer, Service, ServiceContext, Time};
/// # use oneloop::testing::Harness;
/// # use std::time::Duration;
/// # struct Silent;
/// # impl Service for Silent {
/// #     type Session = ();
/// #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
/// #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
/// #         Next::Read { until: Time::UNBOUNDED }
/// #     }
/// # }
/// let mut service = Silent.with(Idle::after(Duration::from_secs(60)));
/// # let mut harness = Harness::new();
/// # let mut session = harness.open(&mut service);
/// let next = harness.step(&mut service, &mut session, Event::Open);
/// assert_eq!(next, Next::Read { until: Time::START + Duration::from_secs(60) });
/// ```
#[derive(Clone, Debug)]
pub struct Idle {
    /// In nanoseconds, so that a step only adds.
    limit: u64,
}

/// The state of one connection in an [`Idle`] layer.
#[derive(Clone, Debug)]
pub struct IdleState {
    until: Time,
    /// Input that was unread after the last step.
    unread: u32,
    due: Due,
}

impl Idle {
    /// Closes connections that are idle for `limit`.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self {
            limit: u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    #[inline]
    fn deadline(&self, cx: &ServiceContext) -> Time {
        Time::from_nanos(cx.now().as_nanos().saturating_add(self.limit))
    }
}

impl Layer for Idle {
    type State = IdleState;

    fn open(&mut self, _: &Peer, cx: &mut ServiceContext) -> IdleState {
        IdleState {
            until: self.deadline(cx),
            unread: 0,
            due: Due::Inner,
        }
    }

    #[inline(always)]
    fn step<S: Service>(
        &mut self,
        state: &mut IdleState,
        event: Event,
        cx: &mut Context<'_>,
        mut inner: Inner<'_, S>,
    ) -> Next {
        if event == Event::Timeout && state.due == Due::Layer {
            return Next::Close(CloseReason::Timeout);
        }
        let arrived = cx.input().len() > state.unread as usize;
        let written = cx.written();
        let next = inner.step(event, cx);
        if arrived || cx.written() > written || event == Event::Flushed {
            state.until = self.deadline(cx);
        }
        state.unread = cx.input().len() as u32;
        let (next, due) = Due::first(next, state.until);
        state.due = due;
        next
    }
}
