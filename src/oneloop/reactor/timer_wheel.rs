//! A hierarchical timing wheel, linked through the connections' own slots.
//!
//! Inserting, moving and removing a deadline are O(1) and allocate nothing: the lists run through a
//! [`Link`] in each slot. A deadline that only moves away, as it does with each exchange, is not
//! touched: its entry expires, is found to be early, and is inserted again. So an entry may expire
//! before its deadline, and at most one tick after it.
//!
//! The shape is Varghese and Lauck's scheme 7 ("Hashed and Hierarchical Timing Wheels", 1987), six
//! levels of 64 slots. Level 0 has a slot for each tick, and each further level has slots 64 times
//! as wide.

use crate::service::Time;

/// A connection's place in the wheel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// When the entry expires; [`Time::NEVER`] while it is in no list.
    expires_at: Time,
    /// The previous key of the list, or [`HEAD`] plus the number of the slot whose head this is.
    previous: u32,
    next: u32,
}

/// Access to the links by key.
pub(crate) trait Links {
    fn link(&mut self, key: u32) -> &mut Link;
}

/// The wheel.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    /// The tick up to which every entry has expired, inclusive.
    tick: u64,
    /// A lower bound of the next expiry.
    next: Time,
    /// One bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    /// The first key of each slot's list; the last element is the list of expired entries.
    heads: [u32; LEVELS * SLOTS + 1],
}

impl Link {
    /// The link of a key in no list.
    pub(crate) const UNLINKED: Self = Self {
        expires_at: Time::NEVER,
        previous: NONE,
        next: NONE,
    };

    /// Returns when the entry expires; never if it is in no list.
    #[inline]
    pub(crate) fn expires_at(&self) -> Time {
        self.expires_at
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.expires_at != Time::NEVER
    }
}

impl TimerWheel {
    pub(crate) fn new() -> Self {
        let heads = [NONE; LEVELS * SLOTS + 1];
        Self {
            tick: 0,
            next: Time::NEVER,
            occupied: [0; LEVELS],
            heads,
        }
    }

    /// Inserts the deadline of `key`. A former entry is removed, unless it expires early enough.
    pub(crate) fn insert(&mut self, links: &mut impl Links, key: u32, deadline: Time, now: Time) {
        if now < self.next {
            // No entry expires before `now`, so the wheel may advance to it at once.
            self.tick = self.tick.max(now.as_nanos() >> TICK_BITS);
        }
        // A deadline that has passed expires with the next batch. In the current one it would
        // expire, and be inserted again, without end.
        let (slot, expires_at) = self.place(deadline.max(now));
        // An entry may expire within a tick after its deadline. It keeps its place: moved ahead at
        // each call, the entry of a connection that is always busy would never expire.
        if links.link(key).expires_at <= expires_at {
            return;
        }
        self.remove(links, key);
        let head = self.heads[slot];
        *links.link(key) = Link {
            expires_at,
            previous: HEAD + slot as u32,
            next: head,
        };
        if head != NONE {
            links.link(head).previous = key;
        }
        self.heads[slot] = key;
        self.occupied[slot / SLOTS] |= 1 << (slot % SLOTS);
        self.next = self.next.min(expires_at);
    }

    /// Removes the entry of `key`, if there is one.
    pub(crate) fn remove(&mut self, links: &mut impl Links, key: u32) {
        let Link {
            expires_at,
            previous,
            next,
        } = std::mem::replace(links.link(key), Link::UNLINKED);
        if expires_at == Time::NEVER {
            return;
        }
        if next != NONE {
            links.link(next).previous = previous;
        }
        if previous < HEAD {
            links.link(previous).next = next;
            return;
        }
        let slot = (previous - HEAD) as usize;
        self.heads[slot] = next;
        if next == NONE && slot != EXPIRED {
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        }
    }

    /// Takes one key whose entry has expired by `now`. The caller checks the deadline itself, and
    /// inserts it again if it has moved.
    pub(crate) fn pop_expired(&mut self, links: &mut impl Links, now: Time) -> Option<u32> {
        if now < self.next {
            return None;
        }
        if self.heads[EXPIRED] == NONE {
            let (slot, tick) = self.earliest()?;
            self.next = time_of(tick);
            if now < self.next {
                return None;
            }
            // Not `tick` itself: slots of other levels may expire at it too.
            self.tick = tick - 1;
            self.take_slot(links, slot);
        }
        let key = self.heads[EXPIRED];
        self.remove(links, key);
        Some(key)
    }

    /// Returns a lower bound of the next expiry.
    pub(crate) fn next(&self) -> Time {
        self.next
    }

    /// Returns true if the wheel has no entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.occupied == [0; LEVELS] && self.heads[EXPIRED] == NONE
    }

    /// Moves a slot's list to the expired list, apart from entries inserted meanwhile.
    fn take_slot(&mut self, links: &mut impl Links, slot: usize) {
        let head = std::mem::replace(&mut self.heads[slot], NONE);
        self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        self.heads[EXPIRED] = head;
        links.link(head).previous = HEAD + EXPIRED as u32;
    }

    /// Returns the slot for a deadline, and when that slot expires.
    fn place(&self, deadline: Time) -> (usize, Time) {
        let next_tick = self.tick + 1;
        let expiry_tick = (deadline.as_nanos() >> TICK_BITS) + 1;
        let distance = expiry_tick.saturating_sub(next_tick).min(SPAN - 1);
        let expiry_tick = next_tick + distance;
        let level = (distance | 1).ilog2() / SLOT_BITS;
        let shift = level * SLOT_BITS;
        let index = (expiry_tick >> shift) as usize % SLOTS;
        (
            level as usize * SLOTS + index,
            time_of(expiry_tick >> shift << shift),
        )
    }

    /// Returns the slot that expires first, and its tick. If all are empty, sets `next` to never.
    fn earliest(&mut self) -> Option<(usize, u64)> {
        let slots = (0..LEVELS).filter_map(|level| {
            let shift = level as u32 * SLOT_BITS;
            let present = self.tick >> shift;
            let turn = present + self.slots_ahead(level, present as u32 % SLOTS as u32)?;
            let slot = level * SLOTS + turn as usize % SLOTS;
            Some((slot, turn << shift))
        });
        let earliest = slots.min_by_key(|&(_, tick)| tick);
        if earliest.is_none() {
            self.next = Time::NEVER;
        }
        earliest
    }

    /// Returns the distance to a level's next occupied slot, in slots: 1 to 64. The present slot
    /// has expired, so its entries are due a whole round later.
    fn slots_ahead(&self, level: usize, present: u32) -> Option<u64> {
        let occupied = self.occupied[level];
        let ahead = occupied
            .rotate_right(present)
            .rotate_right(1)
            .trailing_zeros();
        (occupied != 0).then(|| u64::from(ahead) + 1)
    }
}

fn time_of(tick: u64) -> Time {
    Time::from_nanos(tick << TICK_BITS)
}

/// A tick is 2^20 ns, about 1.05 ms: pollers wait in milliseconds, and a shift is cheaper than a
/// division.
const TICK_BITS: u32 = 20;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 6;
/// The ticks that the wheel spans, some 2.3 years. A later deadline expires at its end, and is
/// inserted again.
const SPAN: u64 = 1 << (SLOT_BITS * LEVELS as u32);
const EXPIRED: usize = LEVELS * SLOTS;
const NONE: u32 = u32::MAX;
/// Keys are below this.
const HEAD: u32 = u32::MAX - 0xffff;

/// The most that an entry expires late, for tests.
#[cfg(test)]
const TICK: std::time::Duration = std::time::Duration::from_nanos(1 << TICK_BITS);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    struct Slots(Vec<Link>);

    impl Links for Slots {
        fn link(&mut self, key: u32) -> &mut Link {
            &mut self.0[key as usize]
        }
    }

    /// The wheel, as used by the loop, beside an ordered map as the reference.
    struct Both {
        wheel: TimerWheel,
        slots: Slots,
        oracle: BTreeMap<u32, Time>,
        now: Time,
    }

    impl Both {
        fn new(keys: usize) -> Self {
            let slots = Slots(vec![Link::UNLINKED; keys]);
            Self {
                wheel: TimerWheel::new(),
                slots,
                oracle: BTreeMap::new(),
                now: Time::START,
            }
        }

        fn set(&mut self, key: u32, deadline: Time) {
            self.oracle.insert(key, deadline);
            if deadline < self.slots.link(key).expires_at() {
                self.wheel.insert(&mut self.slots, key, deadline, self.now);
            }
        }

        fn remove(&mut self, key: u32) {
            self.oracle.remove(&key);
            self.wheel.remove(&mut self.slots, key);
        }

        /// Advances the time, and checks that exactly the due deadlines expire.
        fn pass(&mut self, by: Duration) {
            self.now = self.now + by;
            while let Some(key) = self.wheel.pop_expired(&mut self.slots, self.now) {
                let deadline = self.oracle[&key];
                if deadline <= self.now {
                    self.oracle.remove(&key);
                } else {
                    self.wheel.insert(&mut self.slots, key, deadline, self.now);
                }
            }
            for (key, &deadline) in &self.oracle {
                assert!(
                    deadline + TICK > self.now,
                    "deadline {deadline:?} of {key} missed"
                );
                assert!(
                    self.wheel.next() <= deadline + TICK,
                    "{key} expires too late"
                );
            }
            assert_eq!(self.wheel.is_empty(), self.oracle.is_empty());
        }
    }

    #[derive(Clone, Debug)]
    enum Act {
        Set(u32, u64),
        Remove(u32),
        Pass(u64),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let nanos = prop_oneof![0..5_000_000u64, 0..100_000_000_000u64, 0..u64::MAX];
        let act = prop_oneof![
            (0..20u32, nanos).prop_map(|(key, nanos)| Act::Set(key, nanos)),
            (0..20u32).prop_map(Act::Remove),
            prop_oneof![0..3_000_000u64, 0..200_000_000_000u64].prop_map(Act::Pass),
        ];
        prop::collection::vec(act, 1..200)
    }

    proptest! {
        #[test]
        fn wheel_matches_an_ordered_map(acts in acts()) {
            let mut both = Both::new(20);
            for act in acts {
                match act {
                    Act::Set(key, nanos) => {
                        let deadline = Time::from_nanos(both.now.as_nanos().saturating_add(nanos));
                        both.set(key, deadline);
                    }
                    Act::Remove(key) => both.remove(key),
                    Act::Pass(nanos) => both.pass(Duration::from_nanos(nanos)),
                }
            }
        }
    }

    #[test]
    fn deadline_inserted_again_while_it_expires_is_not_postponed() {
        let mut both = Both::new(1);
        both.set(0, Time::from_nanos(5 << TICK_BITS | 1));
        let deadline = both.oracle[&0];
        let expires_at = both.slots.link(0).expires_at();
        while both.now < expires_at {
            // As a connection that is driven in every turn.
            both.now = both.now + TICK / 4;
            both.wheel.insert(&mut both.slots, 0, deadline, both.now);
        }
        assert_eq!(both.wheel.pop_expired(&mut both.slots, both.now), Some(0));
    }

    #[test]
    fn past_deadline_inserted_again_does_not_stop_the_wheel() {
        let mut both = Both::new(2);
        both.now = Time::START + Duration::from_secs(10);
        both.set(0, Time::START);
        both.set(1, both.now + Duration::from_millis(50));
        let mut fired = [0; 2];
        for _ in 0..100 {
            both.now = both.now + TICK;
            // The budget of a turn.
            for _ in 0..8 {
                let Some(key) = both.wheel.pop_expired(&mut both.slots, both.now) else {
                    break;
                };
                fired[key as usize] += 1;
                if key == 0 {
                    both.wheel.insert(&mut both.slots, 0, Time::START, both.now);
                }
            }
        }
        assert_eq!(fired[1], 1);
        assert!((50..=100).contains(&fired[0]), "fired {} times", fired[0]);
    }

    #[test]
    fn deadline_that_has_come_inserted_again_and_again_expires() {
        let mut both = Both::new(1);
        let due = Time::START + Duration::from_millis(100);
        both.set(0, due);
        both.now = due;
        for _ in 0..3 {
            // As a connection does that is driven several times in each tick.
            both.wheel.insert(&mut both.slots, 0, due, both.now);
            both.now = both.now + TICK / 2;
        }
        let (wheel, slots) = (&mut both.wheel, &mut both.slots);
        assert_eq!(wheel.pop_expired(slots, both.now), Some(0));
    }

    #[test]
    fn slots_of_all_levels_due_at_one_tick_all_expire() {
        // Each is inserted so that its slot, of another level each time, begins at the same tick.
        let mut both = Both::new(4);
        let begin = 2 << (3 * SLOT_BITS);
        let time = |tick: u64| Time::from_nanos(tick << TICK_BITS);
        for level in (0..4).rev() {
            let width = 1 << (level * SLOT_BITS);
            both.now = time(begin - width - 1);
            both.set(
                level,
                Time::from_nanos(time(begin + width / 2).as_nanos() - 1),
            );
            assert_eq!(
                both.slots.link(level).expires_at(),
                time(begin),
                "level {level}"
            );
        }
        for _ in 0..64 * 64 {
            both.pass(TICK * 100);
        }
        assert!(both.wheel.is_empty());
    }

    #[test]
    fn minute_long_wait_expires_only_a_few_times() {
        let mut both = Both::new(1);
        both.set(0, Time::START + Duration::from_secs(60));
        let mut looks = 0;
        while !both.wheel.is_empty() {
            both.now = both.wheel.next();
            both.pass(Duration::ZERO);
            looks += 1;
        }
        assert!(looks <= 4, "looked {looks} times");
    }

    #[test]
    fn minute_long_waits_cause_no_wake_up_for_fifty_seconds() {
        let mut both = Both::new(5000);
        for key in 0..5000 {
            both.now = Time::from_nanos(u64::from(key) * 1_000_000);
            both.set(key, both.now + Duration::from_secs(60));
        }
        assert!(both.wheel.next() >= Time::START + Duration::from_secs(50));
    }
}
