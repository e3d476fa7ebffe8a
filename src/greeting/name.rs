//! The rules for names.

/// A valid name: UTF-8 without control characters, not too long. It is sent back unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a>(&'a [u8]);

/// The reason why bytes are not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvalidName {
    /// More bytes than allowed.
    TooLong,
    /// Not UTF-8.
    NotUtf8,
    /// Contains a character of Unicode's category Cc.
    ControlCharacter,
}

impl<'a> Name<'a> {
    /// Parses a name from `bytes`, which have no line ending.
    ///
    /// # Errors
    /// The first [`InvalidName`] that applies, in the order of that enum.
    pub(super) fn parse(bytes: &'a [u8], bytes_max: usize) -> Result<Self, InvalidName> {
        if bytes.len() > bytes_max {
            return Err(InvalidName::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| InvalidName::NotUtf8)?;
        if text.chars().any(char::is_control) {
            return Err(InvalidName::ControlCharacter);
        }
        Ok(Self(bytes))
    }

    /// Returns the bytes, unchanged.
    #[inline]
    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_alone_are_rejected() {
        for character in '\0'..=char::MAX {
            let text = format!("ab{character}");
            let expected = match character {
                '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Err(InvalidName::ControlCharacter),
                _ => Ok(Name(text.as_bytes())),
            };
            assert_eq!(Name::parse(text.as_bytes(), 9), expected, "{character:?}");
        }
    }

    #[test]
    fn name_length_limit_is_inclusive() {
        assert!(Name::parse(b"12345678", 8).is_ok());
        assert_eq!(Name::parse(b"123456789", 8), Err(InvalidName::TooLong));
        assert_eq!(Name::parse(b"\xff\0", 1), Err(InvalidName::TooLong));
    }

    proptest! {
        #[test]
        fn parse_agrees_with_plain_rules(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let expected = match str::from_utf8(&bytes) {
                Err(_) => Err(InvalidName::NotUtf8),
                Ok(text) if text.chars().any(char::is_control) => Err(InvalidName::ControlCharacter),
                Ok(_) => Ok(Name(&bytes)),
            };
            prop_assert_eq!(Name::parse(&bytes, 40), expected);
        }
    }
}
