//! The strings of the protocol, byte for byte. Clients depend on them.

/// The first line of every connection.
pub(super) const WELCOME: &[u8] = b"Welcome!\n";
/// The question. No line ending: the answer is typed behind it.
pub(super) const QUESTION: &[u8] = b"What's your name?";
/// The start of a reply, followed by the name and one of the two strings below.
pub(super) const HELLO: &[u8] = b"Hello ";
/// The end of a reply without a question.
pub(super) const HELLO_END: &[u8] = b"!\n";
/// The end of a reply with the next [`QUESTION`].
pub(super) const HELLO_END_AND_QUESTION: &[u8] = b"!\nWhat's your name?";
/// The name that ends a session.
pub(super) const EXIT: &[u8] = b"exit";
/// The last line after [`EXIT`] or at a drain.
pub(super) const GOOD_BYE: &[u8] = b"Good bye!\n";
/// The last line after a name timeout.
pub(super) const TOO_SLOW: &[u8] = b"You took too long. Good bye!\n";
/// The last line after [`Config::mistakes_max`](crate::Config::mistakes_max) invalid names.
pub(super) const TOO_MANY_MISTAKES: &[u8] = b"Too many mistakes. Good bye!\n";
/// The reply to a name that is not UTF-8.
pub(super) const NOT_UTF8: &[u8] = b"Sorry, that name is not valid UTF-8.\n";
/// The reply to a name with control characters, which could control a terminal.
pub(super) const CONTROL_CHARACTER: &[u8] = b"Sorry, a name has no control characters.\n";
/// The message for a refused connection.
pub(super) const SERVER_FULL: &[u8] = b"Sorry, the server is full. Please try again later.\n";

/// Formats the last line after a name longer than `bytes_max` bytes.
pub(super) fn too_long(bytes_max: usize) -> String {
    format!("Sorry, that name is longer than {bytes_max} bytes. Good bye!\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_end_and_question_match_combined_string() {
        assert_eq!([HELLO_END, QUESTION].concat(), HELLO_END_AND_QUESTION);
    }
}
