//! Limits log lines that peers can cause by the thousand.

use std::time::Duration;

use crate::service::Time;

/// Permits one line per [`INTERVAL`], and counts the others.
#[derive(Debug, Default)]
pub(crate) struct LogLimiter {
    /// When the next line is permitted.
    next_at: Time,
    suppressed: u64,
}

impl LogLimiter {
    /// Returns the number of suppressed lines if a line is permitted now.
    pub(crate) fn permit(&mut self, now: Time) -> Option<u64> {
        if now < self.next_at {
            self.suppressed += 1;
            return None;
        }
        self.next_at = now + INTERVAL;
        Some(std::mem::take(&mut self.suppressed))
    }
}

const INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_five_seconds_counts_the_suppressed() {
        let mut log_limiter = LogLimiter::default();
        let permitted =
            (0..12).filter_map(|s| log_limiter.permit(Time::START + Duration::from_secs(s)));
        assert_eq!(permitted.collect::<Vec<_>>(), [0, 4, 4]);
    }
}
