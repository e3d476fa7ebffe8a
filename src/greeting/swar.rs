//! Eight bytes at a time, in one register.

/// The place of the first byte that is not in `0x20..=0x7e`, or the length if all are.
///
/// Text as short as a name is searched faster this way than by a search made for long texts, which
/// costs more to get under way than this does to finish.
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
    // The rest by the last eight bytes: those of them that were seen above have no mark.
    match bytes.last_chunk() {
        Some(last) => bytes.len() - 8 + first_mark(mark_unprintable(u64::from_le_bytes(*last))),
        None => first_mark(mark_unprintable(load(bytes))),
    }
}

/// The top bits of the bytes that are not in `0x20..=0x7e`. Behind the first mark there may be
/// marks that mean nothing.
///
/// For a byte below 0x80, adding 0x01 sets its top bit for 0x7f alone, and adding 0x60 sets it
/// unless the byte is below 0x20; neither carries into the next byte. A byte from 0x80 on has its
/// top bit set already, and what its carry spoils comes after it.
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

/// Up to seven bytes as a word, the first one lowest, zero where there are none.
#[inline]
fn load(bytes: &[u8]) -> u64 {
    let (Some(low), Some(high)) = (bytes.first_chunk(), bytes.last_chunk()) else {
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

/// One in each byte of a word.
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
    fn every_byte_at_every_place_of_every_short_text_is_judged_as_by_the_plain_rule() {
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
        fn any_bytes_are_judged_as_by_the_plain_rule(
            bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), prop::sample::select(vec![0x1f, 0x20, 0x7e, 0x7f, 0x80, 0xff])],
                0..40,
            )
        ) {
            prop_assert_eq!(first_unprintable(&bytes), plainly(&bytes));
        }
    }
}
