//! The end of a name: a line feed, a silence, or the end of the stream.
//!
//! TCP has no messages, so bytes or their timing must mark it.

use std::fmt;
use std::str::FromStr;

use super::swar;

/// The end of a name. The end of the stream always ends one too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// A line feed, or silence if the peer has not sent a line feed yet. Serves people at a
    /// terminal, programs that send lines, and programs that send bare names one at a time.
    #[default]
    Auto,
    /// A line feed, for programs. The server never waits for silence.
    Line,
    /// Silence. A line feed has no meaning, except that a final one is not part of the name.
    Silence,
}

/// Error returned when the name of a framing cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFraming(String);

/// The end of one peer's names: the [`Framing`], refined by its input so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delimiter {
    /// A line feed. In [`Framing::Auto`] the peer has sent one.
    Line,
    /// A line feed or silence, whichever comes first.
    Either,
    /// Silence.
    Silence,
}

impl Framing {
    /// Returns the framing's name, as on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Line => "line",
            Self::Silence => "silence",
        }
    }

    /// Returns the delimiter for a new peer.
    pub(super) const fn delimiter(self) -> Delimiter {
        match self {
            Self::Auto => Delimiter::Either,
            Self::Line => Delimiter::Line,
            Self::Silence => Delimiter::Silence,
        }
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Framing {
    type Err = UnknownFraming;

    fn from_str(name: &str) -> Result<Self, UnknownFraming> {
        match name {
            "auto" => Ok(Self::Auto),
            "line" => Ok(Self::Line),
            "silence" => Ok(Self::Silence),
            _ => Err(UnknownFraming(name.to_owned())),
        }
    }
}

impl fmt::Display for UnknownFraming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name) = self;
        write!(f, "there is no framing {name:?}: use auto, line or silence")
    }
}

impl std::error::Error for UnknownFraming {}

/// A complete line at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The line without its ending.
    pub(super) text: &'a [u8],
    /// Its length in bytes with its ending.
    pub(super) bytes: usize,
}

/// Returns the first complete line of `input`.
///
/// A partial line is searched again when more of it arrives. It is hardly longer than a name (see
/// [`is_too_long`]), so this costs less than to store the position.
pub(super) fn first_line(input: &[u8]) -> Option<Line<'_>> {
    let end = memchr::memchr(b'\n', input)?;
    Some(Line {
        text: without_cr(&input[..end]),
        bytes: end + 1,
    })
}

/// Returns the first line of `input` if it is a plain name: complete, printable ASCII, of 1 to
/// `bytes_max` bytes.
///
/// One pass finds and checks nearly every name.
#[inline(always)]
pub(super) fn plain_line(input: &[u8], bytes_max: usize) -> Option<Line<'_>> {
    let end = swar::first_unprintable(input);
    let bytes = match &input[end..] {
        [b'\n', ..] => end + 1,
        [b'\r', b'\n', ..] => end + 2,
        _ => return None,
    };
    let text = &input[..end];
    (1..=bytes_max)
        .contains(&end)
        .then_some(Line { text, bytes })
}

/// Returns the name in `bytes` without its line ending, if any.
pub(super) fn trim_line_ending(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\n").map_or(bytes, without_cr)
}

/// Returns true if the name that begins with `bytes` must be longer than `bytes_max`.
///
/// Bytes that may be its line ending, or the first half of one, do not count.
#[inline]
pub(super) fn is_too_long(bytes: &[u8], bytes_max: usize) -> bool {
    let trimmed = || without_cr(bytes.strip_suffix(b"\n").unwrap_or(bytes));
    bytes.len() > bytes_max && trimmed().len() > bytes_max
}

#[inline]
fn without_cr(line: &[u8]) -> &[u8] {
    match line {
        [line @ .., b'\r'] => line,
        line => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn plain_line_is_first_line_and_plain_name(
            input in "[a\u{c0}\u{7f} \r\n]{0,20}\r?\n?[a\r\n]{0,9}"
        ) {
            let input = input.as_bytes();
            let is_plain = |line: &Line<'_>| {
                let printable = line.text.iter().all(|byte| (0x20..=0x7e).contains(byte));
                printable && (1..=9).contains(&line.text.len())
            };
            prop_assert_eq!(plain_line(input, 9), first_line(input).filter(is_plain));
        }
    }

    #[test]
    fn framing_parses_from_its_displayed_name() {
        for framing in [Framing::Auto, Framing::Line, Framing::Silence] {
            assert_eq!(framing.to_string().parse(), Ok(framing));
        }
        let unknown = "Line".parse::<Framing>().unwrap_err().to_string();
        assert_eq!(
            unknown,
            "there is no framing \"Line\": use auto, line or silence"
        );
    }

    #[test]
    fn line_ending_includes_one_carriage_return() {
        let first = |input| first_line(input).map(|line| (line.text, line.bytes));
        assert_eq!(first(b"Al\nBob\n"), Some((&b"Al"[..], 3)));
        assert_eq!(first(b"Al\r\n"), Some((&b"Al"[..], 4)));
        assert_eq!(first(b"Al\r\r\n"), Some((&b"Al\r"[..], 5)));
        assert_eq!(first(b"\n"), Some((&b""[..], 1)));
        assert_eq!(first(b"Al\r"), None);
    }

    #[test]
    fn final_name_excludes_one_line_ending() {
        for (bytes, name) in [
            (&b"Al"[..], &b"Al"[..]),
            (b"Al\n", b"Al"),
            (b"Al\r\n", b"Al"),
            (b"Al\r", b"Al\r"),
            (b"Al\n\n", b"Al\n"),
            (b"A\nl\r\r\n", b"A\nl\r"),
            (b"\r\n", b""),
        ] {
            assert_eq!(trim_line_ending(bytes), name);
        }
    }

    #[test]
    fn name_is_too_long_beyond_possible_line_ending() {
        for bytes in [&b"abc"[..], b"abc\r", b"abc\n", b"abc\r\n"] {
            assert!(!is_too_long(bytes, 3), "{bytes:?}");
        }
        for bytes in [&b"abcd"[..], b"abcd\r", b"abc\r\r", b"abc\r\r\n", b"abc\nd"] {
            assert!(is_too_long(bytes, 3), "{bytes:?}");
        }
    }
}
