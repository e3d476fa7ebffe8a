//! The page of a report: so many columns and lines, with or without colours.

use std::fmt::Write;

/// The page that a report is written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Columns; no line is longer, unless a single word is.
    pub width: usize,
    /// Lines, if there is a limit: a report then leaves out the finer parts of its histogram.
    pub height: Option<usize>,
    /// Its colours.
    pub ink: Ink,
}

/// The colours of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// With ANSI escape sequences.
    Coloured,
    /// Without.
    Plain,
}

/// The style of a piece of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    #[default]
    Normal,
    Strong,
    Faint,
    Good,
    Bad,
    Warning,
    Bar,
}

impl Page {
    /// 80 columns, any number of lines, no colours.
    pub const PLAIN: Self = Self {
        width: 80,
        height: None,
        ink: Ink::Plain,
    };

    /// Returns `text` in a style.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Normal => return text.to_owned(),
            Style::Strong => "1",
            Style::Faint => "2",
            Style::Good => "32",
            Style::Bad => "1;31",
            Style::Warning => "33",
            Style::Bar => "36",
        };
        match self.ink {
            Ink::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
            Ink::Plain => text.to_owned(),
        }
    }

    /// Appends a paragraph behind a label; its further lines begin below its first word.
    pub(crate) fn push_labelled(&self, to: &mut String, style: Style, label: &str, text: &str) {
        let padded = format!("{label:<LABEL$}");
        for (place, line) in self.wrap(text, LABEL).iter().enumerate() {
            match place {
                0 => to.push_str(&self.paint(style, &padded)),
                _ => write!(to, "{:LABEL$}", "").expect("a string grows"),
            }
            to.push_str(line);
            to.push('\n');
        }
    }

    /// Appends a paragraph.
    pub(crate) fn push(&self, to: &mut String, style: Style, text: &str) {
        for line in self.wrap(text, 0) {
            to.push_str(&self.paint(style, &line));
            to.push('\n');
        }
    }

    /// Breaks text between words, so that each line fits behind `indent` columns.
    fn wrap(&self, text: &str, indent: usize) -> Vec<String> {
        let width = self.width.saturating_sub(indent).max(20);
        let mut lines = vec![String::new()];
        for word in text.split(' ') {
            let line = lines.last_mut().expect("there is one");
            if line.is_empty() {
                line.push_str(word);
            } else if columns(line) + 1 + columns(word) <= width {
                line.push(' ');
                line.push_str(word);
            } else {
                lines.push(word.to_owned());
            }
        }
        lines
    }
}

/// Returns how many columns `text` takes; nothing in a report is wider than one.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Returns a bar of at most `width` columns.
pub(crate) fn bar(part: f64, width: usize) -> String {
    let eighths = (part.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    bar.push_str(rest[eighths % 8]);
    bar
}

/// Columns in front of a labelled paragraph.
pub(crate) const LABEL: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraph_breaks_between_words_only() {
        let mut text = String::new();
        let words =
            "some words that are shorter than a line and so many that they fill three of them";
        let page = Page {
            width: 40,
            ..Page::PLAIN
        };
        page.push_labelled(&mut text, Style::Warning, "warning", words);
        assert!(text.lines().all(|line| columns(line) <= 40), "{text}");
        let found: Vec<_> = text.split_whitespace().skip(1).collect();
        assert_eq!(found.join(" "), words);
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with("           "))
        );
    }

    #[test]
    fn plain_page_has_no_escape_sequences() {
        let coloured = Page {
            ink: Ink::Coloured,
            ..Page::PLAIN
        };
        assert_eq!(Page::PLAIN.paint(Style::Bad, "x"), "x");
        assert_eq!(coloured.paint(Style::Bad, "x"), "\x1b[1;31mx\x1b[0m");
    }
}
