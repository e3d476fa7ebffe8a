//! Requests to the loop, and the time.

use std::time::Duration;

use super::depth::Depth;
use super::inspect::Inspect;
use super::part::Part;
use super::requests::{Control, Requests};
use super::timers::{TimerId, TimerKey, Timers};
use super::{Connect, SessionId, Time};

/// The view of a callback outside a step, such as [`Service::on_timer`](super::Service::on_timer):
/// the time, and requests to the loop.
///
/// It has no input, no output and no session id, so using these outside a step does not compile.
#[derive(Debug)]
pub struct ServiceContext {
    pub(crate) now: Time,
    pub(crate) requests: Requests,
    /// The part of the service that is called.
    pub(super) part: Part,
    /// The part whose timer is due, within the part that is called.
    pub(crate) due: Part,
    /// The depth of the layer, or of the session, that is called.
    pub(super) layer: Depth,
    /// The depth at which the timer was set that is due.
    pub(super) due_layer: Depth,
    pub(crate) timers: Timers,
    /// The state of the generator of random numbers.
    pub(crate) random: u64,
}

impl ServiceContext {
    /// Returns the context of a loop that has not started.
    pub(super) fn new() -> Self {
        Self {
            now: Time::START,
            requests: Requests::default(),
            part: Part::WHOLE,
            due: Part::WHOLE,
            layer: Depth::OUTERMOST,
            due_layer: Depth::OUTERMOST,
            timers: Timers::default(),
            random: 0,
        }
    }

    /// Steps `session` with [`Event::Wake`](super::Event::Wake) soon: in the last phase of this
    /// turn, or of one of the next turns if very many are woken.
    ///
    /// This is how a session reaches another one; the message itself goes into a field of the
    /// service. Sessions are woken in the order of the calls. Several calls for one session become
    /// one event. A session that has ended by then is skipped.
    pub fn wake(&mut self, session: SessionId) {
        self.requests.wake(session);
    }

    /// Steps every session with [`Event::Wake`](super::Event::Wake) soon, in no particular order.
    pub fn wake_all(&mut self) {
        self.requests.wake_all = true;
    }

    /// Ends `session` at once, with a reset, also one with pending output. The reason is
    /// [`EndReason::Aborted`](super::EndReason::Aborted).
    ///
    /// Does nothing if the session has ended by then, or has closed and has no pending output. For
    /// an orderly end, wake the session and let it return
    /// [`Next::Close`](super::Next::Close).
    pub fn abort(&mut self, session: SessionId) {
        self.requests.controls.push((session, Control::Abort));
    }

    /// Opens an outbound connection.
    ///
    /// It becomes a session of this service ([`Peer::tag`](super::Peer::tag) is its tag), or
    /// [`connect_failed`](super::Service::connect_failed) is called.
    pub fn connect(&mut self, mut connect: Connect) {
        connect.tag.part = self.part;
        self.requests.connect.push(connect);
    }

    /// Sets a timer of the service: [`Service::on_timer`](super::Service::on_timer) is called with
    /// `key` at `at`. A timer with the same key that is still set moves.
    ///
    /// The service may have any number of timers. A timer is not early, and is late only as far as
    /// the loop is; it comes in the next turn if `at` has passed. [`Time::UNBOUNDED`] cancels it.
    pub fn set_service_timer(&mut self, key: u64, at: Time) {
        self.timers
            .set(TimerId::Service(self.part, key), at, self.now);
    }

    /// Cancels a timer of the service. Does nothing if none with this key is set.
    pub fn cancel_service_timer(&mut self, key: u64) {
        self.timers.cancel(TimerId::Service(self.part, key));
    }

    /// Requests a report of the loop's state: its counters, its listeners, its sessions.
    ///
    /// [`Service::inspected`](super::Service::inspected) is called with it in the last phase of the
    /// turn, or of a later one: a turn visits at most 1,024 slots, so that a list of very many
    /// sessions delays no other connection.
    ///
    /// ```
    /// use oneloop::inspect::{Cursor, Inspect, Inspection};
    /// use oneloop::{Context, Event, Next, Peer, Service, ServiceContext, Time};
    ///
    /// /// Prints its sessions when one of them sends a byte.
    /// struct Curious;
    ///
    /// impl Service for Curious {
    ///     type Session = ();
    ///     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
    ///     fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
    ///         cx.consume(cx.input().len());
    ///         if event == Event::Data {
    ///             cx.inspect(Inspect::new(0).sessions(Cursor::default(), 100));
    ///         }
    ///         Next::Read { until: Time::UNBOUNDED }
    ///     }
    ///     fn inspected(&mut self, key: u64, report: &Inspection<'_>, cx: &mut ServiceContext) {
    ///         for session in report.sessions {
    ///             println!("{} {}", session.peer.id, session.phase.name());
    ///         }
    ///         if let Some(next) = report.next {
    ///             cx.inspect(Inspect::new(key).sessions(next, 100));
    ///         }
    ///     }
    /// }
    /// ```
    pub fn inspect(&mut self, mut inspect: Inspect) {
        inspect.part = self.part;
        self.requests.inspect.push(inspect);
    }

    /// Sets a timer of any session, as [`Context::set_timer`] does. It does nothing for one that has
    /// ended.
    #[cfg(feature = "tls")]
    pub(crate) fn set_timer_of(&mut self, session: SessionId, key: u32, at: Time) {
        let id = self.timer_of(session, key);
        self.timers.set(id, at, self.now);
    }

    /// Cancels a timer of any session.
    #[cfg(feature = "tls")]
    pub(crate) fn cancel_timer_of(&mut self, session: SessionId, key: u32) {
        let id = self.timer_of(session, key);
        self.timers.cancel(id);
    }

    pub(crate) fn timer_of(&self, session: SessionId, key: u32) -> TimerId {
        let layer = self.layer;
        TimerId::Session(session, TimerKey { layer, key })
    }

    /// Stops the whole server, as a signal does. See [`Event::Drain`](super::Event::Drain).
    pub fn drain(&mut self) {
        self.requests.drain = true;
    }

    /// Returns 64 random bits, for delays that differ, ids and samples.
    ///
    /// A service that draws all its random numbers here is determined by one seed under
    /// simulation; outside, the operating system gives the seed when the loop is created. The
    /// numbers are of good quality but predictable from a few of them: they are no secrets.
    pub fn random(&mut self) -> u64 {
        // Sebastiano Vigna's splitmix64: one word of state, all seeds of equal quality.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// Returns the current time: the only clock of a service, because under simulation it is
    /// virtual.
    ///
    /// Its unit is the nanosecond, and it is never rounded. It is read once for each batch of
    /// events, at most 64 of them, not for each call: steps of one batch have the same time. Waits
    /// end with the precision of the poller, a millisecond on all systems: never before their
    /// time.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Returns the point in time `delay` from now.
    #[inline]
    #[must_use]
    pub fn after(&self, delay: Duration) -> Time {
        self.now + delay
    }
}

impl AsMut<Self> for ServiceContext {
    #[inline]
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_those_of_the_seed() {
        let mut cx = ServiceContext::new();
        // The published first values of splitmix64 for the seed 1234567.
        cx.random = 1_234_567;
        let first = [(); 3].map(|()| cx.random());
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }
}
