//! Eight bytes at a time, in one register.

/// The bytes as a word, the first one lowest, zero where there are none.
///
/// # Panics
/// If there are more than eight.
#[inline]
pub(super) fn load(bytes: &[u8]) -> u64 {
    if let Ok(word) = <[u8; 8]>::try_from(bytes) {
        return u64::from_le_bytes(word);
    }
    let (Some(low), Some(high)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) else {
        return load_bytewise(bytes);
    };
    // Where the halves overlap they agree.
    let high = u64::from(u32::from_le_bytes(*high)) << (8 * (bytes.len() - 4));
    u64::from(u32::from_le_bytes(*low)) | high
}

#[inline]
fn load_bytewise(bytes: &[u8]) -> u64 {
    let next = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
    bytes.iter().rev().fold(0, next)
}

/// The place of the first `byte` in `word`.
///
/// Where `word` has the byte, the difference has zero, and only subtracting one from zero sets a
/// top bit that was clear; a borrow can spoil only the places after it.
#[inline]
pub(super) fn find(byte: u8, word: u64) -> Option<usize> {
    let difference = word ^ (EACH * u64::from(byte));
    let hits = difference.wrapping_sub(EACH) & !difference & TOP_BITS;
    (hits != 0).then(|| hits.trailing_zeros() as usize / 8)
}

/// Whether all bytes of `word` are in `0x20..=0x7e`.
///
/// For a byte below 0x80, adding 0x01 sets its top bit for 0x7f alone, and adding 0x60 sets it
/// unless the byte is below 0x20; neither carries into the next byte. A byte from 0x80 on has its
/// top bit set already, so it does not matter what its carry spoils.
#[inline]
pub(super) fn is_printable(word: u64) -> bool {
    let too_high = word | word.wrapping_add(EACH);
    let too_low = !word.wrapping_add(EACH * 0x60);
    (too_high | too_low) & TOP_BITS == 0
}

/// One in each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;

const TOP_BITS: u64 = EACH * 0x80;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn up_to_eight_bytes_are_loaded_in_order(bytes in proptest::collection::vec(any::<u8>(), 0..=8)) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(&bytes);
            prop_assert_eq!(load(&bytes), u64::from_le_bytes(word));
        }

        #[test]
        fn the_first_of_equal_bytes_is_found(
            bytes in any::<[u8; 8]>(),
            low in proptest::array::uniform8(8_u8..13),
        ) {
            for bytes in [bytes, low] {
                let place = bytes.iter().position(|byte| *byte == b'\n');
                prop_assert_eq!(find(b'\n', u64::from_le_bytes(bytes)), place);
            }
        }

        #[test]
        fn a_word_is_printable_if_all_its_bytes_are(
            bytes in any::<[u8; 8]>(),
            close in proptest::array::uniform8(prop::sample::select(vec![0x1f, 0x20, 0x41, 0x7e, 0x7f, 0x80, 0xff])),
        ) {
            for bytes in [bytes, close] {
                let printable = bytes.iter().all(|byte| (0x20..=0x7e).contains(byte));
                prop_assert_eq!(is_printable(u64::from_le_bytes(bytes)), printable);
            }
        }
    }
}
