//! Where the names come from: the command line, a prompt, or a file or program.

use std::io::{self, BufRead, IsTerminal, Read, StdinLock, Write};
use std::path::PathBuf;
use std::vec;

#[cfg(unix)]
use crate::editor::Editor;
use crate::failure::Failure;
use crate::listener::{Attention, Listener};

/// The longest line of standard input that is taken for a name. The server has a limit of its own,
/// far below, and reports it; this one only keeps `greet-client < /dev/zero` from filling the
/// memory.
pub(crate) const NAME_BYTES_MAX: usize = 16 * 1024;

/// The tutorial's words.
pub(crate) const PROMPT: &str = "Please input your name: ";

/// Where the names come from.
#[derive(Debug)]
pub(crate) enum Names {
    /// The command line.
    Listed(vec::IntoIter<String>),
    /// A terminal that can edit lines.
    #[cfg(unix)]
    Edited(Box<Editor>),
    /// A terminal that cannot, or with redirected output: it needs a prompt.
    Typed(StdinLock<'static>),
    /// A file or a program, which does not.
    Piped(StdinLock<'static>),
}

impl Names {
    /// Returns the names of the command line or, if it has none, those of standard input. At a
    /// terminal, `history` is the file that keeps them.
    pub(crate) fn listed_or_from_stdin(listed: Vec<String>, history: Option<PathBuf>) -> Self {
        if !listed.is_empty() {
            return Self::Listed(listed.into_iter());
        }
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Self::Piped(stdin.lock());
        }
        #[cfg(unix)]
        if let Some(editor) = Editor::new(history) {
            return Self::Edited(Box::new(editor));
        }
        Self::Typed(stdin.lock())
    }

    /// Returns the next name, which is never empty, or `None` when there are no more.
    ///
    /// # Errors
    ///
    /// If standard input cannot be read, or if the conversation ends meanwhile.
    pub(crate) fn next(&mut self, listener: &Listener) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            let line = match self {
                Self::Listed(names) => return Ok(names.next().map(String::into_bytes)),
                #[cfg(unix)]
                Self::Edited(editor) => editor.read_line(listener)?,
                Self::Typed(input) => {
                    during(listener, || prompt_and_read(input)).map(without_its_end)?
                }
                Self::Piped(input) => during(listener, || read_line(input)).map(without_its_end)?,
            };
            match line {
                None => return Ok(None),
                Some(line) if line.is_empty() => {}
                Some(line) if line.len() > NAME_BYTES_MAX => {
                    return Err(Failure::NameTooLong(NAME_BYTES_MAX));
                }
                Some(line) => return Ok(Some(line)),
            }
        }
    }
}

/// Reads while the listener shows messages, and ends the program if the connection ends.
fn during<T>(listener: &Listener, read: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    listener.turn_to(Attention::Reading)?;
    let line = read();
    listener.turn_back();
    line
}

/// Prompts for a line and reads it.
///
/// The prompt goes to standard error, so that standard output has the server's messages alone also
/// when it is redirected, and the user still sees the prompt.
fn prompt_and_read(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, Failure> {
    prompt(PROMPT);
    let line = read_line(input)?;
    // Ctrl-D leaves the cursor behind the prompt.
    if !line.as_deref().is_some_and(|line| line.ends_with(b"\n")) {
        prompt("\n");
    }
    Ok(line)
}

fn prompt(text: &str) {
    // A prompt that cannot be shown does not end the conversation.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Returns the next line with its line ending, if it has one; `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let bytes_max = NAME_BYTES_MAX + LINE_ENDING.len();
    // One more than allowed, to distinguish a line that is too long from one that just fits.
    input
        .take(bytes_max as u64 + 1)
        .read_until(b'\n', &mut line)
        .map_err(Failure::Input)?;
    Ok((!line.is_empty()).then_some(line))
}

fn without_its_end(line: Option<Vec<u8>>) -> Option<Vec<u8>> {
    line.map(|line| without_line_ending(&line).to_vec())
}

/// Drops one LF and one CR before it.
fn without_line_ending(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(rest) => rest.strip_suffix(b"\r").unwrap_or(rest),
        None => line,
    }
}

/// The longest of the line endings that are dropped.
const LINE_ENDING: &[u8] = b"\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ending_alone_is_dropped_from_a_name() {
        assert_eq!(without_line_ending(b"Alice\n"), b"Alice");
        assert_eq!(without_line_ending(b"Alice\r\n"), b"Alice");
        assert_eq!(without_line_ending(b" Alice \r\r\n"), b" Alice \r");
        assert_eq!(without_line_ending(b"Alice\r"), b"Alice\r");
        assert_eq!(without_line_ending(b"\r\n"), b"");
    }

    #[test]
    fn lines_are_read_one_at_a_time() {
        let mut input = &b"Alice\n\nBob"[..];
        let mut next = || read_line(&mut input).expect("memory can be read");
        assert_eq!(next(), Some(b"Alice\n".to_vec()));
        assert_eq!(next(), Some(b"\n".to_vec()));
        assert_eq!(next(), Some(b"Bob".to_vec()));
        assert_eq!(next(), None);
    }

    #[test]
    fn too_long_line_is_read_far_enough() {
        for ending in ["", "\n", "\r\n"] {
            let fits = "x".repeat(NAME_BYTES_MAX) + ending;
            let line = read_line(&mut fits.as_bytes()).expect("memory can be read");
            assert_eq!(line, Some(fits.clone().into_bytes()));

            let too_long = format!("x{fits}");
            let line = read_line(&mut too_long.as_bytes()).expect("memory can be read");
            assert!(without_its_end(line).is_some_and(|line| line.len() > NAME_BYTES_MAX));
        }
    }
}
