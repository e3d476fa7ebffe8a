//! Going through the slots, with a bounded number under way.

/// The state of a walk through all slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    next: u32,
    end: u32,
    /// Slots that were begun and have not ended.
    under_way: u32,
}

impl Walk {
    /// Returns a walk through the slots from `first` to before `end`.
    pub(crate) fn new(first: u32, end: u32) -> Self {
        Self {
            next: first,
            end,
            under_way: 0,
        }
    }

    /// Returns the next slot, if there is one below `limit` and not too many are under way. It is
    /// under way now.
    pub(crate) fn begin(&mut self, limit: u32) -> Option<u32> {
        if self.next >= self.end.min(limit) || self.under_way >= UNDER_WAY_MAX {
            return None;
        }
        self.under_way += 1;
        self.next += 1;
        Some(self.next - 1)
    }

    /// Ends a slot that was under way.
    pub(crate) fn end(&mut self) {
        self.under_way -= 1;
    }

    pub(crate) fn under_way(&self) -> u32 {
        self.under_way
    }

    pub(crate) fn is_over(&self) -> bool {
        self.next >= self.end && self.under_way == 0
    }
}

/// Enough to keep both sides busy, and too few to overflow a backlog of 511, which many servers
/// have.
pub(crate) const UNDER_WAY_MAX: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walk_begins_each_slot_once() {
        let mut walk = Walk::new(3, 1000);
        let mut begun = Vec::new();
        while !walk.is_over() {
            begun.extend(std::iter::from_fn(|| walk.begin(u32::MAX)));
            assert!(walk.under_way() <= UNDER_WAY_MAX);
            walk.end();
        }
        assert_eq!(begun, (3..1000).collect::<Vec<_>>());
    }

    #[test]
    fn walk_stops_at_its_limit() {
        let mut walk = Walk::new(0, 10);
        assert_eq!(std::iter::from_fn(|| walk.begin(2)).count(), 2);
        assert_eq!(walk.begin(3), Some(2));
    }
}
