//! Steps a session by hand, without a loop and without a network.

use std::net::SocketAddr;

use crate::reactor::Limits;
use crate::service::{
    Announced, Context, Control, Event, ListenerId, Next, Part, Peer, Route, Scratch, Service,
    ServiceContext, SessionId, Time, TimerId,
};

/// One connection of a unit test: presents input and time to a session, and returns its output.
///
/// Each call does one step and nothing else. The test does the rest of the loop's work: it steps
/// the session at its deadline, and again with unread input. For the whole loop there is the crate
/// `oneloop-sim`.
///
/// ```
/// use oneloop::testing::Harness;
/// use oneloop::{Context, Event, Next, Peer, Service, ServiceContext, Time};
///
/// struct Shout;
///
/// impl Service for Shout {
///     type Session = ();
///     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
///     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
///         cx.write(&cx.input().to_ascii_uppercase());
///         cx.consume(cx.input().len());
///         Next::Read { until: Time::UNBOUNDED }
///     }
/// }
///
/// let (mut shout, mut harness) = (Shout, Harness::new());
/// let mut session = harness.open(&mut shout);
/// harness.receive(b"hello");
/// harness.step(&mut shout, &mut session, Event::Data);
/// assert_eq!(harness.take_output(), b"HELLO");
/// ```
#[derive(Debug)]
pub struct Harness {
    scratch: Scratch,
    peer: Peer,
    input: Vec<u8>,
    output: Vec<u8>,
    input_max: usize,
    had_room: bool,
}

impl Harness {
    /// Returns a connection with the output limits of [`Limits::default`](crate::Limits), at
    /// [`Time::START`], from 127.0.0.1:42101 to a listener without a name at 127.0.0.1:6000.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(&Limits::default())
    }

    /// Returns a connection whose session has room for `mark` bytes of output, and may write `max`
    /// bytes in one step.
    #[must_use]
    pub fn with_output(mark: usize, max: usize) -> Self {
        Self::with_limits(&Limits {
            output_bytes_mark: mark,
            output_bytes_max: max,
            ..Limits::default()
        })
    }

    /// Returns a connection whose session gets these limits.
    ///
    /// They are not checked, and bound the input only as far as the test does: see
    /// [`input_max`](Self::input_max).
    #[must_use]
    pub fn with_limits(limits: &Limits) -> Self {
        let id = SessionId {
            index: 3,
            generation: 1,
        };
        Self {
            scratch: Scratch::new(limits.for_sessions()),
            input_max: limits.input_bytes_max,
            peer: Peer {
                id,
                address: SocketAddr::from(([127, 0, 0, 1], 42_101)).into(),
                local: Some(SocketAddr::from(([127, 0, 0, 1], 6000))),
                listener: Some(ListenerId { index: 0, name: "" }),
                tag: None,
                route: Route::Direct,
            },
            input: Vec::new(),
            output: Vec::new(),
            had_room: true,
        }
    }

    /// Opens a session of `service`.
    pub fn open<S: Service>(&mut self, service: &mut S) -> S::Session {
        service.open(self.peer, &mut self.scratch.service)
    }

    /// Adds unread input. The session sees it at its next step.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Steps the session once, and returns its answer.
    pub fn step<S: Service>(
        &mut self,
        service: &mut S,
        session: &mut S::Session,
        event: Event,
    ) -> Next {
        self.scratch.current = self.peer.id;
        let event = match event {
            Event::Timer(key) => self.take_timer(key),
            event => event,
        };
        let mut cx = Context::new(&self.input, &mut self.scratch);
        let next = service.step(session, event, &mut cx);
        let (available, unread) = (self.input.len(), cx.input().len());
        self.input.drain(..self.input.len() - unread);
        self.had_room = self.scratch.output.room() > 0;
        self.output.extend(self.scratch.output.slices().flatten());
        self.update_input_max(unread < available);
        self.scratch.reset();
        next
    }

    /// Sets the seed of [`ServiceContext::random`]; it is 0 at first.
    pub fn set_seed(&mut self, seed: u64) {
        self.scratch.service.random = seed;
    }

    /// Applies the rule of [`Context::raise_input_max`].
    fn update_input_max(&mut self, has_consumed: bool) {
        let raised = self.scratch.take_input_max();
        if has_consumed {
            self.input_max = self.scratch.limits.input_bytes_max;
        }
        if let Some(raised) = raised
            && !self.input.is_empty()
        {
            self.input_max = raised;
        }
    }

    /// Sets the current time.
    pub fn set_now(&mut self, now: Time) {
        self.scratch.service.now = now;
    }

    /// Returns the context for calls of the service outside a step, such as
    /// [`Service::on_timer`].
    pub fn service_context(&mut self) -> &mut ServiceContext {
        &mut self.scratch.service
    }

    /// Returns when the session's timer with this key is due, if it is set. If several layers have
    /// set one, it is the innermost one's.
    ///
    /// The test steps the session at that time, with [`Event::Timer`].
    #[must_use]
    pub fn timer(&self, key: u32) -> Option<Time> {
        let key = self.scratch.service.timers.innermost(self.peer.id, key)?;
        let id = TimerId::Session(self.peer.id, key);
        self.scratch.service.timers.get(id)
    }

    /// Cancels the session's timer with this key, and returns its event.
    fn take_timer(&mut self, key: u32) -> Event {
        let ServiceContext { timers, .. } = &mut self.scratch.service;
        let Some(found) = timers.innermost(self.peer.id, key) else {
            return Event::Timer(key);
        };
        timers.cancel(TimerId::Session(self.peer.id, found));
        self.scratch.service.timer_event(found)
    }

    /// Returns when the service's timer with this key is due, if it is set. The timers of a service
    /// inside a [`Fork`](crate::layer::Fork) are not found.
    #[must_use]
    pub fn service_timer(&self, key: u64) -> Option<Time> {
        let id = TimerId::Service(Part::WHOLE, key);
        self.scratch.service.timers.get(id)
    }

    /// Takes the output written since the last call.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Returns the unread input.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.input
    }

    /// Returns the most unread input that the loop would hold now for this session.
    #[must_use]
    pub fn input_max(&self) -> usize {
        self.input_max
    }

    /// Returns true if the last step did not fill its output up to the mark.
    ///
    /// If so, the loop does not present unread input again until more has arrived.
    #[must_use]
    pub fn had_room(&self) -> bool {
        self.had_room
    }

    /// Returns the peer that the service gets in [`Service::open`].
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Sets the way of the connection, before it is opened: [`Route::Probe`] for a proxy's.
    pub fn set_route(&mut self, route: Route) {
        self.peer.route = route;
    }

    /// Carries out the [`Context::readdress`] of the last step, if it has made one, as the loop does
    /// if its limits allow that. Returns the announced client. The test steps the session with
    /// [`Event::Open`] then.
    pub fn readdress<S: Service>(
        &mut self,
        service: &mut S,
        session: &mut S::Session,
    ) -> Option<Announced> {
        let controls = &mut self.scratch.service.requests.controls;
        let announced = controls.drain(..).find_map(|(_, control)| match control {
            Control::Readdress(announced) => Some(announced),
            _ => None,
        })?;
        if let Announced::Client(client) = announced {
            self.peer.route = Route::Proxy(self.peer.address);
            self.peer.address = client;
        }
        service.readdressed(session, self.peer, &mut self.scratch.service);
        Some(announced)
    }
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ServiceContext, Shared};

    /// Answers with the input between two copied words, shared; waits for as many bytes as the
    /// first one is a multiple of 100.
    struct Frames;

    impl Service for Frames {
        /// The frames answered.
        type Session = usize;

        fn open(&mut self, _: Peer, _: &mut ServiceContext) -> usize {
            0
        }

        fn step(&mut self, answered: &mut usize, _: Event, cx: &mut Context<'_>) -> Next {
            let length = cx
                .input()
                .first()
                .map_or(0, |&first| 100 * usize::from(first));
            if cx.input().len() < length {
                assert!(cx.raise_input_max(length));
            } else {
                cx.write(b"head ");
                cx.write_shared(Shared::from(&cx.input()[..length]));
                cx.write(b" foot");
                cx.consume(length);
                *answered += 1;
            }
            Next::Read {
                until: Time::UNBOUNDED,
            }
        }
    }

    #[test]
    fn harness_keeps_the_rules_of_shared_output_and_raised_input() {
        let mut harness = Harness::with_limits(&Limits {
            input_bytes_max: 200,
            input_bytes_hard_max: Some(1000),
            ..Limits::default()
        });
        let mut session = harness.open(&mut Frames);
        assert_eq!(harness.input_max(), 200);
        harness.receive(&[3; 299]);
        harness.step(&mut Frames, &mut session, Event::Data);
        assert_eq!(harness.input_max(), 300);
        assert_eq!(harness.take_output(), b"");
        harness.receive(&[3; 2]);
        harness.step(&mut Frames, &mut session, Event::Data);
        assert_eq!(
            harness.take_output(),
            [b"head ", &[3; 300][..], b" foot"].concat()
        );
        assert_eq!((harness.unread(), harness.input_max()), (&[3][..], 200));
        assert!(harness.had_room() && session == 1);
    }
}
