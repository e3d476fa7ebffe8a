//! The random numbers of a simulation.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The random number generator of a simulation.
///
/// A seed gives the same numbers on every machine and in every version: there is no dependency.
#[derive(Clone, Debug)]
pub struct Rng(Source);

#[derive(Clone, Debug)]
enum Source {
    /// Sebastiano Vigna's splitmix64: one word of state, all seeds of equal quality.
    Seed(u64),
    /// A fuzzer's bytes, one for each number; then seed 0.
    Script { bytes: Vec<u8>, at: usize },
}

impl Rng {
    /// Creates a generator from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Source::Seed(seed))
    }

    /// Creates a generator that yields the bytes of a fuzzer, then the numbers of seed 0.
    ///
    /// One byte decides one draw, so a fuzzer that changes a byte changes one decision.
    #[must_use]
    pub fn scripted(bytes: &[u8]) -> Self {
        let bytes = bytes.to_vec();
        Self(Source::Script { bytes, at: 0 })
    }

    /// Returns the next 64 bits.
    pub fn bits(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(state) => splitmix(state),
            Source::Script { bytes, at } if *at < bytes.len() => {
                let byte = u64::from(bytes[*at]);
                *at += 1;
                // Repeat the byte in every position: it then decides draws from small and large
                // ranges alike.
                byte.wrapping_mul(0x0101_0101_0101_0101)
            }
            Source::Script { .. } => {
                self.0 = Source::Seed(0);
                self.bits()
            }
        }
    }

    /// Returns true with the given probability, from 0 to 1. A probability of 0 draws no number.
    pub fn random_bool(&mut self, probability: f64) -> bool {
        probability > 0.0 && (self.bits() >> 11) as f64 / ((1_u64 << 53) as f64) < probability
    }

    /// Returns a number less than `bound`.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "no number is below 0");
        // The high half of a wide product: no division, and a bias too small to matter.
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// Returns a number in `range`.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn range(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        assert!(low <= high, "no number is within {low}..={high}");
        low + ((u128::from(self.bits()) * (u128::from(high - low) + 1)) >> 64) as u64
    }

    /// Returns a number in `range`, with a uniform order of magnitude.
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

    /// Returns a duration of at most `most`.
    pub fn duration_up_to(&mut self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.range(0..=nanos))
    }

    /// Returns one of the choices.
    ///
    /// # Panics
    /// If `choices` is empty.
    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Shuffles the items.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// Creates a second generator, whose draws do not affect this one.
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
    fn seed_yields_published_splitmix64_values() {
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
    fn draw_stays_within_bounds() {
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
    fn script_ends_seed_zero_follows() {
        let mut rng = Rng::scripted(&[255, 0]);
        assert!(!rng.random_bool(0.9));
        assert!(rng.random_bool(0.1));
        let mut after = Rng::new(0);
        assert_eq!(rng.bits(), after.bits());
    }
}
