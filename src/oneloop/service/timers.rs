//! Timers with keys, of sessions and of the service.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::depth::Depth;
use super::part::Part;
use super::{SessionId, Time};

/// All timers. A connection has no part of it, so a session without timers pays nothing.
///
/// A timer that only moves away, as it does with each message that a session waits for, keeps its
/// place in the queue. There it expires, is found to be early, and is queued again.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    timers: BTreeMap<TimerId, Timer>,
    /// The timers that have not expired, in the order of their places.
    queue: BTreeMap<Place, TimerId>,
    /// The timers that have expired, but whose session cannot be stepped yet.
    due: BTreeSet<Due>,
    /// The number of places given so far.
    places: u64,
    /// The number of places given before this turn began.
    places_before: u64,
}

/// Identifies a timer by its owner and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerId {
    Session(SessionId, TimerKey),
    Service(Part, u64),
}

/// Identifies a timer among those of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    pub(crate) layer: Depth,
    pub(crate) key: u32,
}

/// A timer's place in the queue. Timers of one moment expire in the order in which they were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// No later than the timer's own time.
    time: Time,
    number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    at: Time,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Queued(Place),
    Due(Place),
}

/// An expired timer of a session. The order is by session, then by place.
type Due = (SessionId, Place, TimerKey);

impl Timers {
    /// Sets a timer, or moves it.
    pub(crate) fn set(&mut self, id: TimerId, at: Time, now: Time) {
        if at == Time::NEVER {
            return self.cancel(id);
        }
        if let Some(timer) = self.timers.get_mut(&id)
            && let State::Queued(place) = timer.state
            && at > now
            && place.time <= at
        {
            timer.at = at;
            return;
        }
        self.cancel(id);
        // A time that has passed is due at once, but before no timer that was set earlier.
        self.enqueue(id, at.max(now));
    }

    /// Removes a timer, if it is set.
    pub(crate) fn cancel(&mut self, id: TimerId) {
        let Some(timer) = self.timers.remove(&id) else {
            return;
        };
        match (timer.state, id) {
            (State::Queued(place), _) => {
                self.queue.remove(&place);
            }
            (State::Due(place), TimerId::Session(session, key)) => {
                self.due.remove(&(session, place, key));
            }
            (State::Due(_), TimerId::Service(..)) => {}
        }
    }

    /// Removes all timers of a session.
    pub(crate) fn cancel_all_of(&mut self, session: SessionId) {
        while let Some((&id, _)) = self.timers.range(Self::all_of(session)).next() {
            self.cancel(id);
        }
    }

    /// Returns when a timer is due, if it is set.
    pub(crate) fn get(&self, id: TimerId) -> Option<Time> {
        self.timers.get(&id).map(|timer| timer.at)
    }

    /// Returns the innermost timer of a session with this key, if one is set.
    pub(crate) fn innermost(&self, session: SessionId, key: u32) -> Option<TimerKey> {
        let of_session = self.timers.range(Self::all_of(session)).rev();
        of_session
            .filter_map(|(&id, _)| match id {
                TimerId::Session(_, timer) => Some(timer),
                TimerId::Service(..) => None,
            })
            .find(|timer| timer.key == key)
    }

    fn all_of(session: SessionId) -> RangeInclusive<TimerId> {
        TimerId::Session(session, TimerKey::FIRST)..=TimerId::Session(session, TimerKey::LAST)
    }

    /// Starts a turn: a timer set from now on expires in the next one at the earliest, even if its
    /// time has passed. So a timer that is set again whenever it fires does not hold up the turn.
    #[inline]
    pub(crate) fn begin_turn(&mut self) {
        self.places_before = self.places;
    }

    /// Returns the first timer that has expired by `now`, without removing it.
    pub(crate) fn first_expired(&mut self, now: Time) -> Option<(TimerId, Place)> {
        loop {
            let (&place, &id) = self.queue.first_key_value()?;
            if place.time > now || place.number > self.places_before {
                return None;
            }
            let at = self.get(id)?;
            if at <= now {
                return Some((id, place));
            }
            self.queue.remove(&place);
            self.enqueue(id, at);
        }
    }

    /// Makes a session's timer due, if it still has its `place` and has not moved.
    pub(crate) fn expire(&mut self, id: TimerId, place: Place, now: Time) -> bool {
        let TimerId::Session(session, key) = id else {
            return false;
        };
        let Some(timer) = self.timers.get_mut(&id) else {
            return false;
        };
        if timer.at > now || self.queue.get(&place) != Some(&id) {
            return false;
        }
        timer.state = State::Due(place);
        self.queue.remove(&place);
        self.due.insert((session, place, key));
        true
    }

    /// Takes the first timer that is due for a session, and returns its key.
    #[inline]
    pub(crate) fn take_due(&mut self, session: SessionId) -> Option<TimerKey> {
        if self.has_due() {
            return self.take_due_of(session);
        }
        None
    }

    #[cold]
    fn take_due_of(&mut self, session: SessionId) -> Option<TimerKey> {
        let first = (session, Place::FIRST, TimerKey::FIRST);
        let &(owner, _, key) = self.due.range(first..).next()?;
        if owner != session {
            return None;
        }
        self.cancel(TimerId::Session(session, key));
        Some(key)
    }

    /// Returns true if a timer is due for any session.
    #[inline]
    pub(crate) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Returns a lower bound of the next expiry.
    #[inline]
    pub(crate) fn next(&self) -> Time {
        let first = self.queue.first_key_value();
        first.map_or(Time::NEVER, |(place, _)| place.time)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Returns the number of timers of sessions.
    pub(crate) fn of_sessions(&self) -> usize {
        let of_session = |id: &&TimerId| matches!(id, TimerId::Session(..));
        self.timers.keys().filter(of_session).count()
    }

    fn enqueue(&mut self, id: TimerId, at: Time) {
        self.places += 1;
        let place = Place {
            time: at,
            number: self.places,
        };
        self.queue.insert(place, id);
        let state = State::Queued(place);
        self.timers.insert(id, Timer { at, state });
    }
}

impl TimerKey {
    const FIRST: Self = Self {
        layer: Depth::OUTERMOST,
        key: 0,
    };
    const LAST: Self = Self {
        layer: Depth::MAX,
        key: u32::MAX,
    };
}

impl Place {
    const FIRST: Self = Self {
        time: Time::START,
        number: 0,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: SessionId = SessionId {
        index: 0,
        generation: 7,
    };
    const BOB: SessionId = SessionId {
        index: 0,
        generation: 8,
    };

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// Begins a turn, and returns all timers that have expired in it.
    fn fire(timers: &mut Timers, now: Time) -> Vec<TimerId> {
        timers.begin_turn();
        let mut fired = Vec::new();
        while let Some((id, place)) = timers.first_expired(now) {
            if timers.expire(id, place, now) {
                assert!(timers.has_due());
                if let TimerId::Session(session, key) = id {
                    assert_eq!(timers.take_due(session), Some(key));
                }
            } else {
                timers.cancel(id);
            }
            fired.push(id);
        }
        fired
    }

    fn of(session: SessionId, key: u32) -> TimerId {
        TimerId::Session(session, key_of(key))
    }

    fn key_of(key: u32) -> TimerKey {
        let layer = Depth::OUTERMOST;
        TimerKey { layer, key }
    }

    #[test]
    fn timers_expire_in_order_of_time_then_of_setting() {
        let mut timers = Timers::default();
        timers.set(of(BOB, 1), at(5), at(0));
        timers.set(of(ALICE, 2), at(3), at(0));
        timers.set(of(ALICE, 1), at(5), at(0));
        timers.set(TimerId::Service(Part::WHOLE, 9), at(4), at(0));
        assert_eq!(timers.next(), at(3));
        assert_eq!(fire(&mut timers, at(2)), []);
        let expired = [
            of(ALICE, 2),
            TimerId::Service(Part::WHOLE, 9),
            of(BOB, 1),
            of(ALICE, 1),
        ];
        assert_eq!(fire(&mut timers, at(5)), expired);
        assert!(timers.is_empty());
        assert_eq!(timers.next(), Time::NEVER);
    }

    #[test]
    fn timer_that_moves_expires_once_at_its_last_time() {
        let mut timers = Timers::default();
        timers.set(of(ALICE, 1), at(5), at(0));
        timers.set(of(ALICE, 1), at(9), at(1));
        assert_eq!(timers.get(of(ALICE, 1)), Some(at(9)));
        assert_eq!(fire(&mut timers, at(8)), []);
        timers.set(of(ALICE, 1), at(8), at(8));
        assert_eq!(fire(&mut timers, at(8)), [of(ALICE, 1)]);
        assert_eq!(fire(&mut timers, at(99)), []);
    }

    #[test]
    fn timer_that_moves_without_end_keeps_one_place() {
        let mut timers = Timers::default();
        for millis in 0..10_000 {
            timers.set(of(ALICE, 1), at(millis + 10), at(millis));
            assert_eq!(fire(&mut timers, at(millis)), []);
            assert_eq!(timers.queue.len(), 1);
        }
    }

    #[test]
    fn timer_of_the_past_expires_in_the_next_turn_and_after_earlier_ones() {
        let mut timers = Timers::default();
        timers.set(of(BOB, 1), at(10), at(0));
        timers.begin_turn();
        timers.set(of(ALICE, 1), at(0), at(10));
        let (first, place) = timers
            .first_expired(at(10))
            .expect("the timer of the other");
        assert_eq!(first, of(BOB, 1));
        assert!(timers.expire(first, place, at(10)));
        assert_eq!(timers.first_expired(at(10)), None);
        timers.begin_turn();
        let expired = timers.first_expired(at(10)).map(|(id, _)| id);
        assert_eq!(expired, Some(of(ALICE, 1)));
    }

    #[test]
    fn due_timer_can_be_moved_and_cancelled() {
        let mut timers = Timers::default();
        for key in [1, 2, 3] {
            timers.set(of(ALICE, key), at(1), at(0));
        }
        timers.begin_turn();
        while let Some((id, place)) = timers.first_expired(at(1)) {
            assert!(timers.expire(id, place, at(1)));
        }
        timers.cancel(of(ALICE, 1));
        timers.set(of(ALICE, 2), at(50), at(1));
        assert_eq!(timers.take_due(BOB), None);
        assert_eq!(timers.take_due(ALICE), Some(key_of(3)));
        assert_eq!(timers.take_due(ALICE), None);
        assert_eq!(fire(&mut timers, at(50)), [of(ALICE, 2)]);
    }

    #[test]
    fn session_that_ends_leaves_no_timer_and_takes_no_other() {
        let mut timers = Timers::default();
        for key in [0, 1, u32::MAX] {
            timers.set(of(ALICE, key), at(1), at(0));
            timers.set(of(BOB, key), at(1), at(0));
        }
        timers.set(TimerId::Service(Part::WHOLE, 0), at(1), at(0));
        timers.begin_turn();
        let (id, place) = timers.first_expired(at(1)).expect("one of them");
        assert!(timers.expire(id, place, at(1)));
        timers.cancel_all_of(ALICE);
        assert!(!timers.has_due());
        assert_eq!(timers.of_sessions(), 3);
        timers.cancel_all_of(BOB);
        assert_eq!(timers.of_sessions(), 0);
        assert_eq!(fire(&mut timers, at(1)), [TimerId::Service(Part::WHOLE, 0)]);
    }

    #[test]
    fn time_without_bound_cancels() {
        let mut timers = Timers::default();
        timers.set(of(ALICE, 1), at(1), at(0));
        timers.set(of(ALICE, 1), Time::UNBOUNDED, at(0));
        assert!(timers.is_empty() && timers.queue.is_empty());
    }
}
