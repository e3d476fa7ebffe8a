//! The strings of the protocol as a client must receive them, byte for byte.

/// The first line of every connection.
pub const WELCOME: &str = "Welcome!\n";
/// The question, without a line ending.
pub const QUESTION: &str = "What's your name?";
/// The welcome and the first question.
pub const GREETING: &str = "Welcome!\nWhat's your name?";
/// The start of a reply, before the name.
pub const HELLO: &str = "Hello ";
/// The end of a reply, and the next question.
pub const HELLO_END_AND_QUESTION: &str = "!\nWhat's your name?";
/// The name that ends a conversation.
pub const EXIT: &str = "exit";
/// The answer to [`EXIT`]; without it the server is shutting down.
pub const GOOD_BYE: &str = "Good bye!\n";
/// The message after the time for a name has passed.
pub const TOO_SLOW: &str = "You took too long. Good bye!\n";
/// The message after too many invalid names.
pub const TOO_MANY_MISTAKES: &str = "Too many mistakes. Good bye!\n";
/// The reply to a name that is not UTF-8.
pub const NOT_UTF8: &str = "Sorry, that name is not valid UTF-8.\n";
/// The reply to a name with control characters.
pub const CONTROL_CHARACTER: &str = "Sorry, a name has no control characters.\n";
/// The message of a full server.
pub const FULL: &str = "Sorry, the server is full. Please try again later.\n";

/// Returns the reply to a name, without a question.
#[must_use]
pub fn hello(name: &str) -> String {
    format!("{HELLO}{name}!\n")
}

/// Returns the reply to a name, and the next question.
#[must_use]
pub fn reply(name: &str) -> String {
    format!("{HELLO}{name}{HELLO_END_AND_QUESTION}")
}

/// Returns the message after a name of more than `bytes_max` bytes.
#[must_use]
pub fn too_long(bytes_max: usize) -> String {
    format!("Sorry, that name is longer than {bytes_max} bytes. {GOOD_BYE}")
}
