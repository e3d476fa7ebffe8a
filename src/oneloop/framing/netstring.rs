//! Netstrings: `5:hello,`.

use super::encoded::Head;
use super::{Encoded, Frame, FramingError, check_length};

/// Messages as netstrings: a length in decimal digits, a colon, the message, a comma.
///
/// As [defined](https://cr.yp.to/proto/netstrings.txt), a length has no leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Netstring {
    max: usize,
}

impl Netstring {
    /// Creates a framing in which each message has at most `max` bytes.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { max }
    }

    /// Returns the first complete message of `input`, or `None` if it has not arrived.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] as soon as the digits exceed the maximum,
    /// [`FramingError::InvalidByte`] for a byte that is no digit, colon or comma at its place.
    pub fn first<'a>(&self, input: &'a [u8]) -> Result<Option<Frame<'a>>, FramingError> {
        let Some((head, body)) = self.lengths(input)? else {
            return Ok(None);
        };
        let Some(&comma) = input.get(head.saturating_add(body)) else {
            return Ok(None);
        };
        if comma != b',' {
            return Err(FramingError::InvalidByte(comma));
        }
        let (head, rest) = input.split_at(head);
        Ok(Some(Frame {
            head,
            body: &rest[..body],
            bytes: head.len() + body + 1,
        }))
    }

    /// Encodes `body` as a frame.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] above the maximum.
    pub fn encode<'a>(&self, body: &'a [u8]) -> Result<Encoded<'a>, FramingError> {
        check_length(body.len(), self.max)?;
        let mut head = Head::of(b":");
        head.push_digits_front(body.len() as u64);
        Ok(Encoded::new(head, body, b","))
    }

    /// Returns the length of the longest frame, with its length and its comma.
    #[must_use]
    pub const fn frame_bytes_max(&self) -> usize {
        let digits = match self.max.checked_ilog10() {
            Some(tens) => tens as usize + 1,
            None => 1,
        };
        self.max.saturating_add(digits + 2)
    }

    /// Returns the lengths of the head, with its colon, and of the body.
    fn lengths(&self, input: &[u8]) -> Result<Option<(usize, usize)>, FramingError> {
        let mut length = 0_u64;
        for (number, &byte) in input.iter().enumerate() {
            match byte {
                // The loop ends at the latest with the digit that exceeds the maximum.
                b'0'..=b'9' if number == 0 || length > 0 => {
                    length = self.push_digit(length, byte)?;
                }
                b':' if number > 0 => {
                    let body = usize::try_from(length).map_err(|_| self.too_long(length))?;
                    return Ok(Some((number + 1, body)));
                }
                _ => return Err(FramingError::InvalidByte(byte)),
            }
        }
        Ok(None)
    }

    fn push_digit(&self, length: u64, digit: u8) -> Result<u64, FramingError> {
        let length = length
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'));
        if length > self.max as u64 {
            return Err(self.too_long(length));
        }
        Ok(length)
    }

    fn too_long(&self, length: u64) -> FramingError {
        let max = self.max;
        FramingError::TooLong { length, max }
    }
}
