//! A layer that measures each session, for access logs and metrics.

use std::time::Duration;

use super::{Inner, Layer, Measure, Nothing};
use crate::service::inspect::Description;
use crate::service::{Context, EndReason, Event, Next, Peer, Service, ServiceContext, Time};

/// Measures each session, and reports its traffic when it has ended.
///
/// ```
/// use oneloop::layer::{Compose, Lines, Meter};
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
/// let meter = Meter::new(|peer, reason, traffic| {
///     println!(
///         "{} in={} out={} messages={} time={:?} end={reason}",
///         peer.address, traffic.bytes_in, traffic.bytes_out, traffic.messages, traffic.duration,
///     );
/// });
/// let service = Echo.with(meter.messages(Lines));
/// # let _: &dyn std::any::Any = &service;
/// ```
///
/// Connections that the loop refuses have no session and are not reported.
#[derive(Clone, Debug)]
pub struct Meter<R, M = Nothing> {
    report: R,
    messages: M,
}

/// The traffic of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Bytes presented to the session, whether it has consumed them or not.
    pub bytes_in: u64,
    /// Bytes that the session has written. The peer has received all of them unless the end was
    /// [abnormal](EndReason::is_abnormal) or a reset.
    pub bytes_out: u64,
    /// Consumed messages: see [`Meter::messages`].
    pub messages: u64,
    /// The time from the opening of the session to its end.
    pub duration: Duration,
}

/// The state of one connection in a [`Meter`].
#[derive(Clone, Debug)]
pub struct MeterState {
    opened: Time,
    bytes_in: u64,
    bytes_out: u64,
    messages: u64,
    /// Input that was unread after the last step.
    unread: usize,
}

impl<R: FnMut(&Peer, EndReason, &Traffic)> Meter<R> {
    /// Calls `report` after the end of each session.
    pub const fn new(report: R) -> Self {
        Self {
            report,
            messages: Nothing,
        }
    }
}

impl<R, M> Meter<R, M> {
    /// Counts messages with `measure`, for example [`Lines`](super::Lines). Default: none.
    pub fn messages<N: Measure>(self, measure: N) -> Meter<R, N> {
        Meter {
            report: self.report,
            messages: measure,
        }
    }
}

impl<R: FnMut(&Peer, EndReason, &Traffic), M: Measure> Layer for Meter<R, M> {
    type State = MeterState;

    fn open(&mut self, _: &Peer, cx: &mut ServiceContext) -> MeterState {
        MeterState {
            opened: cx.now(),
            bytes_in: 0,
            bytes_out: 0,
            messages: 0,
            unread: 0,
        }
    }

    #[inline(always)]
    fn step<S: Service>(
        &mut self,
        state: &mut MeterState,
        event: Event,
        cx: &mut Context<'_>,
        mut inner: Inner<'_, S>,
    ) -> Next {
        let (input, written) = (cx.input(), cx.written());
        let next = inner.step(event, cx);
        let unread = cx.input().len();
        state.bytes_in += (input.len() - state.unread) as u64;
        state.bytes_out += (cx.written() - written) as u64;
        state.messages += u64::from(self.messages.units(&input[..input.len() - unread]));
        state.unread = unread;
        next
    }

    fn describe(&self, state: &MeterState, description: &mut Description) {
        description.opened = Some(state.opened);
        description.bytes_in = Some(state.bytes_in);
        description.bytes_out = Some(state.bytes_out);
    }

    fn closed(
        &mut self,
        state: MeterState,
        peer: &Peer,
        reason: EndReason,
        cx: &mut ServiceContext,
    ) {
        let traffic = Traffic {
            bytes_in: state.bytes_in,
            bytes_out: state.bytes_out,
            messages: state.messages,
            duration: cx.now() - state.opened,
        };
        (self.report)(peer, reason, &traffic);
    }
}
