//! What a name may be.

/// Some bytes, and what is known of them already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    /// Known to be printable ASCII, as nearly every name is.
    pub(super) plain: bool,
}

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

impl<'a> From<&'a [u8]> for Text<'a> {
    /// Bytes of which nothing is known.
    fn from(bytes: &'a [u8]) -> Self {
        let plain = false;
        Self { bytes, plain }
    }
}

impl<'a> Name<'a> {
    /// The name that `text`, without its line ending, is.
    ///
    /// # Errors
    /// The first [`Fault`] in the order of that enum.
    #[inline(always)]
    pub(super) fn parse(text: Text<'a>, bytes_max: usize) -> Result<Self, Fault> {
        if text.bytes.len() > bytes_max {
            return Err(Fault::TooLong);
        }
        if !text.plain {
            check_text(text.bytes)?;
        }
        Ok(Self(text.bytes))
    }

    /// The bytes as they came.
    #[inline]
    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

#[inline(never)]
fn check_text(bytes: &[u8]) -> Result<(), Fault> {
    let text = str::from_utf8(bytes).map_err(|_| Fault::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(Fault::ControlCharacter);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_are_refused_and_all_other_characters_are_not() {
        for character in '\0'..=char::MAX {
            let text = format!("ab{character}");
            let expected = match character {
                '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Err(Fault::ControlCharacter),
                _ => Ok(Name(text.as_bytes())),
            };
            assert_eq!(
                Name::parse(text.as_bytes().into(), 9),
                expected,
                "{character:?}"
            );
        }
    }

    #[test]
    fn a_name_may_be_as_long_as_allowed_and_no_longer() {
        assert!(Name::parse(b"12345678"[..].into(), 8).is_ok());
        assert_eq!(Name::parse(b"123456789"[..].into(), 8), Err(Fault::TooLong));
        assert_eq!(Name::parse(b"\xff\0"[..].into(), 1), Err(Fault::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_as_by_the_plain_rules(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let expected = match str::from_utf8(&bytes) {
                Err(_) => Err(Fault::NotUtf8),
                Ok(text) if text.chars().any(char::is_control) => Err(Fault::ControlCharacter),
                Ok(_) => Ok(Name(&bytes)),
            };
            prop_assert_eq!(Name::parse(bytes[..].into(), 40), expected);
        }
    }
}
