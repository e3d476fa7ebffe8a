//! The prompt at a terminal: a line editor with history, interrupted when the server sends
//! something.

use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, Config, Helper};
use signal_hook::consts::SIGINT;
use signal_hook::{flag, low_level};
use unicode_width::UnicodeWidthChar;

use crate::failure::Failure;
use crate::listener::{Attention, Listener};
use crate::names::PROMPT;

/// A line editor on standard input and output.
///
/// The listener interrupts it with SIGINT when the server has sent something. The message is shown
/// where the prompt was, and the line is edited on below it. Messages are shown by the thread that
/// edits, so that they cannot be lost or come in the wrong order, which the editor's own way to
/// print from another thread does not promise.
pub(crate) struct Editor {
    editor: rustyline::Editor<Watcher, DefaultHistory>,
    line: Rc<RefCell<Line>>,
    /// The file that keeps the names for the next time, if any.
    history: Option<PathBuf>,
    /// Whether SIGINT ends the program: when it is not the listener's.
    interrupt_ends: Arc<AtomicBool>,
}

/// The line being edited.
#[derive(Clone, Debug, Default)]
struct Line {
    text: String,
    cursor: usize,
}

/// Notes the line at every change of it.
struct Watcher(Rc<RefCell<Line>>);

impl Editor {
    /// Opens an editor. Returns `None` if standard output is not a terminal, or not one that can
    /// edit.
    pub(crate) fn new(history: Option<PathBuf>) -> Option<Self> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        if is_dumb || !io::stdout().is_terminal() {
            return None;
        }
        let interrupt_ends = Arc::new(AtomicBool::new(true));
        flag::register_conditional_default(SIGINT, Arc::clone(&interrupt_ends)).ok()?;
        let line = Rc::<RefCell<Line>>::default();
        // Several lines that are pasted are several names. The watcher adds no colours, but is only
        // asked where there could be some.
        let config = Config::builder()
            .bracketed_paste(false)
            .color_mode(ColorMode::Forced)
            .build();
        let mut editor = rustyline::Editor::with_config(config).ok()?;
        editor.set_helper(Some(Watcher(Rc::clone(&line))));
        if let Some(history) = &history {
            // The first time there is none.
            let _ = editor.load_history(history);
        }
        Some(Self {
            editor,
            line,
            history,
            interrupt_ends,
        })
    }

    /// Reads a line. Returns `None` at Ctrl-D.
    ///
    /// # Errors
    ///
    /// If the terminal cannot be read, or if the conversation ends meanwhile.
    pub(crate) fn read_line(&mut self, listener: &Listener) -> Result<Option<Vec<u8>>, Failure> {
        self.line.take();
        loop {
            self.interrupt_ends.store(false, Ordering::SeqCst);
            listener.turn_to(Attention::Editing)?;
            let result = self.edit();
            let has_news = listener.turn_back();
            // An interrupt of the listener's that is still pending is delivered, and ignored, when
            // a system call returns.
            let _ = std::process::id();
            self.interrupt_ends.store(true, Ordering::SeqCst);
            match result {
                Err(ReadlineError::Interrupted) if has_news => {
                    self.erase_prompt();
                    listener.show_news()?;
                }
                Err(ReadlineError::Interrupted) => {
                    // Ctrl-C ends the program as the signal would, with the terminal restored.
                    let _ = low_level::emulate_default_handler(SIGINT);
                    return Err(Failure::Interrupted);
                }
                result => {
                    listener.show_news()?;
                    return self.finish(result);
                }
            }
        }
    }

    fn edit(&mut self) -> rustyline::Result<String> {
        let Line { text, cursor } = self.line.borrow().clone();
        self.editor
            .readline_with_initial(PROMPT, (&text[..cursor], &text[cursor..]))
    }

    fn finish(&mut self, result: rustyline::Result<String>) -> Result<Option<Vec<u8>>, Failure> {
        match result {
            Ok(line) => {
                // A history that cannot be kept does not end the conversation.
                let _ = self.remember(&line);
                Ok(Some(line.into_bytes()))
            }
            Err(ReadlineError::Eof) => Ok(None),
            Err(ReadlineError::Io(error)) => Err(Failure::Input(error)),
            Err(error) => Err(Failure::Input(io::Error::other(error))),
        }
    }

    fn remember(&mut self, line: &str) -> rustyline::Result<()> {
        self.editor.add_history_entry(line)?;
        if let Some(history) = &self.history {
            if let Some(folder) = history.parent() {
                fs::create_dir_all(folder)?;
            }
            self.editor.append_history(history)?;
        }
        Ok(())
    }

    /// Erases the prompt and the line, below which the cursor is.
    fn erase_prompt(&mut self) {
        let columns = self.editor.dimensions().map_or(80, |(columns, _)| columns);
        let rows = rows(&self.line.borrow().text, usize::from(columns));
        let mut stdout = io::stdout();
        let _ = write!(stdout, "\x1b[{rows}A\r\x1b[J");
        let _ = stdout.flush();
    }
}

impl fmt::Debug for Editor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Editor")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// Returns how many rows the prompt and a line take up.
fn rows(line: &str, columns: usize) -> usize {
    let (mut row, mut column) = (1, 0);
    for char in PROMPT.chars().chain(line.chars()) {
        let width = char.width().unwrap_or(0);
        if column + width > columns {
            (row, column) = (row + 1, 0);
        }
        column += width;
    }
    row
}

impl Highlighter for Watcher {
    fn highlight_char(&self, line: &str, cursor: usize, _: CmdKind) -> bool {
        *self.0.borrow_mut() = Line {
            text: line.to_owned(),
            cursor,
        };
        false
    }
}

impl Completer for Watcher {
    type Candidate = String;
}

impl Hinter for Watcher {
    type Hint = String;
}

impl Validator for Watcher {}

impl Helper for Watcher {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_by_the_width_of_characters() {
        assert_eq!(rows("", 80), 1);
        assert_eq!(rows(&"x".repeat(80 - PROMPT.len()), 80), 1);
        assert_eq!(rows(&"x".repeat(81 - PROMPT.len()), 80), 2);
        assert_eq!(rows(&"你".repeat(28), 80), 1);
        assert_eq!(rows(&"你".repeat(29), 80), 2);
    }
}
