//! The order in which handshakes take their steps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Settings, timer};
use crate::service::{ServiceContext, SessionId, Time};

/// The queue of all handshakes of a layer.
///
/// A connection joins with its ClientHello, and gets a number. Its turn comes as a timer in the next
/// turn of the loop: so no more connections have theirs in one turn than there are turns granted at
/// once. With its first turn a connection takes a place among those in flight.
#[derive(Debug)]
pub(super) struct Queue {
    turns_max: usize,
    places_max: usize,
    /// The age from which a handshake in flight gives its place to one that waits for it.
    old: Duration,
    last: Number,
    /// Connections that wait for a place.
    beginning: BTreeMap<Number, SessionId>,
    /// Connections in flight whose next message has arrived.
    continuing: BTreeMap<Number, SessionId>,
    /// Connections whose turn is granted, and not over.
    granted: BTreeSet<Number>,
    in_flight: BTreeMap<Number, InFlight>,
}

/// A connection's number in the queue: later ones are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u64);

#[derive(Debug)]
struct InFlight {
    id: SessionId,
    since: Time,
    pace: Pace,
}

#[derive(Debug, PartialEq, Eq)]
enum Pace {
    Free,
    /// It is to give its place to one that waits for it.
    Hurried,
}

impl Queue {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            turns_max: settings.handshakes_per_turn.max(1),
            places_max: settings.handshakes_max.max(1),
            old: settings.handshake_timeout / 10,
            last: Number::default(),
            beginning: BTreeMap::new(),
            continuing: BTreeMap::new(),
            granted: BTreeSet::new(),
            in_flight: BTreeMap::new(),
        }
    }

    /// Adds a connection that waits to begin its handshake.
    pub(super) fn join(&mut self, id: SessionId, cx: &mut ServiceContext) -> Number {
        self.last.0 += 1;
        self.beginning.insert(self.last, id);
        self.grant(cx);
        self.last
    }

    /// Queues a connection in flight for its next step.
    pub(super) fn rejoin(&mut self, id: SessionId, number: Number, cx: &mut ServiceContext) {
        self.continuing.insert(number, id);
        self.grant(cx);
    }

    /// Returns true if the connection waits for its turn, or has it.
    pub(super) fn is_queued(&self, number: Number) -> bool {
        self.beginning.contains_key(&number)
            || self.continuing.contains_key(&number)
            || self.granted.contains(&number)
    }

    /// Returns true if the connection has its turn.
    pub(super) fn has_turn(&self, number: Number) -> bool {
        self.granted.contains(&number)
    }

    /// Ends the turn of a connection.
    pub(super) fn end_turn(&mut self, number: Number, cx: &mut ServiceContext) {
        self.granted.remove(&number);
        self.grant(cx);
    }

    /// Returns true if a hurried connection must end now: others wait for its place, and it has kept
    /// them waiting.
    pub(super) fn gives_way(&mut self, number: Number) -> bool {
        let Some(flight) = self.in_flight.get_mut(&number) else {
            return false;
        };
        flight.pace = Pace::Free;
        self.lacks_places() && !self.is_queued(number)
    }

    /// Removes a connection whose handshake has ended, and frees its place. Does nothing for one
    /// without a number.
    pub(super) fn leave(&mut self, id: SessionId, number: Option<Number>, cx: &mut ServiceContext) {
        let Some(number) = number else {
            return;
        };
        self.beginning.remove(&number);
        self.continuing.remove(&number);
        self.granted.remove(&number);
        self.in_flight.remove(&number);
        cx.cancel_timer_of(id, timer::TURN);
        cx.cancel_timer_of(id, timer::HURRY);
        self.grant(cx);
    }

    /// Grants turns, as long as there are some.
    fn grant(&mut self, cx: &mut ServiceContext) {
        while self.granted.len() < self.turns_max
            && let Some((number, id)) = self.next(cx.now())
        {
            self.granted.insert(number);
            // The next turn of the loop first dispatches its events: a peer that has disconnected
            // is known then.
            cx.set_timer_of(id, timer::TURN, cx.now());
        }
        self.hurry(cx);
    }

    /// Takes the connection whose turn is next, and its place.
    fn next(&mut self, now: Time) -> Option<(Number, SessionId)> {
        if let Some(next) = self.continuing.pop_first() {
            return Some(next);
        }
        if self.in_flight.len() >= self.places_max {
            return None;
        }
        // In a long queue the oldest ones are the likeliest to have been given up by their peers.
        let (number, id) = match self.beginning.len() > FIRST_COME_MAX {
            true => self.beginning.pop_last(),
            false => self.beginning.pop_first(),
        }?;
        let flight = InFlight {
            id,
            since: now,
            pace: Pace::Free,
        };
        self.in_flight.insert(number, flight);
        Some((number, id))
    }

    /// Returns true if connections wait for a place, and there is none.
    fn lacks_places(&self) -> bool {
        !self.beginning.is_empty() && self.in_flight.len() >= self.places_max
    }

    /// Hurries as many of the oldest connections in flight as others wait for their places.
    fn hurry(&mut self, cx: &mut ServiceContext) {
        if !self.lacks_places() {
            return;
        }
        let hurried = |flight: &&InFlight| flight.pace == Pace::Hurried;
        let hurried = self.in_flight.values().filter(hurried).count();
        let more = self.beginning.len().saturating_sub(hurried);
        let free = |flight: &&mut InFlight| flight.pace == Pace::Free;
        for flight in self.in_flight.values_mut().filter(free).take(more) {
            flight.pace = Pace::Hurried;
            let at = (flight.since + self.old).max(cx.now());
            cx.set_timer_of(flight.id, timer::HURRY, at);
        }
    }
}

/// Up to so many connections that wait to begin are served in their order, and more the newest
/// first.
const FIRST_COME_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Harness;

    /// A queue with two turns and four places.
    struct Rig {
        queue: Queue,
        harness: Harness,
        numbers: Vec<(SessionId, Number)>,
    }

    impl Rig {
        fn new() -> Self {
            let settings = Settings {
                handshakes_max: 4,
                ..Settings::default()
            };
            Self {
                queue: Queue::new(&settings),
                harness: Harness::new(),
                numbers: Vec::new(),
            }
        }

        /// Adds so many connections.
        fn join(&mut self, connections: usize) {
            for _ in 0..connections {
                let id = SessionId {
                    index: self.numbers.len() as u32,
                    generation: 1,
                };
                let number = self.queue.join(id, self.harness.service_context());
                self.numbers.push((id, number));
            }
        }

        /// Returns when a timer of a connection is due.
        fn timer(&mut self, connection: usize, key: u32) -> Option<Time> {
            let cx = self.harness.service_context();
            cx.timers.get(cx.timer_of(self.numbers[connection].0, key))
        }

        /// Returns the connections that have their turn, and fires their timers.
        fn turns(&mut self) -> Vec<usize> {
            let all = 0..self.numbers.len();
            let turns: Vec<_> = all
                .filter(|&connection| self.timer(connection, timer::TURN).is_some())
                .collect();
            for &connection in &turns {
                let (id, number) = self.numbers[connection];
                assert!(self.queue.has_turn(number));
                let cx = self.harness.service_context();
                cx.cancel_timer_of(id, timer::TURN);
            }
            turns
        }

        fn end_turn(&mut self, connection: usize) {
            let number = self.numbers[connection].1;
            self.queue.end_turn(number, self.harness.service_context());
        }

        fn leave(&mut self, connection: usize) {
            let (id, number) = self.numbers[connection];
            let cx = self.harness.service_context();
            self.queue.leave(id, Some(number), cx);
        }
    }

    #[test]
    fn turns_are_two_at_a_time_and_in_order() {
        let mut rig = Rig::new();
        rig.join(4);
        assert_eq!(rig.turns(), [0, 1]);
        assert_eq!(rig.turns(), [0; 0]);
        rig.end_turn(1);
        assert_eq!(rig.turns(), [2]);
        rig.end_turn(0);
        rig.end_turn(2);
        assert_eq!(rig.turns(), [3]);
    }

    #[test]
    fn connections_beyond_the_places_wait_for_one() {
        let mut rig = Rig::new();
        rig.join(6);
        for connections in [[0, 1], [2, 3]] {
            assert_eq!(rig.turns(), connections);
            connections
                .into_iter()
                .for_each(|connection| rig.end_turn(connection));
        }
        assert_eq!(rig.turns(), [0; 0]);
        rig.leave(2);
        assert_eq!(rig.turns(), [4]);
        rig.end_turn(4);
        assert_eq!(rig.turns(), [0; 0]);
    }

    #[test]
    fn handshake_that_goes_on_comes_before_new_ones() {
        let mut rig = Rig::new();
        rig.join(4);
        rig.turns();
        rig.end_turn(0);
        let (id, number) = rig.numbers[0];
        assert_eq!(rig.turns(), [2]);
        let cx = rig.harness.service_context();
        rig.queue.rejoin(id, number, cx);
        assert!(rig.queue.is_queued(number) && !rig.queue.has_turn(number));
        rig.end_turn(1);
        assert_eq!(rig.turns(), [0]);
    }

    #[test]
    fn newest_comes_first_in_a_long_queue() {
        let mut rig = Rig::new();
        // Two have their turn; 34 wait.
        rig.join(36);
        assert_eq!(rig.turns(), [0, 1]);
        rig.leave(0);
        assert_eq!(rig.turns(), [35]);
        rig.leave(35);
        assert_eq!(rig.turns(), [34]);
        rig.leave(34);
        assert_eq!(rig.turns(), [2]);
    }

    #[test]
    fn connection_that_leaves_the_queue_gets_no_turn() {
        let mut rig = Rig::new();
        rig.join(4);
        rig.leave(2);
        rig.leave(1);
        assert_eq!(rig.turns(), [0, 3]);
        (0..4).for_each(|connection| rig.leave(connection));
        assert!(rig.harness.service_context().timers.is_empty());
        let queue = rig.queue;
        assert!(queue.granted.is_empty() && queue.in_flight.is_empty());
    }

    #[test]
    fn oldest_in_flight_is_hurried_for_each_that_waits() {
        let mut rig = Rig::new();
        rig.join(4);
        for connections in [[0, 1], [2, 3]] {
            assert_eq!(rig.turns(), connections);
            connections
                .into_iter()
                .for_each(|connection| rig.end_turn(connection));
        }
        assert_eq!(rig.timer(0, timer::HURRY), None);
        rig.harness
            .set_now(Time::START + Duration::from_millis(300));
        rig.join(1);
        let second = Time::START + Duration::from_secs(1);
        assert_eq!(rig.timer(0, timer::HURRY), Some(second));
        assert_eq!(rig.timer(1, timer::HURRY), None);
        rig.join(1);
        assert_eq!(rig.timer(1, timer::HURRY), Some(second));
        // One has its next message queued, the other one has not.
        let (id, number) = rig.numbers[0];
        let cx = rig.harness.service_context();
        rig.queue.rejoin(id, number, cx);
        assert!(!rig.queue.gives_way(number));
        let number = rig.numbers[1].1;
        assert!(rig.queue.gives_way(number));
        rig.leave(1);
        rig.leave(2);
        // No connection waits any more.
        assert!(!rig.queue.gives_way(rig.numbers[3].1));
    }
}
