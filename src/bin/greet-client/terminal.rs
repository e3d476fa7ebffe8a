//! The user's side: where names come from, and where the server's words go.

use std::io::{self, BufRead, ErrorKind, IsTerminal, Read, StdinLock, StdoutLock, Write};
use std::vec;

use crate::failure::Failure;

/// The longest line of standard input that is taken for a name. The server has a limit of its own,
/// far below, and says so; this one only keeps `greet-client < /dev/zero` from filling the memory.
pub(crate) const NAME_BYTES_MAX: usize = 16 * 1024;

/// Where the names come from.
#[derive(Debug)]
pub(crate) enum Names {
    /// The command line.
    Listed(vec::IntoIter<String>),
    /// A user at a terminal, who wants to be asked.
    Typed(StdinLock<'static>),
    /// A file or a program, which does not.
    Piped(StdinLock<'static>),
}

/// Standard output, with the server's words kept from acting on a terminal.
#[derive(Debug)]
pub(crate) struct Screen {
    output: StdoutLock<'static>,
    style: Style,
}

/// How a line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// With control characters made visible: a terminal would obey them.
    Escaped,
    /// Byte for byte: a file or a program wants what was said.
    Raw,
}

impl Names {
    /// The names of the command line or, if it has none, those of standard input.
    pub(crate) fn listed_or_from_stdin(listed: Vec<String>) -> Self {
        if !listed.is_empty() {
            return Self::Listed(listed.into_iter());
        }
        let stdin = io::stdin();
        if stdin.is_terminal() {
            Self::Typed(stdin.lock())
        } else {
            Self::Piped(stdin.lock())
        }
    }

    /// The next name, which is never empty, or `None` when there are no more.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            let line = match self {
                Self::Listed(names) => return Ok(names.next().map(String::into_bytes)),
                Self::Typed(input) => ask(input)?,
                Self::Piped(input) => read_line(input)?,
            };
            match line {
                None => return Ok(None),
                Some(line) if without_line_ending(&line).is_empty() => {}
                Some(line) => return Ok(Some(without_line_ending(&line).to_vec())),
            }
        }
    }
}

impl Screen {
    /// Standard output: escaped if it is a terminal, else raw.
    pub(crate) fn on_stdout() -> Self {
        let output = io::stdout().lock();
        let style = if output.is_terminal() {
            Style::Escaped
        } else {
            Style::Raw
        };
        Self { output, style }
    }

    /// Shows a message on a line of its own, at once.
    pub(crate) fn show(&mut self, message: &[u8]) -> Result<(), Failure> {
        match self.write_line(message) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
            Err(error) => Err(Failure::Output(error)),
        }
    }

    fn write_line(&mut self, message: &[u8]) -> io::Result<()> {
        match self.style {
            Style::Raw => self.output.write_all(message)?,
            Style::Escaped => self.output.write_all(escaped(message).as_bytes())?,
        }
        self.output.write_all(b"\n")?;
        self.output.flush()
    }
}

/// Prompts for a line and reads it.
///
/// The prompt goes to standard error, so that standard output holds the server's words alone also
/// when it is redirected, and the user still sees the prompt.
fn ask(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, Failure> {
    talk(PROMPT);
    let line = read_line(input)?;
    // Ctrl-D leaves the cursor behind the prompt.
    if !line.as_deref().is_some_and(|line| line.ends_with(b"\n")) {
        talk("\n");
    }
    Ok(line)
}

fn talk(text: &str) {
    // A prompt that cannot be shown is no reason to end the conversation.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The next line with its line ending, if it has one; `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let bytes_max = NAME_BYTES_MAX + LINE_ENDING.len();
    // One more than allowed, to tell a line that is too long from one that just fits.
    input
        .take(bytes_max as u64 + 1)
        .read_until(b'\n', &mut line)
        .map_err(Failure::Input)?;
    if without_line_ending(&line).len() > NAME_BYTES_MAX {
        return Err(Failure::NameTooLong(NAME_BYTES_MAX));
    }
    Ok((!line.is_empty()).then_some(line))
}

/// Drops one LF and one CR before it.
fn without_line_ending(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(rest) => rest.strip_suffix(b"\r").unwrap_or(rest),
        None => line,
    }
}

/// The text with what a terminal might obey, and what is no text, as `\x1b`, `\u{9b}`, `\xff`.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            push_escaped(&mut text, char);
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

fn push_escaped(text: &mut String, char: char) {
    match char {
        char if char.is_ascii_control() => text.push_str(&format!("\\x{:02x}", u32::from(char))),
        char if char.is_control() => text.extend(char.escape_unicode()),
        char => text.push(char),
    }
}

/// The tutorial's words.
const PROMPT: &str = "Please input your name: ";

/// The longest of the line endings that are dropped.
const LINE_ENDING: &[u8] = b"\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(escaped(b"\x1b[2J\x07\t\r\x7f"), r"\x1b[2J\x07\x09\x0d\x7f");
        assert_eq!(escaped("\u{9b}31m".as_bytes()), r"\u{9b}31m");
        assert_eq!(escaped(b"caf\xc3\xa9 \xff\xc3"), r"café \xff\xc3");
        assert_eq!(escaped("Zoë \\ 名前".as_bytes()), "Zoë \\ 名前");
    }

    #[test]
    fn a_line_ending_is_not_part_of_a_name_and_all_else_is() {
        assert_eq!(without_line_ending(b"Alice\n"), b"Alice");
        assert_eq!(without_line_ending(b"Alice\r\n"), b"Alice");
        assert_eq!(without_line_ending(b" Alice \r\r\n"), b" Alice \r");
        assert_eq!(without_line_ending(b"Alice\r"), b"Alice\r");
        assert_eq!(without_line_ending(b"\r\n"), b"");
    }

    #[test]
    fn lines_are_read_one_at_a_time_and_the_last_needs_no_newline() {
        let mut input = &b"Alice\n\nBob"[..];
        let mut next = || read_line(&mut input).expect("memory can be read");
        assert_eq!(next(), Some(b"Alice\n".to_vec()));
        assert_eq!(next(), Some(b"\n".to_vec()));
        assert_eq!(next(), Some(b"Bob".to_vec()));
        assert_eq!(next(), None);
    }

    #[test]
    fn the_longest_name_is_taken_with_any_line_ending_and_a_longer_one_is_not() {
        for ending in ["", "\n", "\r\n"] {
            let fits = "x".repeat(NAME_BYTES_MAX) + ending;
            let line = read_line(&mut fits.as_bytes()).expect("the name fits");
            assert_eq!(line, Some(fits.clone().into_bytes()));

            let too_long = format!("x{fits}");
            let refused = read_line(&mut too_long.as_bytes());
            assert!(matches!(refused, Err(Failure::NameTooLong(_))));
        }
    }
}
