//! The results as text: Markdown to read, JSON to compute with.

use std::path::Path;
use std::{fs, io};

use oneloop_bench::figures::{Figure, Figures, OWN, Spread};

use crate::rows::Row;
use crate::{OURS, OURS_AGAIN, THEIRS};

/// Writes the table and all values into `folder`.
pub(crate) fn write(rows: &[Row], figures: &Figures, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("services.md"), table(rows, figures))?;
    fs::write(folder.join("services.json"), json(figures))
}

/// Formats a row for each load. A cell contains the median and the quartiles.
pub(crate) fn table(rows: &[Row], figures: &Figures) -> String {
    let mut text = format!(
        "| server's run time per unit of work | {OWN}, µs | peer | its, µs | {OWN} / peer | {OWN} / itself | wanted | |
|---|--:|---|--:|--:|--:|--:|---|
"
    );
    for row in rows {
        if let Some(figure) = figures.named(row.name) {
            text += &line(row, figure);
        }
    }
    text
}

fn line(row: &Row, figure: &Figure) -> String {
    let ratio = figure.ratio(OURS, THEIRS);
    let verdict = match ratio.map(|ratio| ratio.median <= row.at_most) {
        Some(true) => "holds",
        Some(false) => "**fails**",
        None => "not measured",
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | ≤ {:.2} | {verdict} |\n",
        row.name,
        cell(figure.spread(OURS)),
        row.theirs.name(),
        cell(figure.spread(THEIRS)),
        cell(ratio),
        cell(figure.ratio(OURS, OURS_AGAIN)),
        row.at_most,
    )
}

fn cell(spread: Option<Spread>) -> String {
    let Some(Spread { low, median, high }) = spread else {
        return "–".to_owned();
    };
    format!("{} ({}–{})", short(median), short(low), short(high))
}

/// Rounds to three significant digits, more than the precision of a figure.
fn short(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Formats `{"row": [[ours], [ours again], [theirs]], …}`, with values in the order of the rounds.
fn json(figures: &Figures) -> String {
    let of_figure = |figure: &Figure| {
        let values = [OURS, OURS_AGAIN, THEIRS].map(|contestant| figure.values(contestant));
        format!("  {:?}: {values:?}", figure.name)
    };
    let figures: Vec<_> = figures.figures().iter().map(of_figure).collect();
    format!("{{\n{}\n}}\n", figures.join(",\n"))
}
