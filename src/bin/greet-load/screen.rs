//! The terminal: its size, and whether it takes colours.

use std::io;

use anstream::{AutoStream, ColorChoice};
use oneloop_load::text::{Ink, Page};
use terminal_size::terminal_size_of;

/// Returns the page that standard output is. A file or a pipe has 80 columns and no end.
pub(crate) fn page() -> Page {
    // NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM decide, as in other programs.
    let ink = match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => Ink::Plain,
        _ => Ink::Coloured,
    };
    let size = terminal_size_of(io::stdout());
    Page {
        width: size.map_or(Page::PLAIN.width, |(width, _)| {
            usize::from(width.0).clamp(WIDTH_MIN, WIDTH_MAX)
        }),
        // The last line is for the prompt.
        height: size.map(|(_, height)| usize::from(height.0).saturating_sub(1)),
        ink,
    }
}

/// Tables keep their most important columns, which need this much.
const WIDTH_MIN: usize = 40;
/// Longer lines are hard to read.
const WIDTH_MAX: usize = 120;
