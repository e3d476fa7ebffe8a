//! Two ways to keep deadlines: a sorted map, and a wheel of slots.

use std::collections::BTreeSet;

/// Keeps deadlines in order. Adding and removing cost O(log n).
#[derive(Debug, Default)]
pub struct SortedMap(BTreeSet<(u64, usize)>);

// ANCHOR: map
impl SortedMap {
    /// Adds the deadline of a connection, as the number of a tick.
    pub fn add(&mut self, tick: u64, key: usize) {
        self.0.insert((tick, key));
    }

    /// Removes a deadline.
    pub fn remove(&mut self, tick: u64, key: usize) {
        self.0.remove(&(tick, key));
    }

    /// Removes and returns the connections whose deadline is `now` or earlier, in no order.
    pub fn expire(&mut self, now: u64) -> Vec<usize> {
        let later = self.0.split_off(&(now + 1, 0));
        let due = std::mem::replace(&mut self.0, later);
        due.into_iter().map(|(_, key)| key).collect()
    }
}
// ANCHOR_END: map

/// Keeps deadlines in a circle of slots, one for each tick. Adding and removing cost O(1).
#[derive(Debug)]
pub struct Wheel {
    slots: Vec<Vec<(u64, usize)>>,
    now: u64,
}

// ANCHOR: wheel
impl Wheel {
    /// Creates a wheel with `slots` slots, whose hand is at tick `now`.
    pub fn new(slots: usize, now: u64) -> Self {
        let slots = vec![Vec::new(); slots];
        Self { slots, now }
    }

    /// Adds the deadline of a connection. A deadline in the past is due at the next tick.
    pub fn add(&mut self, tick: u64, key: usize) {
        let slot = self.slot(tick.max(self.now + 1));
        self.slots[slot].push((tick, key));
    }

    /// Removes a deadline.
    pub fn remove(&mut self, tick: u64, key: usize) {
        for slot in [self.slot(tick), self.slot(tick.max(self.now + 1))] {
            self.slots[slot].retain(|&entry| entry != (tick, key));
        }
    }

    /// Moves the hand to `now`. Removes and returns the connections whose deadline has come.
    pub fn expire(&mut self, now: u64) -> Vec<usize> {
        let mut due = Vec::new();
        let turns = (now - self.now).min(self.slots.len() as u64);
        for tick in self.now + 1..=self.now + turns {
            let slot = self.slot(tick);
            self.slots[slot].retain(|&(deadline, key)| {
                let is_due = deadline <= now;
                if is_due {
                    due.push(key);
                }
                !is_due // a deadline more than one round away stays
            });
        }
        self.now = now;
        due
    }

    fn slot(&self, tick: u64) -> usize {
        (tick % self.slots.len() as u64) as usize
    }
}
// ANCHOR_END: wheel

impl Wheel {
    /// Returns the slots: in each, the deadlines and their connections.
    pub fn slots(&self) -> &[Vec<(u64, usize)>] {
        &self.slots
    }

    /// Returns the tick that the hand is at.
    pub fn now(&self) -> u64 {
        self.now
    }
}
