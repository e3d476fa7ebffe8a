//! Steps a session by hand, without a loop and without a network.

use std::net::SocketAddr;

use crate::service::{Context, Event, ListenerId, Next, Peer, Scratch, Service, SessionId, Time};

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
    had_room: bool,
}

impl Harness {
    /// Returns a connection with the output limits of [`Limits::default`](crate::Limits), at
    /// [`Time::START`], from 127.0.0.1:42101 to a listener without a name at 127.0.0.1:6000.
    #[must_use]
    pub fn new() -> Self {
        let limits = crate::Limits::default();
        Self::with_output(limits.output_bytes_mark, limits.output_bytes_max)
    }

    /// Returns a connection whose session has room for `mark` bytes of output, and may write `max`
    /// bytes in one step.
    #[must_use]
    pub fn with_output(mark: usize, max: usize) -> Self {
        let id = SessionId {
            index: 3,
            generation: 1,
        };
        Self {
            scratch: Scratch::new(mark, max),
            peer: Peer {
                id,
                address: SocketAddr::from(([127, 0, 0, 1], 42_101)).into(),
                local: Some(SocketAddr::from(([127, 0, 0, 1], 6000))),
                listener: Some(ListenerId { index: 0, name: "" }),
                tag: None,
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
        let mut cx = Context::new(&self.input, &mut self.scratch);
        let next = service.step(session, event, &mut cx);
        let unread = cx.input().len();
        self.input.drain(..self.input.len() - unread);
        self.had_room = self.scratch.output.room() > 0;
        self.output.extend(self.scratch.output.slices().flatten());
        self.scratch.output.reset();
        next
    }

    /// Sets the current time.
    pub fn set_now(&mut self, now: Time) {
        self.scratch.service.now = now;
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
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}
