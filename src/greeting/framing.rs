//! How a name ends.
//!
//! TCP has no messages, so something in the bytes or in their timing must say where a name ends: a
//! line feed, a silence, or the end of the stream.

use std::fmt;
use std::str::FromStr;

use super::swar;

/// What ends a name. The end of the stream ends one as well, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// A line feed, or silence from a peer that has not sent a line feed yet: serves people at a
    /// terminal, programs that send lines, and programs that send bare names one at a time.
    #[default]
    Auto,
    /// A line feed alone: the mode for programs. The server never waits for silence.
    Line,
    /// Silence alone: a line feed means nothing but that one at the end is not part of the name.
    Silence,
}

/// A framing by a name that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFraming(String);

/// What ends the names of one peer: the [`Framing`], and what the peer has shown of itself since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delimiter {
    /// A line feed. In [`Framing::Auto`] this is a peer that has sent one.
    Line,
    /// A line feed or silence, whichever comes first.
    Either,
    /// Silence.
    Silence,
}

impl Framing {
    /// The framing's name, as the command line has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Line => "line",
            Self::Silence => "silence",
        }
    }

    /// What ends the names of a peer of which nothing is known yet.
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

/// A whole line at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The line without its ending.
    pub(super) text: &'a [u8],
    /// How many bytes it takes up with its ending.
    pub(super) bytes: usize,
}

/// The first whole line of `input`.
///
/// A partial line is searched again each time more of it has come. It is hardly longer than a name
/// may be (see [`is_too_long`]), so that costs less than remembering how far the search got would.
pub(super) fn first_line(input: &[u8]) -> Option<Line<'_>> {
    let end = memchr::memchr(b'\n', input)?;
    Some(Line {
        text: without_cr(&input[..end]),
        bytes: end + 1,
    })
}

/// The first line of `input` if it is whole, not empty, not longer than `bytes_max` and printable
/// ASCII, and so a name beyond doubt. Nearly every name is found and judged in this one pass.
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

/// The name that `bytes` are if no more follow: all of them but a line ending.
pub(super) fn trim_line_ending(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\n").map_or(bytes, without_cr)
}

/// Whether the name that begins with `bytes` is longer than `bytes_max`, whatever follows. What
/// could still turn out to be its line ending, or the first half of one, does not count.
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
        fn a_plain_line_is_the_first_line_and_a_name(
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
    fn every_framing_is_known_by_the_name_it_is_displayed_with() {
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
    fn one_carriage_return_before_the_line_feed_belongs_to_the_line_ending() {
        let first = |input| first_line(input).map(|line| (line.text, line.bytes));
        assert_eq!(first(b"Al\nBob\n"), Some((&b"Al"[..], 3)));
        assert_eq!(first(b"Al\r\n"), Some((&b"Al"[..], 4)));
        assert_eq!(first(b"Al\r\r\n"), Some((&b"Al\r"[..], 5)));
        assert_eq!(first(b"\n"), Some((&b""[..], 1)));
        assert_eq!(first(b"Al\r"), None);
    }

    #[test]
    fn without_more_to_come_everything_but_a_line_ending_is_the_name() {
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
    fn a_name_is_too_long_as_soon_as_no_line_ending_can_save_it() {
        for bytes in [&b"abc"[..], b"abc\r", b"abc\n", b"abc\r\n"] {
            assert!(!is_too_long(bytes, 3), "{bytes:?}");
        }
        for bytes in [&b"abcd"[..], b"abcd\r", b"abc\r\r", b"abc\r\r\n", b"abc\nd"] {
            assert!(is_too_long(bytes, 3), "{bytes:?}");
        }
    }
}
