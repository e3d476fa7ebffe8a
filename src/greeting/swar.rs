//! A search of eight bytes at a time in one register (SWAR).

/// Returns the position of the first byte that is not in `0x20..=0x7e`, or the length.
///
/// This is faster for texts as short as names than a search made for long ones, because the setup
/// of that alone takes longer.
#[inline(always)]
pub(super) fn first_unprintable(bytes: &[u8]) -> usize {
    let mut place = 0;
    while let Some(word) = bytes[place..].first_chunk() {
        let marks = mark_unprintable(u64::from_le_bytes(*word));
        if marks != 0 {
            return place + first_mark(marks);
        }
        place += 8;
    }
    // Check the rest with the last eight bytes; those already seen have no mark.
    match bytes.last_chunk() {
        Some(last) => bytes.len() - 8 + first_mark(mark_unprintable(u64::from_le_bytes(*last))),
        None => first_mark(mark_unprintable(load(bytes))),
    }
}

/// Marks the bytes that are not in `0x20..=0x7e` by their top bits. Only the first mark is
/// reliable.
///
/// For a byte below 0x80, adding 0x01 sets its top bit for 0x7f alone, and adding 0x60 sets it
/// unless the byte is below 0x20; neither carries into the next byte. A byte from 0x80 on has its
/// top bit set already, and its carry affects only later bytes.
#[inline]
fn mark_unprintable(word: u64) -> u64 {
    let too_high = word | word.wrapping_add(EACH);
    let too_low = !word.wrapping_add(EACH * 0x60);
    (too_high | too_low) & TOP_BITS
}

#[inline]
fn first_mark(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

/// Loads up to seven bytes as a little-endian word, padded with zeros.
#[inline]
fn load(bytes: &[u8]) -> u64 {
    let (Some(low), Some(high)) = (bytes.first_chunk(), bytes.last_chunk()) else {
        return load_bytewise(bytes);
    };
    // The halves agree where they overlap.
    let high = u64::from(u32::from_le_bytes(*high)) << (8 * (bytes.len() - 4));
    u64::from(u32::from_le_bytes(*low)) | high
}

#[inline]
fn load_bytewise(bytes: &[u8]) -> u64 {
    let next = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
    bytes.iter().rev().fold(0, next)
}

/// The value 1 in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

const TOP_BITS: u64 = EACH * 0x80;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plainly(bytes: &[u8]) -> usize {
        let unprintable = |byte: &u8| !(0x20..=0x7e).contains(byte);
        bytes.iter().position(unprintable).unwrap_or(bytes.len())
    }

    #[test]
    fn short_text_with_any_byte_agrees_with_plain_rule() {
        for length in 0..=25 {
            assert_eq!(first_unprintable(&vec![b'a'; length]), length);
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'a'; length];
                    text[place] = byte;
                    assert_eq!(first_unprintable(&text), plainly(&text), "{text:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_agree_with_plain_rule(
            bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), prop::sample::select(vec![0x1f, 0x20, 0x7e, 0x7f, 0x80, 0xff])],
                0..40,
            )
        ) {
            prop_assert_eq!(first_unprintable(&bytes), plainly(&bytes));
        }
    }
}
