//! Bytes from a peer as text that is safe in a log: reversible, one line, printable ASCII only.
//!
//! A peer chooses its bytes, so what is logged of them must not be able to forge a log line, move
//! the cursor or colour a terminal, and must still tell the reader exactly what came.

use std::fmt::{self, Write};

/// Displays bytes as printable ASCII: a backslash becomes `\\`, every byte outside of
/// `0x20..=0x7e` becomes `\xNN` (lower case), all others stay what they are.
///
/// ```
/// use oneloop::escape::Escaped;
/// assert_eq!(Escaped(b"Zo\xc3\xab\\\n").to_string(), r"Zo\xc3\xab\\\x0a");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b'\\' => f.write_str(r"\\")?,
                b' '..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, r"\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

/// The bytes that [`Escaped`] displayed as `text`; `None` if it never displays such a text.
#[must_use]
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = first(rest) {
        bytes.push(byte);
        rest = after;
    }
    rest.is_empty().then_some(bytes)
}

/// The first byte that was escaped and the text behind it. `None` at the end, and at what is no
/// escaped byte: the caller sees which by what is left.
fn first(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'\\', b'\\', rest @ ..] => Some((b'\\', rest)),
        [b'\\', b'x', high, low, rest @ ..] => {
            let byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
            // What is printable has one spelling only, so that equal texts mean equal bytes.
            (!matches!(byte, b' '..=b'~')).then_some((byte, rest))
        }
        [b'\\', ..] => None,
        [byte @ b' '..=b'~', rest @ ..] => Some((*byte, rest)),
        _ => None,
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_forge_a_log_line_is_spelled_out() {
        let shown = Escaped(b"a\r\nINFO forged \x1b[31m\x00\x7f\xff\\").to_string();
        assert_eq!(shown, r"a\x0d\x0aINFO forged \x1b[31m\x00\x7f\xff\\");
    }

    #[test]
    fn text_that_is_never_displayed_is_not_unescaped() {
        for text in [
            r"\", r"\x", r"\x0", r"\xZZ", r"\xAA", r"\n", r"\x41", "é", "\n", r"a\",
        ] {
            assert_eq!(unescape(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_byte_string_is_displayed_in_printable_ascii_and_comes_back(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let shown = Escaped(&bytes).to_string();
            prop_assert!(shown.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert_eq!(unescape(&shown), Some(bytes));
        }

        #[test]
        fn what_is_unescaped_is_displayed_as_the_same_text(text in r"([ -~]|\\x[0-9a-f]{2}){0,20}") {
            if let Some(bytes) = unescape(&text) {
                prop_assert_eq!(Escaped(&bytes).to_string(), text);
            }
        }
    }
}
