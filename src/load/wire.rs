//! The protocol as a client must see it, byte for byte. Written anew instead of shared with the
//! server, so that a mistake in the server's words is found and not repeated.

/// The first bytes of a server: the welcome and the first question.
pub(crate) const GREETING: &[u8] = b"Welcome!\nWhat's your name?";
/// The answer to `exit`; without `exit` it means that the server is shutting down.
pub(crate) const GOOD_BYE: &[u8] = b"Good bye!\n";
/// The name deadline has passed.
pub(crate) const TOO_SLOW: &[u8] = b"You took too long. Good bye!\n";
/// The answer of a full server.
pub(crate) const FULL: &[u8] = b"Sorry, the server is full. Please try again later.\n";
/// The name that ends a conversation.
pub(crate) const EXIT: &[u8] = b"exit";
/// The length of every name that is sent.
pub(crate) const NAME_BYTES: usize = 16;
/// The length of every answer: the reply and the next question.
pub(crate) const ANSWER_BYTES: usize = HELLO.len() + NAME_BYTES + QUESTION.len();

const HELLO: &[u8] = b"Hello ";
const QUESTION: &[u8] = b"!\nWhat's your name?";

/// A name: the slot that sends it, and the number of names that the slot sent before. No two names
/// within a run are alike (until a slot has sent 2^32), so an answer that belongs to another
/// connection, or comes twice, is a wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(u32, u32);

/// The result of comparing input with the bytes that must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All of them are there.
    Whole,
    /// They begin right.
    Partial,
    /// They are something else.
    Wrong,
}

impl Name {
    /// Returns the name number `number` of `slot`.
    #[inline]
    pub(crate) fn new(slot: u32, number: u64) -> Self {
        Self(slot, number as u32)
    }

    /// Returns the name's bytes.
    #[inline]
    pub(crate) fn bytes(self) -> [u8; NAME_BYTES] {
        let mut bytes = [0; NAME_BYTES];
        let (slot, number) = bytes.split_at_mut(NAME_BYTES / 2);
        slot.copy_from_slice(&hexadecimal(self.0));
        number.copy_from_slice(&hexadecimal(self.1));
        bytes
    }

    /// Compares `input` with the answer that this name must yield.
    #[inline]
    pub(crate) fn judge(self, input: &[u8]) -> Verdict {
        let Some(input) = input.first_chunk::<ANSWER_BYTES>() else {
            return judge(input, &self.answer());
        };
        if *input == self.answer() {
            Verdict::Whole
        } else {
            Verdict::Wrong
        }
    }

    /// Returns the answer that this name must yield.
    #[inline]
    pub(crate) fn answer(self) -> [u8; ANSWER_BYTES] {
        let mut answer = [0; ANSWER_BYTES];
        let (hello, rest) = answer.split_at_mut(HELLO.len());
        let (name, question) = rest.split_at_mut(NAME_BYTES);
        hello.copy_from_slice(HELLO);
        name.copy_from_slice(&self.bytes());
        question.copy_from_slice(QUESTION);
        answer
    }
}

/// Compares the beginning of `input` with `expected`.
pub(crate) fn judge(input: &[u8], expected: &[u8]) -> Verdict {
    let length = input.len().min(expected.len());
    if input[..length] != expected[..length] {
        Verdict::Wrong
    } else if length == expected.len() {
        Verdict::Whole
    } else {
        Verdict::Partial
    }
}

/// Returns the number in eight lower-case digits; all at once, because every name and every
/// comparison needs two of them.
#[inline]
fn hexadecimal(number: u32) -> [u8; 8] {
    let mut nibbles = u64::from(number);
    nibbles = (nibbles << 16 | nibbles) & 0x0000_ffff_0000_ffff;
    nibbles = (nibbles << 8 | nibbles) & 0x00ff_00ff_00ff_00ff;
    nibbles = (nibbles << 4 | nibbles) & (EACH * 0x0f);
    let letters = (nibbles + EACH * 6) >> 4 & EACH;
    let to_letter = u64::from(b'a' - b'9' - 1);
    (nibbles + EACH * u64::from(b'0') + letters * to_letter).to_be_bytes()
}

/// One in each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_slot_and_number_in_hexadecimal() {
        for (slot, number) in [(0, 0), (1, 9), (10, 15), (0x0123_4567, 0x89ab_cdef)] {
            let expected = format!("{slot:08x}{number:08x}");
            assert_eq!(Name::new(slot, number).bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn answer_is_whole_partial_or_wrong() {
        let name = Name::new(7, 12);
        let answer = b"Hello 000000070000000c!\nWhat's your name?";
        assert_eq!(name.answer(), *answer);
        assert_eq!(name.judge(answer), Verdict::Whole);
        assert_eq!(
            name.judge(&[&answer[..], b"Hello"].concat()),
            Verdict::Whole
        );
        for length in 0..answer.len() {
            assert_eq!(name.judge(&answer[..length]), Verdict::Partial);
            let mut wrong = *answer;
            wrong[length] ^= 1;
            assert_eq!(name.judge(&wrong), Verdict::Wrong);
            assert_eq!(name.judge(&wrong[..=length]), Verdict::Wrong);
        }
    }
}
