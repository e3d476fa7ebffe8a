//! The greeting protocol as a client must see it. Written anew instead of shared with a server, so
//! that a mistake in the server's words is found and not repeated.

pub const GREETING: &[u8] = b"Welcome!\nWhat's your name?";
pub const EXIT: &[u8] = b"exit\n";
pub const GOOD_BYE: &[u8] = b"Good bye!\n";

/// A name and its line feed.
pub const ASKED_BYTES: usize = NAME_BYTES + 1;
/// An answer: the reply and the next question.
pub const ANSWER_BYTES: usize = HELLO.len() + NAME_BYTES + QUESTION.len();

/// Name number `number` of the client `client`: no two that are on their way at once are alike, so
/// an answer to somebody else's name, or to an earlier one, is found out.
pub fn name(client: u32, number: u32) -> [u8; NAME_BYTES] {
    let digits = u64::from(client & 0xffff) << 16 | u64::from(number & 0xffff);
    std::array::from_fn(|at| DIGITS[(digits >> (4 * (NAME_BYTES - 1 - at))) as usize & 15])
}

/// What is sent for a name.
#[inline]
pub fn asked(client: u32, number: u32) -> [u8; ASKED_BYTES] {
    let mut asked = [b'\n'; ASKED_BYTES];
    asked[..NAME_BYTES].copy_from_slice(&name(client, number));
    asked
}

/// What must come back for it.
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
