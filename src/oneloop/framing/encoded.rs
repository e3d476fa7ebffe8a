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
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    bytes: [u8; 23],
    filled: u8,
}

impl Head {
    #[inline]
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut head = Self::default();
        bytes.iter().for_each(|&byte| head.push(byte));
        head
    }

    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.bytes[usize::from(self.filled)] = byte;
        self.filled += 1;
    }

    /// Appends a number in decimal digits.
    #[inline]
    pub(super) fn push_digits(&mut self, number: u64) {
        if number < 10 {
            return self.push(b'0' + number as u8);
        }
        let tens = 10_u64.pow(number.ilog10());
        let places = std::iter::successors(Some(tens), |&place| (place > 1).then_some(place / 10));
        places.for_each(|place| self.push(b'0' + (number / place % 10) as u8));
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.filled)]
    }
}
