//! The time of one exchange.

use std::time::Instant;

use oneloop::Time;
use oneloop::net::{Net, Os};

/// The loop's clock, read when it is needed. The loop itself reads it once for each turn, and a
/// turn may answer a thousand connections: too coarse to time a single one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    /// Returns a clock that agrees with the one of the loop on `os`.
    pub(crate) fn of(os: &mut Os) -> Self {
        let since_start = os.now().since(Time::START);
        let now = Instant::now();
        Self {
            started: now.checked_sub(since_start).unwrap_or(now),
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Time {
        Time::START + self.started.elapsed()
    }
}
