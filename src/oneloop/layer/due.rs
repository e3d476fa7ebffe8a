//! The earlier one of two deadlines.

use crate::service::{Next, Time};

/// Which deadline of a session comes first: at [`Event::Timeout`](crate::Event::Timeout) it is due.
///
/// ```
/// use oneloop::layer::Due;
/// use oneloop::{Next, Time};
///
/// let (early, late) = (Time::from_nanos(1), Time::from_nanos(2));
/// let (next, due) = Due::first(Next::Read { until: late }, early);
/// assert_eq!((next, due), (Next::Read { until: early }, Due::Layer));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Due {
    /// The inner session's deadline. Also if it is the same time.
    #[default]
    Inner,
    /// The layer's deadline.
    Layer,
}

impl Due {
    /// Returns the wait bounded by the layer's deadline, and which deadline that is.
    ///
    /// Only [`Next::Read`] and [`Next::Pause`] have deadlines.
    #[inline]
    #[must_use]
    pub fn first(next: Next, layer: Time) -> (Next, Self) {
        match next {
            Next::Read { until } if layer < until => (Next::Read { until: layer }, Self::Layer),
            Next::Pause { until } if layer < until => (Next::Pause { until: layer }, Self::Layer),
            _ => (next, Self::Inner),
        }
    }
}
