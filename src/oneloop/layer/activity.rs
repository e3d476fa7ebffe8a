//! A layer that notes what an operator wants to know of a session.

use super::{Inner, Layer};
use crate::service::inspect::Description;
use crate::service::{Context, Event, Next, Peer, Service, ServiceContext, Time};

/// Notes the age, the last activity and the bytes of each session, for
/// [`Service::describe`](crate::Service::describe), and so for the admin service's list of sessions.
///
/// Bytes are those of the layer's own place: outside of a transformation those on the wire. A
/// session is active when input has arrived, when it has written and when output was flushed.
///
/// ```
/// use oneloop::layer::{Activity, Compose};
/// # use oneloop::{Context, Event, Next, Peer, Service, ServiceContext, Time};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
/// #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
/// #         Next::Read { until: Time::UNBOUNDED }
/// #     }
/// # }
/// let service = Echo.with(Activity);
/// # let _: &dyn std::any::Any = &service;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Activity;

/// The state of one connection in an [`Activity`] layer.
#[derive(Clone, Copy, Debug)]
pub struct ActivityState {
    opened: Time,
    active: Time,
    bytes_in: u64,
    bytes_out: u64,
    /// Input that was unread after the last step.
    unread: usize,
}

impl Layer for Activity {
    type State = ActivityState;

    fn open(&mut self, _: &Peer, cx: &mut ServiceContext) -> ActivityState {
        ActivityState {
            opened: cx.now(),
            active: cx.now(),
            bytes_in: 0,
            bytes_out: 0,
            unread: 0,
        }
    }

    #[inline(always)]
    fn step<S: Service>(
        &mut self,
        state: &mut ActivityState,
        event: Event,
        cx: &mut Context<'_>,
        mut inner: Inner<'_, S>,
    ) -> Next {
        let (arrived, written) = (cx.input().len() - state.unread, cx.written());
        let next = inner.step(event, cx);
        let written = cx.written() - written;
        if arrived > 0 || written > 0 || event == Event::Flushed {
            state.active = cx.now();
        }
        state.bytes_in += arrived as u64;
        state.bytes_out += written as u64;
        state.unread = cx.input().len();
        next
    }

    fn describe(&self, state: &ActivityState, description: &mut Description) {
        description.opened = Some(state.opened);
        description.active = Some(state.active);
        description.bytes_in = Some(state.bytes_in);
        description.bytes_out = Some(state.bytes_out);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::layer::Compose;
    use crate::testing::Harness;

    /// Answers each message of two bytes with three.
    struct Pairs;

    impl Service for Pairs {
        type Session = ();
        fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
        fn step(&mut self, (): &mut (), _: Event, cx: &mut Context<'_>) -> Next {
            while cx.input().len() >= 2 {
                cx.consume(2);
                cx.write(b"abc");
            }
            Next::Read {
                until: Time::UNBOUNDED,
            }
        }
    }

    #[test]
    fn session_is_described_by_its_bytes_and_its_times() {
        let (mut service, mut harness) = (Pairs.with(Activity), Harness::new());
        let at = |seconds| Time::START + Duration::from_secs(seconds);
        harness.set_now(at(1));
        let mut session = harness.open(&mut service);
        harness.step(&mut service, &mut session, Event::Open);
        harness.receive(b"12345");
        harness.set_now(at(5));
        harness.step(&mut service, &mut session, Event::Data);
        // Neither a byte nor an answer: it stays idle.
        harness.set_now(at(7));
        harness.step(&mut service, &mut session, Event::Wake);
        let mut description = Description::default();
        service.describe(&session, &mut description);
        assert_eq!(description.opened, Some(at(1)));
        assert_eq!(description.active, Some(at(5)));
        assert_eq!(description.bytes_in, Some(5));
        assert_eq!(description.bytes_out, Some(6));
    }
}
