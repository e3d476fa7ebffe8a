//! A frame to send.

/// A frame to send, in parts that need no copy: see [`parts`](Self::parts).
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a> {
    head: Head,
    body: &'a [u8],
    tail: &'static [u8],
}

impl<'a> Encoded<'a> {
    pub(super) fn new(head: Head, body: &'a [u8], tail: &'static [u8]) -> Self {
        Self { head, body, tail }
    }

    /// Returns the frame's head, body and delimiter, for
    /// [`write_parts`](crate::Context::write_parts). One that the framing does not have is empty.
    #[inline]
    #[must_use]
    pub fn parts(&self) -> [&[u8]; 3] {
        [self.head.as_slice(), self.body, self.tail]
    }

    /// Returns the length of the whole frame.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }
}

/// Up to 23 bytes: a letter, 64 bits in decimal digits with a sign, and the end of a line.
///
/// It is written from its end, as digits are computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    start: u8,
}

impl Head {
    pub(super) const EMPTY: Self = Self {
        bytes: [0; HEAD_BYTES_MAX],
        start: HEAD_BYTES_MAX as u8,
    };

    #[inline]
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut head = Self::EMPTY;
        head.push_front(bytes);
        head
    }

    #[inline]
    pub(super) fn push_front(&mut self, bytes: &[u8]) {
        for &byte in bytes.iter().rev() {
            self.start -= 1;
            self.bytes[usize::from(self.start)] = byte;
        }
    }

    /// Puts a number in decimal digits in front.
    #[inline]
    pub(super) fn push_digits_front(&mut self, mut number: u64) {
        while number >= 10 {
            self.push_front(&[b'0' + (number % 10) as u8]);
            number /= 10;
        }
        self.push_front(&[b'0' + number as u8]);
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

const HEAD_BYTES_MAX: usize = 23;
