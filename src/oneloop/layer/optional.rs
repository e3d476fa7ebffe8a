//! A layer around some of a service's connections.

use super::{Inner, Layer};
use crate::service::inspect::Description;
use crate::service::{Context, EndReason, Event, Next, Peer, Service, ServiceContext};

/// A layer that only some connections have, for options of a program that is compiled once.
///
/// Without the layer, a connection costs eight bytes more, and a step one comparison. With it, its
/// state is allocated, and freed with the session.
///
/// ```
/// use oneloop::layer::{Compose, Idle, Optional};
/// # use oneloop::{Context, Event, Next, Peer, Service, ServiceContext, Time};
/// # use std::time::Duration;
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
/// #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
/// #         Next::Read { until: Time::UNBOUNDED }
/// #     }
/// # }
/// # let idle_limit = Some(Duration::from_secs(60));
///
/// // An option of the command line: a limit for the connections to one listener, or none.
/// let idle = Optional::new(idle_limit.map(Idle::after))
///     .only_if(|peer| peer.listener.is_some_and(|listener| listener.name() == "public"));
/// let service = Echo.with(idle);
/// # let _: &dyn std::any::Any = &service;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Optional<L, F = fn(&Peer) -> bool> {
    layer: Option<L>,
    only_if: F,
}

impl<L> Optional<L> {
    /// Puts every connection into `layer`, if there is one.
    pub const fn new(layer: Option<L>) -> Self {
        Self {
            layer,
            only_if: |_| true,
        }
    }
}

impl<L, F> Optional<L, F> {
    /// Puts only the connections into the layer for whose peer `chosen` returns true.
    #[must_use]
    pub fn only_if<G: Fn(&Peer) -> bool>(self, chosen: G) -> Optional<L, G> {
        Optional {
            layer: self.layer,
            only_if: chosen,
        }
    }

    /// Returns the layer, if there is one.
    pub const fn layer(&self) -> Option<&L> {
        self.layer.as_ref()
    }

    /// Returns the layer, mutably, if there is one.
    pub const fn layer_mut(&mut self) -> Option<&mut L> {
        self.layer.as_mut()
    }
}

impl<L: Layer, F: Fn(&Peer) -> bool> Layer for Optional<L, F> {
    type State = Option<Box<L::State>>;

    fn open(&mut self, peer: &Peer, cx: &mut ServiceContext) -> Self::State {
        match &mut self.layer {
            Some(layer) if (self.only_if)(peer) => Some(Box::new(layer.open(peer, cx))),
            _ => None,
        }
    }

    #[inline(always)]
    fn step<S: Service>(
        &mut self,
        state: &mut Self::State,
        event: Event,
        cx: &mut Context<'_>,
        mut inner: Inner<'_, S>,
    ) -> Next {
        match (state, &mut self.layer) {
            (Some(state), Some(layer)) => layer.step(state, event, cx, inner),
            _ => inner.step(event, cx),
        }
    }

    /// Returns the layer's message, if there is a layer, also for a connection that would not be put
    /// into it: it has no peer yet.
    fn refusal_message<'a>(&'a self, inner: &'a [u8]) -> &'a [u8] {
        match &self.layer {
            Some(layer) => layer.refusal_message(inner),
            None => inner,
        }
    }

    fn describe(&self, state: &Self::State, description: &mut Description) {
        if let (Some(state), Some(layer)) = (state, &self.layer) {
            layer.describe(state, description);
        }
    }

    fn closed(
        &mut self,
        state: Self::State,
        peer: &Peer,
        reason: EndReason,
        cx: &mut ServiceContext,
    ) {
        if let (Some(state), Some(layer)) = (state, &mut self.layer) {
            layer.closed(*state, peer, reason, cx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Compose;
    use crate::service::CloseReason;
    use crate::testing::Harness;

    /// Counts its connections, and closes each at its first step.
    #[derive(Default)]
    struct Shut {
        opened: usize,
        closed: usize,
    }

    impl Layer for Shut {
        type State = [u64; 9];

        fn open(&mut self, _: &Peer, _: &mut ServiceContext) -> [u64; 9] {
            self.opened += 1;
            [7; 9]
        }

        fn step<S: Service>(
            &mut self,
            _: &mut [u64; 9],
            _: Event,
            _: &mut Context<'_>,
            _: Inner<'_, S>,
        ) -> Next {
            Next::Close(CloseReason::Completed)
        }

        fn closed(&mut self, state: [u64; 9], _: &Peer, _: EndReason, _: &mut ServiceContext) {
            assert_eq!(state, [7; 9]);
            self.closed += 1;
        }
    }

    struct Silent;

    impl Service for Silent {
        type Session = ();
        fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
        fn step(&mut self, (): &mut (), _: Event, _: &mut Context<'_>) -> Next {
            Next::Flush
        }
    }

    /// Returns the answer of a connection's first step, and the connections that the layer has
    /// opened and closed.
    fn answer<F: Fn(&Peer) -> bool>(layer: Optional<Shut, F>) -> (Next, usize, usize) {
        let (mut service, mut harness) = (Silent.with(layer), Harness::new());
        let mut session = harness.open(&mut service);
        let next = harness.step(&mut service, &mut session, Event::Open);
        let (peer, cx) = (harness.peer(), harness.service_context());
        service.closed(session, peer, EndReason::Completed, cx);
        let layer = service.layer().layer();
        let (opened, closed) = layer.map_or((0, 0), |layer| (layer.opened, layer.closed));
        (next, opened, closed)
    }

    #[test]
    fn absent_layer_leaves_the_service_as_it_is() {
        assert_eq!(answer(Optional::new(None)), (Next::Flush, 0, 0));
    }

    #[test]
    fn present_layer_surrounds_the_chosen_connections_alone() {
        let close = Next::Close(CloseReason::Completed);
        let present = || Optional::new(Some(Shut::default()));
        assert_eq!(answer(present()), (close, 1, 1));
        assert_eq!(answer(present().only_if(|_| false)), (Next::Flush, 0, 0));
    }

    #[test]
    fn connection_without_the_layer_costs_a_pointer() {
        assert_eq!(size_of::<<Optional<Shut> as Layer>::State>(), 8);
    }
}
