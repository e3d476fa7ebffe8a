//! The parts of a composed service.

use super::{Peer, ServiceContext, Tag};

/// One of two services that are composed into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first service.
    First,
    /// The second service.
    Second,
}

/// A part of a composed service: the way to it through the compositions, from the outside.
///
/// It is kept with each request whose answer is a callback of the service, so that composition finds
/// the part that has made it. Only composition reads and sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Part(u32);

impl Part {
    /// The whole service.
    // A one, before a bit for each composition.
    pub(crate) const WHOLE: Self = Self(1);

    /// Returns a part of this part. There are at most 31 compositions in one another.
    #[inline]
    const fn child(self, side: Side) -> Self {
        debug_assert!(self.0 >> 31 == 0, "too many services in one");
        Self(self.0 << 1 | side as u32)
    }

    /// Returns the side that the outermost composition chooses, and the part within that side;
    /// `None` for the whole service.
    const fn split(self) -> Option<(Side, Self)> {
        let Some(bits) = self.0.ilog2().checked_sub(1) else {
            return None;
        };
        let side = match self.0 >> bits & 1 {
            0 => Side::First,
            _ => Side::Second,
        };
        Some((side, Self(self.0 & ((1 << bits) - 1) | 1 << bits)))
    }
}

impl Default for Part {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl Tag {
    /// Returns the side that has set this tag, and the tag within that side. A tag that no side has
    /// set is the first one's.
    pub(crate) fn split(mut self) -> (Side, Self) {
        let (side, part) = self.part.split().unwrap_or((Side::First, Part::WHOLE));
        self.part = part;
        (side, self)
    }
}

impl Peer {
    /// Returns the peer as one of the sides sees it.
    pub(crate) fn within_side(mut self) -> Self {
        self.tag = self.tag.map(|tag| tag.split().1);
        self
    }
}

impl ServiceContext {
    /// Returns the side whose timer is due, for a call of it.
    pub(crate) fn due_side(&mut self) -> Side {
        let (side, part) = self.due.split().unwrap_or((Side::First, Part::WHOLE));
        self.due = part;
        side
    }
}

/// A context during a call into one side of a composition. Requests are this side's, until it is
/// dropped.
pub(crate) struct Entered<'a, C: AsMut<ServiceContext>> {
    pub(crate) cx: &'a mut C,
    outer: Part,
}

impl<'a, C: AsMut<ServiceContext>> Entered<'a, C> {
    #[inline]
    pub(crate) fn new(cx: &'a mut C, side: Side) -> Self {
        let part = &mut cx.as_mut().part;
        let outer = *part;
        *part = outer.child(side);
        Self { cx, outer }
    }
}

impl<C: AsMut<ServiceContext>> Drop for Entered<'_, C> {
    #[inline]
    fn drop(&mut self) {
        self.cx.as_mut().part = self.outer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_is_split_from_the_outside() {
        use Side::{First, Second};
        let part = Part::WHOLE.child(First).child(Second).child(Second);
        let (side, part) = part.split().expect("three sides");
        assert_eq!(side, First);
        let (side, part) = part.split().expect("two sides");
        assert_eq!(side, Second);
        assert_eq!(part.split(), Some((Second, Part::WHOLE)));
        assert_eq!(Part::WHOLE.split(), None);
    }

    #[test]
    fn every_part_is_another_one() {
        let mut parts = vec![Part::WHOLE];
        for place in 0..255 {
            parts.push(parts[place].child(Side::First));
            parts.push(parts[place].child(Side::Second));
        }
        parts.sort_unstable();
        parts.dedup();
        assert_eq!(parts.len(), 511);
    }
}
