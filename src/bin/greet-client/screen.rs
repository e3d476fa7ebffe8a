//! Standard output, with the server's messages kept from acting on a terminal.

use std::io::{self, ErrorKind, IsTerminal, Stdout, Write};

use crate::failure::Failure;

/// Standard output.
#[derive(Debug)]
pub(crate) struct Screen {
    output: Stdout,
    style: Style,
}

/// How a line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// With control characters made visible: a terminal would obey them.
    Escaped,
    /// Byte for byte, for a file or a program.
    Raw,
}

impl Screen {
    /// Opens standard output: escaped if it is a terminal, else raw.
    pub(crate) fn on_stdout() -> Self {
        let output = io::stdout();
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

/// Returns the text with control characters, and bytes that are not text, as `\x1b`, `\u{9b}`,
/// `\xff`.
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
}
