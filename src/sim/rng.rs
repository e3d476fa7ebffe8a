//! Where all chance in a simulation comes from.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The one source of chance of a simulated network: the same seed gives the same numbers on every
/// machine and in every version of this crate's dependencies, for it has none.
#[derive(Clone, Debug)]
pub struct Rng(Source);

#[derive(Clone, Debug)]
enum Source {
    /// Sebastiano Vigna's splitmix64: one word of state, every seed as good as any other.
    Seed(u64),
    /// A fuzzer's bytes, each deciding one thing; when they are used up, a seed goes on.
    Script { bytes: Vec<u8>, at: usize },
}

impl Rng {
    /// The numbers that `seed` stands for.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Source::Seed(seed))
    }

    /// Chance as dictated: every byte decides one question, so that a fuzzer that changes one byte
    /// changes one decision. What follows the last byte is the same for every script.
    #[must_use]
    pub fn scripted(bytes: &[u8]) -> Self {
        let bytes = bytes.to_vec();
        Self(Source::Script { bytes, at: 0 })
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(state) => splitmix(state),
            Source::Script { bytes, at } if *at < bytes.len() => {
                let byte = u64::from(bytes[*at]);
                *at += 1;
                // The same byte in every place: large and small questions alike depend on it.
                byte.wrapping_mul(0x0101_0101_0101_0101)
            }
            Source::Script { .. } => {
                self.0 = Source::Seed(0);
                self.bits()
            }
        }
    }

    /// True with the given probability, from 0 to 1. A probability of 0 takes no number.
    pub fn random_bool(&mut self, probability: f64) -> bool {
        probability > 0.0 && (self.bits() >> 11) as f64 / ((1_u64 << 53) as f64) < probability
    }

    /// A number less than `bound`.
    ///
    /// # Panics
    /// If `bound` is 0: there is no such number.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "no number is below 0");
        // The high half of a wide product: no division, and no bias that a test could notice.
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// A number of the range.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn range(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        assert!(low <= high, "no number is within {low}..={high}");
        low + ((u128::from(self.bits()) * (u128::from(high - low) + 1)) >> 64) as u64
    }

    /// A number of the range, the small ones as likely as the large ones: its order of magnitude
    /// is drawn first.
    ///
    /// # Panics
    /// If the range is empty or begins with 0.
    pub fn magnitude(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        assert!(0 < low && low <= high, "no magnitude within {low}..={high}");
        let octaves = u64::from((high / low).ilog2());
        let floor = low << self.range(0..=octaves);
        self.range(floor..=high.min(floor.saturating_mul(2)))
    }

    /// A duration up to `most`.
    pub fn duration_up_to(&mut self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.range(0..=nanos))
    }

    /// One of the choices.
    ///
    /// # Panics
    /// If there is none.
    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Puts the items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// Another source, which this one decides: what is drawn from it disturbs nothing here.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.bits())
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        // The published first values of splitmix64 for the seed 1234567.
        let mut rng = Rng::new(1_234_567);
        let first = [rng.bits(), rng.bits(), rng.bits()];
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn every_draw_stays_within_its_bounds() {
        let mut rng = Rng::new(1);
        for _ in 0..10_000 {
            assert!(rng.below(7) < 7);
            assert!((3..=9).contains(&rng.range(3..=9)));
            assert!((5..=1000).contains(&rng.magnitude(5..=1000)));
            assert!(rng.duration_up_to(Duration::from_millis(2)) <= Duration::from_millis(2));
            assert!(!rng.random_bool(0.0));
            assert!(rng.random_bool(1.0));
        }
    }

    #[test]
    fn a_script_decides_until_it_is_used_up() {
        let mut rng = Rng::scripted(&[255, 0]);
        assert!(!rng.random_bool(0.9));
        assert!(rng.random_bool(0.1));
        let mut after = Rng::new(0);
        assert_eq!(rng.bits(), after.bits());
    }
}
