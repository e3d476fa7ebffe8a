//! Log lines that a peer could cause by the thousand.

use std::time::Duration;

use crate::service::Time;

/// Lets one line pass in each [`INTERVAL`], and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Muffle {
    /// When the next line may pass.
    opens: Time,
    held_back: u64,
}

impl Muffle {
    /// Whether a line may be logged now, and if so how many were held back since the last one.
    pub(crate) fn pass(&mut self, now: Time) -> Option<u64> {
        if now < self.opens {
            self.held_back += 1;
            return None;
        }
        self.opens = now + INTERVAL;
        Some(std::mem::take(&mut self.held_back))
    }
}

const INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_in_five_seconds_with_the_count_of_the_others() {
        let mut muffle = Muffle::default();
        let passed = (0..12).filter_map(|s| muffle.pass(Time::START + Duration::from_secs(s)));
        assert_eq!(passed.collect::<Vec<_>>(), [0, 4, 4]);
    }
}
