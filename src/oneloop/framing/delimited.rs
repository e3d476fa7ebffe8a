//! Messages that end with a delimiter.

use super::encoded::Head;
use super::search::find;
use super::{Encoded, Frame, FramingError, Scanned, check_length};

/// Messages that end with a delimiter, which they cannot contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimited {
    ending: Ending,
    max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// A line feed, with or without a carriage return before it.
    Line,
    /// Exactly these bytes.
    Exactly(&'static [u8]),
}

impl Delimited {
    /// Creates a framing in which each message ends with `delimiter`, and has at most `max` bytes
    /// without it.
    ///
    /// # Panics
    /// If `delimiter` is empty.
    #[must_use]
    pub const fn new(delimiter: &'static [u8], max: usize) -> Self {
        assert!(!delimiter.is_empty(), "a delimiter has at least one byte");
        let ending = Ending::Exactly(delimiter);
        Self { ending, max }
    }

    /// Creates a framing in which each message is a line of at most `max` bytes.
    ///
    /// A line ends with a line feed. A carriage return before it belongs to the ending, and
    /// [`encode`](Self::encode) writes none.
    #[must_use]
    pub const fn lines(max: usize) -> Self {
        let ending = Ending::Line;
        Self { ending, max }
    }

    /// Returns the first complete message of `input`, or `None` if its delimiter has not arrived.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] as soon as the message must be longer than the maximum.
    #[inline]
    pub fn first<'a>(
        &self,
        input: &'a [u8],
        scanned: &mut Scanned,
    ) -> Result<Option<Frame<'a>>, FramingError> {
        let delimiter = self.delimiter();
        let window = &input[..input.len().min(self.frame_bytes_max())];
        let from = scanned.resume(window, delimiter.len());
        scanned.set(0);
        let Some(at) = find(window, from, delimiter) else {
            if self.must_be_longer(window) {
                return Err(FramingError::longer_than(self.max));
            }
            scanned.set(window.len());
            return Ok(None);
        };
        let body = self.without_carriage_return(&window[..at]);
        if body.len() > self.max {
            return Err(FramingError::longer_than(self.max));
        }
        let bytes = at + delimiter.len();
        let head = &[];
        Ok(Some(Frame { head, body, bytes }))
    }

    /// Encodes `body` as a frame.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] above the maximum, [`FramingError::DelimiterInBody`] if the peer
    /// would read a shorter body: one that contains the delimiter, or a line that ends with a
    /// carriage return.
    #[inline]
    pub fn encode<'a>(&self, body: &'a [u8]) -> Result<Encoded<'a>, FramingError> {
        check_length(body.len(), self.max)?;
        let delimiter = self.delimiter();
        let is_ambiguous = find(body, 0, delimiter).is_some()
            || begins_in(body, delimiter)
            || self.without_carriage_return(body).len() < body.len();
        if is_ambiguous {
            return Err(FramingError::DelimiterInBody);
        }
        Ok(Encoded::new(Head::EMPTY, body, delimiter))
    }

    /// Returns the length of the longest frame, with its delimiter.
    #[inline]
    #[must_use]
    pub const fn frame_bytes_max(&self) -> usize {
        let ending = match self.ending {
            Ending::Line => 2,
            Ending::Exactly(delimiter) => delimiter.len(),
        };
        self.max.saturating_add(ending)
    }

    #[inline]
    fn delimiter(&self) -> &'static [u8] {
        match self.ending {
            Ending::Line => b"\n",
            Ending::Exactly(delimiter) => delimiter,
        }
    }

    /// Returns true if a message that does not end in `window` must be longer than the maximum.
    #[inline]
    fn must_be_longer(&self, window: &[u8]) -> bool {
        match self.ending {
            // The last byte may belong to the ending.
            Ending::Line => self.without_carriage_return(window).len() > self.max,
            Ending::Exactly(_) => window.len() >= self.frame_bytes_max(),
        }
    }

    #[inline]
    fn without_carriage_return<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        match (self.ending, body) {
            (Ending::Line, [line @ .., b'\r']) => line,
            _ => body,
        }
    }
}

/// Returns true if `delimiter` begins in `body` when it follows: `a` and `aa`.
fn begins_in(body: &[u8], delimiter: &[u8]) -> bool {
    (1..delimiter.len())
        .any(|part| body.ends_with(&delimiter[..part]) && delimiter.starts_with(&delimiter[part..]))
}
