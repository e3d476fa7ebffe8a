//! The names that are sent, and their answers.

use crate::wire::{HELLO, HELLO_END_AND_QUESTION};

/// A name of eight hexadecimal digits: the low half of a client's number, and of the number of
/// names that the client sent before.
///
/// Names in flight differ, so an answer to another client, or to an earlier name, is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(u32);

impl Name {
    /// The length of every name.
    pub const BYTES: usize = 8;
    /// The length of every answer: the reply and the next question.
    pub const ANSWER_BYTES: usize = HELLO.len() + Self::BYTES + HELLO_END_AND_QUESTION.len();

    /// Returns the name number `number` of client `client`.
    #[inline]
    #[must_use]
    pub const fn new(client: u32, number: u64) -> Self {
        Self(client << 16 | (number as u32 & 0xffff))
    }

    /// Returns the name's bytes. All digits are computed at once, because every name and every
    /// comparison needs them.
    #[inline]
    #[must_use]
    pub fn bytes(self) -> [u8; Self::BYTES] {
        let mut nibbles = u64::from(self.0);
        nibbles = (nibbles << 16 | nibbles) & 0x0000_ffff_0000_ffff;
        nibbles = (nibbles << 8 | nibbles) & 0x00ff_00ff_00ff_00ff;
        nibbles = (nibbles << 4 | nibbles) & (EACH * 0x0f);
        let letters = (nibbles + EACH * 6) >> 4 & EACH;
        let to_letter = u64::from(b'a' - b'9' - 1);
        (nibbles + EACH * u64::from(b'0') + letters * to_letter).to_be_bytes()
    }

    /// Returns the answer that this name must receive.
    #[inline]
    #[must_use]
    pub fn answer(self) -> [u8; Self::ANSWER_BYTES] {
        let mut answer = [0; Self::ANSWER_BYTES];
        let (hello, rest) = answer.split_at_mut(HELLO.len());
        let (name, question) = rest.split_at_mut(Self::BYTES);
        hello.copy_from_slice(HELLO.as_bytes());
        name.copy_from_slice(&self.bytes());
        question.copy_from_slice(HELLO_END_AND_QUESTION.as_bytes());
        answer
    }
}

/// One in each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_client_and_number_in_hexadecimal() {
        for (client, number) in [(0, 0), (1, 9), (10, 15), (0x0123, 0x89ab), (0xffff, 0xcdef)] {
            let expected = format!("{client:04x}{number:04x}");
            assert_eq!(Name::new(client, number).bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn answer_is_reply_and_question() {
        let answer = crate::wire::reply("0007000c");
        assert_eq!(Name::new(7, 12).answer(), answer.as_bytes());
    }
}
