//! The greeting protocol, written independently of the server so that a mistake in the server's
//! strings is found.

pub const GREETING: &[u8] = b"Welcome!\nWhat's your name?";
pub const EXIT: &[u8] = b"exit\n";
pub const GOOD_BYE: &[u8] = b"Good bye!\n";

/// A name and its line feed.
pub const ASKED_BYTES: usize = NAME_BYTES + 1;
/// An answer: the reply and the next question.
pub const ANSWER_BYTES: usize = HELLO.len() + NAME_BYTES + QUESTION.len();

/// Returns name number `number` of `client`. Names in flight differ, so that an answer to another
/// client's name, or to an earlier one, is found.
pub fn name(client: u32, number: u32) -> [u8; NAME_BYTES] {
    let digits = u64::from(client & 0xffff) << 16 | u64::from(number & 0xffff);
    std::array::from_fn(|at| DIGITS[(digits >> (4 * (NAME_BYTES - 1 - at))) as usize & 15])
}

/// Returns the line that sends a name.
#[inline]
pub fn asked(client: u32, number: u32) -> [u8; ASKED_BYTES] {
    let mut asked = [b'\n'; ASKED_BYTES];
    asked[..NAME_BYTES].copy_from_slice(&name(client, number));
    asked
}

/// Returns the expected answer to a name.
#[inline]
pub fn answer(client: u32, number: u32) -> [u8; ANSWER_BYTES] {
    let mut answer = [0; ANSWER_BYTES];
    answer[..HELLO.len()].copy_from_slice(HELLO);
    answer[HELLO.len()..][..NAME_BYTES].copy_from_slice(&name(client, number));
    answer[HELLO.len() + NAME_BYTES..].copy_from_slice(QUESTION);
    answer
}

const NAME_BYTES: usize = 8;
const HELLO: &[u8] = b"Hello ";
const QUESTION: &[u8] = b"!\nWhat's your name?";
const DIGITS: &[u8; 16] = b"0123456789abcdef";
