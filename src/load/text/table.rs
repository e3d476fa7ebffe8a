//! Tables that fit: columns go when there is no room for them, and words stay whole.

use super::page::{Page, Style, bar, columns};

/// A table. Its last column may hold bars, which take the remaining room.
#[derive(Debug)]
pub(crate) struct Table {
    heads: Vec<Head>,
    rows: Vec<(Style, Vec<Cell>)>,
}

/// The head of a column.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    text: String,
    align: Align,
    /// The columns with the highest number go first when there is no room; 0 stays.
    expendable: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// A cell.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Text(String),
    /// A bar, as long as this part of the longest, and text behind it.
    Bar(f64, String),
}

impl Head {
    /// Returns a column of figures.
    pub(crate) fn right(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            align: Align::Right,
            expendable: 0,
        }
    }

    /// Returns a column of words or bars.
    pub(crate) fn left(text: impl Into<String>) -> Self {
        Self {
            align: Align::Left,
            ..Self::right(text)
        }
    }

    /// Lets the column go when there is no room; those with a higher `order` go before.
    pub(crate) fn expendable(self, order: u8) -> Self {
        Self {
            expendable: order,
            ..self
        }
    }
}

impl Table {
    pub(crate) fn new(heads: impl IntoIterator<Item = Head>) -> Self {
        Self {
            heads: heads.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Appends a row with a cell for each head.
    pub(crate) fn push(&mut self, style: Style, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.heads.len(), "one cell for each column");
        self.rows.push((style, cells));
    }

    /// Returns the lines of the table, with those columns that the page has room for.
    pub(crate) fn render(&self, page: &Page) -> String {
        let widths = self.widths();
        let shown = self.shown(&widths, page.width);
        let bars = self.room_for_bars(&widths, &shown, page.width);
        let heads = shown.iter().map(|&at| {
            let head = &self.heads[at];
            aligned(&head.text, widths[at], head.align)
        });
        let mut text = page.paint(Style::Faint, &joined(heads)) + "\n";
        for (style, cells) in &self.rows {
            let cells = shown.iter().map(|&at| match &cells[at] {
                Cell::Text(text) => {
                    let text = aligned(text, widths[at], self.heads[at].align);
                    page.paint(*style, &text)
                }
                Cell::Bar(part, text) => {
                    let bar = page.paint(Style::Bar, &bar(*part, bars));
                    format!("{bar} {text}")
                }
            });
            text.push_str(&joined(cells));
            text.push('\n');
        }
        text
    }

    /// Returns the width of each column; of bars, the least that shows anything.
    fn widths(&self) -> Vec<usize> {
        let width = |at: usize| {
            let cells = self.rows.iter().map(|(_, cells)| match &cells[at] {
                Cell::Text(text) => columns(text),
                Cell::Bar(_, text) => BAR_MIN + 1 + columns(text),
            });
            cells
                .chain([columns(&self.heads[at].text)])
                .max()
                .unwrap_or(0)
        };
        (0..self.heads.len()).map(width).collect()
    }

    /// Returns the columns that fit.
    fn shown(&self, widths: &[usize], page: usize) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.heads.len()).collect();
        loop {
            let last = shown
                .iter()
                .copied()
                .max_by_key(|&at| self.heads[at].expendable);
            match last {
                Some(last) if total(widths, &shown) > page && self.heads[last].expendable > 0 => {
                    shown.retain(|&at| at != last);
                }
                _ => return shown,
            }
        }
    }

    fn room_for_bars(&self, widths: &[usize], shown: &[usize], page: usize) -> usize {
        let behind = self.rows.iter().flat_map(|(_, cells)| cells.last());
        let behind = behind.map(|cell| match cell {
            Cell::Bar(_, text) if !text.is_empty() => 1 + columns(text),
            _ => 0,
        });
        let others = total(widths, &shown[..shown.len().saturating_sub(1)]) + GAP;
        let room = page.saturating_sub(others + behind.max().unwrap_or(0));
        room.clamp(BAR_MIN, BAR_MAX)
    }
}

fn total(widths: &[usize], shown: &[usize]) -> usize {
    let gaps = GAP * shown.len().saturating_sub(1);
    shown.iter().map(|&at| widths[at]).sum::<usize>() + gaps
}

fn aligned(text: &str, width: usize, align: Align) -> String {
    match align {
        Align::Left => format!("{text:<width$}"),
        Align::Right => format!("{text:>width$}"),
    }
}

/// Joins the cells of a row, without blanks at its end.
fn joined(cells: impl Iterator<Item = String>) -> String {
    let line = cells.collect::<Vec<_>>().join("  ");
    line.trim_end().to_owned()
}

/// Columns between two columns.
const GAP: usize = 2;
const BAR_MIN: usize = 6;
const BAR_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            Head::right("connections"),
            Head::right("p99"),
            Head::right("p99.9").expendable(1),
            Head::right("max").expendable(2),
            Head::left("throughput"),
        ]);
        for part in [0.5, 1.0] {
            let mut cells: Vec<_> = ["1,000", "1.00 ms", "1.50 ms", "2.00 ms"]
                .map(|text| Cell::Text(text.to_owned()))
                .into();
            cells.push(Cell::Bar(part, String::new()));
            table.push(Style::Normal, cells);
        }
        table
    }

    #[test]
    fn table_fits_by_dropping_whole_columns() {
        for width in [37, 40, 50, 60, 80, 200] {
            let page = Page {
                width,
                ..Page::PLAIN
            };
            let text = table().render(&page);
            assert!(text.lines().all(|line| columns(line) <= width), "{text}");
            for word in ["connections", "p99", "1,000", "1.00 ms", "throughput"] {
                assert!(text.contains(word), "{word} is not in\n{text}");
            }
        }
    }

    #[test]
    fn columns_go_in_their_order() {
        let with = |width| {
            let text = table().render(&Page {
                width,
                ..Page::PLAIN
            });
            ["p99.9", "max"].map(|head| text.contains(head))
        };
        assert_eq!(with(80), [true, true]);
        assert_eq!(with(45), [true, false]);
        assert_eq!(with(37), [false, false]);
    }

    #[test]
    fn bars_take_the_room_that_is_left() {
        let text = table().render(&Page::PLAIN);
        let bars: Vec<_> = text
            .lines()
            .skip(1)
            .map(|line| line.matches('█').count())
            .collect();
        assert_eq!(bars, [20, 40]);
    }
}
