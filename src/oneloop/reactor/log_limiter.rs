//! Log lines that a peer could cause by the thousand.

use std::time::Duration;

use crate::service::Time;

/// Lets one line pass in each [`INTERVAL`], and counts the others.
#[derive(Debug, Default)]
pub(crate) struct LogLimiter {
    /// When the next line may pass.
    opens: Time,
    suppressed: u64,
}

impl LogLimiter {
    /// Whether a line may be logged now, and if so how many were buffers back since the last one.
    pub(crate) fn pass(&mut self, now: Time) -> Option<u64> {
        if now < self.opens {
            self.suppressed += 1;
            return None;
        }
        self.opens = now + INTERVAL;
        Some(std::mem::take(&mut self.suppressed))
    }
}

const INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_in_five_seconds_with_the_count_of_the_others() {
        let mut log_limiter = LogLimiter::default();
        let passed = (0..12).filter_map(|s| log_limiter.pass(Time::START + Duration::from_secs(s)));
        assert_eq!(passed.collect::<Vec<_>>(), [0, 4, 4]);
    }
}
