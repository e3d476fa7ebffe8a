//! What a name may be.

/// A name that may be greeted: UTF-8 without control characters, not too long. What it holds goes
/// out as it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a>(&'a [u8]);

/// Why some bytes are no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// More bytes than allowed.
    TooLong,
    /// Not UTF-8.
    NotUtf8,
    /// Contains a character of Unicode's category Cc.
    ControlCharacter,
}

impl<'a> Name<'a> {
    /// The name that `bytes`, without their line ending, are.
    ///
    /// # Errors
    /// The first [`Fault`] in the order of that enum.
    #[inline]
    pub(super) fn parse(bytes: &'a [u8], bytes_max: usize) -> Result<Self, Fault> {
        if bytes.len() > bytes_max {
            return Err(Fault::TooLong);
        }
        // Nearly every name is printable ASCII, which is told at a fraction of the price of UTF-8.
        if !is_printable_ascii(bytes) {
            check_text(bytes)?;
        }
        Ok(Self(bytes))
    }

    /// The bytes as they came.
    #[inline]
    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

fn check_text(bytes: &[u8]) -> Result<(), Fault> {
    let text = str::from_utf8(bytes).map_err(|_| Fault::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(Fault::ControlCharacter);
    }
    Ok(())
}

/// Whether all bytes are in `0x20..=0x7e`; looks at eight at a time. The last word may overlap the
/// one before, which costs less than going through a remainder byte by byte.
#[inline]
fn is_printable_ascii(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<8>() {
        let (words, _) = bytes.as_chunks::<8>();
        return words
            .iter()
            .chain([last])
            .all(|word| is_printable_word(*word));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let [a, b, c, d] = *first;
        let [e, f, g, h] = *last;
        return is_printable_word([a, b, c, d, e, f, g, h]);
    }
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// For a byte below 0x80, adding 0x01 sets its top bit for 0x7f alone, and adding 0x60 sets it
/// unless the byte is below 0x20; neither carries into the next byte. A byte from 0x80 on has its
/// top bit set already, so it does not matter what its carry spoils.
#[inline]
fn is_printable_word(word: [u8; 8]) -> bool {
    let word = u64::from_ne_bytes(word);
    let too_high = word | word.wrapping_add(EACH);
    let too_low = !word.wrapping_add(EACH * 0x60);
    (too_high | too_low) & (EACH * 0x80) == 0
}

/// One in each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plainly_printable(bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| (0x20..=0x7e).contains(byte))
    }

    #[test]
    fn every_byte_at_every_place_of_every_short_name_is_judged_as_by_the_plain_rule() {
        for length in 1..=25 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut name = vec![b'a'; length];
                    name[place] = byte;
                    assert_eq!(
                        is_printable_ascii(&name),
                        plainly_printable(&name),
                        "{name:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn control_characters_are_refused_and_all_other_characters_are_not() {
        for character in '\0'..=char::MAX {
            let text = format!("ab{character}");
            let expected = match character {
                '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Err(Fault::ControlCharacter),
                _ => Ok(Name(text.as_bytes())),
            };
            assert_eq!(Name::parse(text.as_bytes(), 9), expected, "{character:?}");
        }
    }

    #[test]
    fn a_name_may_be_as_long_as_allowed_and_no_longer() {
        assert!(Name::parse(b"12345678", 8).is_ok());
        assert_eq!(Name::parse(b"123456789", 8), Err(Fault::TooLong));
        assert_eq!(Name::parse(b"\xff\0", 1), Err(Fault::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_as_by_the_plain_rules(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let expected = match str::from_utf8(&bytes) {
                Err(_) => Err(Fault::NotUtf8),
                Ok(text) if text.chars().any(char::is_control) => Err(Fault::ControlCharacter),
                Ok(_) => Ok(Name(&bytes)),
            };
            prop_assert_eq!(Name::parse(&bytes, 40), expected);
        }
    }
}
