//! TimerWheel: a hierarchical timing wheel threaded through the connections' own slots.
//!
//! Filing, moving and dropping a deadline are O(1) and allocate nothing: the lists run through a
//! [`Link`] in each slot. A deadline that only moves away, as it does with each exchange, is not
//! touched here at all: it is found to be not yet due when it fires, and filed again. So a
//! deadline may fire early, never late by more than a tick.
//!
//! The shape is Varghese and Lauck's scheme 7 ("Hashed and Hierarchical Timing Wheels", 1987), six
//! levels of 64 slots. Level 0 has a slot for each tick, each further level slots 64 times as wide.

use crate::service::Time;

/// A connection's place in the wheel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// When the wheel will look at it; [`Time::NEVER`] while it is not filed.
    fires: Time,
    /// The previous key of the list, or [`HEAD`] plus the number of the slot whose head this is.
    previous: u32,
    next: u32,
}

/// Where the links are.
pub(crate) trait Links {
    fn link(&mut self, key: u32) -> &mut Link;
}

/// The wheel.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    /// The tick up to which everything has fired, itself included.
    tick: u64,
    /// A lower bound of what fires next.
    next: Time,
    /// One bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    /// The first key of each slot's list, and last of the list that is firing.
    heads: [u32; LEVELS * SLOTS + 1],
}

impl Link {
    /// A place in no list.
    pub(crate) const UNLINKED: Self = Self {
        fires: Time::NEVER,
        previous: NONE,
        next: NONE,
    };

    /// When the wheel will look at this deadline; never if it is not filed.
    #[inline]
    pub(crate) fn fires(&self) -> Time {
        self.fires
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.fires != Time::NEVER
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

    /// Files the deadline `due` of `key`, wherever it was filed before.
    pub(crate) fn file(&mut self, links: &mut impl Links, key: u32, due: Time, now: Time) {
        self.remove(links, key);
        if now < self.next {
            // Nothing fires before `now`, so the wheel may turn to it at once.
            self.tick = self.tick.max(now.as_nanos() >> TICK_BITS);
        }
        // One that has passed already fires with the next ones, not again with those that are
        // firing: it would be filed there, and fire, without end.
        let (slot, fires) = self.place(due.max(now));
        let head = self.heads[slot];
        *links.link(key) = Link {
            fires,
            previous: HEAD + slot as u32,
            next: head,
        };
        if head != NONE {
            links.link(head).previous = key;
        }
        self.heads[slot] = key;
        self.occupied[slot / SLOTS] |= 1 << (slot % SLOTS);
        self.next = self.next.min(fires);
    }

    /// Takes `key` out, if it is in.
    pub(crate) fn remove(&mut self, links: &mut impl Links, key: u32) {
        let Link {
            fires,
            previous,
            next,
        } = std::mem::replace(links.link(key), Link::UNLINKED);
        if fires == Time::NEVER {
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
        if next == NONE && slot != FIRING {
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        }
    }

    /// Takes out one key whose deadline may have come by `now`. The caller looks at the deadline
    /// itself, and files it again if it has moved.
    pub(crate) fn fire(&mut self, links: &mut impl Links, now: Time) -> Option<u32> {
        if now < self.next {
            return None;
        }
        if self.heads[FIRING] == NONE {
            let (slot, tick) = self.earliest()?;
            self.next = time_of(tick);
            if now < self.next {
                return None;
            }
            // Not `tick` itself: slots of other levels may be due at it too.
            self.tick = tick - 1;
            self.start_firing(links, slot);
        }
        let key = self.heads[FIRING];
        self.remove(links, key);
        Some(key)
    }

    /// Before this nothing fires.
    pub(crate) fn next(&self) -> Time {
        self.next
    }

    /// True if no deadline is filed.
    pub(crate) fn is_empty(&self) -> bool {
        self.occupied == [0; LEVELS] && self.heads[FIRING] == NONE
    }

    /// Moves a slot's list aside, so that what is filed meanwhile is not mixed with what is due.
    fn start_firing(&mut self, links: &mut impl Links, slot: usize) {
        let head = std::mem::replace(&mut self.heads[slot], NONE);
        self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        self.heads[FIRING] = head;
        links.link(head).previous = HEAD + FIRING as u32;
    }

    /// The slot for a deadline, and when that slot fires.
    fn place(&self, due: Time) -> (usize, Time) {
        let soonest = self.tick + 1;
        let due_tick = (due.as_nanos() >> TICK_BITS) + 1;
        let distance = due_tick.saturating_sub(soonest).min(SPAN - 1);
        let due_tick = soonest + distance;
        let level = (distance | 1).ilog2() / SLOT_BITS;
        let shift = level * SLOT_BITS;
        let index = (due_tick >> shift) as usize % SLOTS;
        (
            level as usize * SLOTS + index,
            time_of(due_tick >> shift << shift),
        )
    }

    /// The slot that fires first, and at which tick. Sets `next` to never if all are empty.
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

    /// How many slots after the present one the next occupied slot of a level is: 1 to 64, for what
    /// is in the present slot, which has fired, is due a whole round later.
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
/// Ticks that the wheel spans, some 2.3 years. What is further away fires at its end, and is filed
/// again.
const SPAN: u64 = 1 << (SLOT_BITS * LEVELS as u32);
const FIRING: usize = LEVELS * SLOTS;
const NONE: u32 = u32::MAX;
/// Keys are below this.
const HEAD: u32 = u32::MAX - 0xffff;

/// How late a deadline may fire: for tests.
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

    /// The wheel as the loop uses it, beside an ordered map that does the same plainly.
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

        fn set(&mut self, key: u32, due: Time) {
            self.oracle.insert(key, due);
            if due < self.slots.link(key).fires() {
                self.wheel.file(&mut self.slots, key, due, self.now);
            }
        }

        fn remove(&mut self, key: u32) {
            self.oracle.remove(&key);
            self.wheel.remove(&mut self.slots, key);
        }

        /// Lets time pass, and checks that exactly the due deadlines came.
        fn pass(&mut self, by: Duration) {
            self.now = self.now + by;
            while let Some(key) = self.wheel.fire(&mut self.slots, self.now) {
                let due = self.oracle[&key];
                if due <= self.now {
                    self.oracle.remove(&key);
                } else {
                    self.wheel.file(&mut self.slots, key, due, self.now);
                }
            }
            for (key, &due) in &self.oracle {
                assert!(due + TICK > self.now, "deadline {due:?} of {key} forgotten");
                assert!(
                    self.wheel.next() <= due + TICK,
                    "nobody will look at {key} in time"
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
        fn the_wheel_does_what_an_ordered_map_does(acts in acts()) {
            let mut both = Both::new(20);
            for act in acts {
                match act {
                    Act::Set(key, nanos) => {
                        let due = Time::from_nanos(both.now.as_nanos().saturating_add(nanos));
                        both.set(key, due);
                    }
                    Act::Remove(key) => both.remove(key),
                    Act::Pass(nanos) => both.pass(Duration::from_nanos(nanos)),
                }
            }
        }
    }

    #[test]
    fn deadline_in_the_past_filed_again_does_not_stop_the_wheel() {
        let mut both = Both::new(2);
        both.now = Time::START + Duration::from_secs(10);
        both.set(0, Time::START);
        both.set(1, both.now + Duration::from_millis(50));
        let mut fired = [0; 2];
        for _ in 0..100 {
            both.now = both.now + TICK;
            // As many as one turn may act on.
            for _ in 0..8 {
                let Some(key) = both.wheel.fire(&mut both.slots, both.now) else {
                    break;
                };
                fired[key as usize] += 1;
                if key == 0 {
                    both.wheel.file(&mut both.slots, 0, Time::START, both.now);
                }
            }
        }
        assert_eq!(fired[1], 1);
        assert!((50..=100).contains(&fired[0]), "fired {} times", fired[0]);
    }

    #[test]
    fn slots_of_all_levels_that_fire_at_one_tick_all_fire() {
        // Each is filed so that its slot, of another level each time, begins at the same tick.
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
            assert_eq!(both.slots.link(level).fires(), time(begin), "level {level}");
        }
        for _ in 0..64 * 64 {
            both.pass(TICK * 100);
        }
        assert!(both.wheel.is_empty());
    }

    #[test]
    fn a_minute_is_looked_at_only_a_few_times() {
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
    fn an_idle_minute_wakes_nobody_in_its_first_fifty_seconds() {
        let mut both = Both::new(5000);
        for key in 0..5000 {
            both.now = Time::from_nanos(u64::from(key) * 1_000_000);
            both.set(key, both.now + Duration::from_secs(60));
        }
        assert!(both.wheel.next() >= Time::START + Duration::from_secs(50));
    }
}
