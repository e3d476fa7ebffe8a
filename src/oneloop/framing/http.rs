//! The head of an HTTP message.

use super::search::find;
use super::{Frame, FramingError, Scanned};

/// The head of an HTTP/1 message: its first line and its fields, up to the empty line.
///
/// It finds only the end, so that a parser such as `httparse` runs once for each head, however
/// slowly it arrives. A line ends with a line feed, with or without a carriage return (RFC 9112,
/// section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpHead {
    max: usize,
}

impl HttpHead {
    /// Creates a framing for heads of at most `max` bytes, with the empty line.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { max }
    }

    /// Returns the first complete head of `input`, or `None` if its empty line has not arrived.
    ///
    /// The body of the frame is the head with its empty line. It is empty for an empty line before
    /// a head, which a server ignores.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] as soon as the head must be longer than the maximum.
    #[inline]
    pub fn first<'a>(
        &self,
        input: &'a [u8],
        scanned: &mut Scanned,
    ) -> Result<Option<Frame<'a>>, FramingError> {
        let window = &input[..input.len().min(self.max)];
        let from = scanned.resume(window, END_BYTES_MAX);
        scanned.set(0);
        let head = &[];
        if let Some(bytes) = empty_line(window) {
            let body = &[];
            return Ok(Some(Frame { head, body, bytes }));
        }
        if let Some(bytes) = end(window, from) {
            let body = &window[..bytes];
            return Ok(Some(Frame { head, body, bytes }));
        }
        if window.len() == self.max {
            return Err(FramingError::longer_than(self.max));
        }
        scanned.set(window.len());
        Ok(None)
    }

    /// Returns the length of the longest head, with its empty line.
    #[must_use]
    pub const fn frame_bytes_max(&self) -> usize {
        self.max
    }
}

/// Returns the position behind the first empty line that ends a head, from `from` on.
#[inline]
fn end(window: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let next = find(window, from, b"\n")? + 1;
        if let Some(bytes) = empty_line(&window[next..]) {
            return Some(next + bytes);
        }
        from = next;
    }
}

/// Returns the length of the empty line with which `input` begins, if it does.
#[inline]
fn empty_line(input: &[u8]) -> Option<usize> {
    match input {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

/// A line feed, and an empty line of two bytes.
const END_BYTES_MAX: usize = 3;
