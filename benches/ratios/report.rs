//! The results as text: Markdown to read, JSON to compute with.

use std::path::Path;
use std::{fs, io};

use crate::scenario::{BYTES, CPU, MILLISECONDS, PER_SECOND};
use crate::targets;
use oneloop_bench::figures::{Figure, Figures, OWN, Spread};

/// Writes the tables and all values into `folder`.
pub(crate) fn write(figures: &Figures, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("ratios.md"), tables(figures))?;
    fs::write(folder.join("ratios.json"), json(figures))
}

/// Formats a table for each unit, one of ratios and one of targets. A cell contains the median and
/// the quartiles.
pub(crate) fn tables(figures: &Figures) -> String {
    let values = |figure: &Figure, contestant| figure.spread(contestant);
    let own = figures.number_of(OWN);
    let ratios = |figure: &Figure, contestant| figure.ratio(own?, contestant);
    [
        table(figures, CPU, "server's CPU time for each, µs", values),
        table(figures, CPU, &format!("{OWN}'s CPU time / its"), ratios),
        table(figures, PER_SECOND, "per second by the clock", values),
        table(
            figures,
            MILLISECONDS,
            "milliseconds until all were greeted",
            values,
        ),
        table(figures, BYTES, "bytes for each idle connection", values),
        target_table(figures),
    ]
    .join("\n")
}

/// Formats all figures of a unit: a row for each contestant, a column for each figure.
fn table(
    figures: &Figures,
    unit: &str,
    title: &str,
    cell: impl Fn(&Figure, usize) -> Option<Spread>,
) -> String {
    let columns: Vec<_> = figures.of_unit(unit).collect();
    let names = columns.iter().map(|figure| figure.subject());
    let mut text = row(std::iter::once(title).chain(names));
    text += &row(std::iter::once("---").chain(columns.iter().map(|_| "--:")));
    for (number, contestant) in figures.contestants().iter().enumerate() {
        let cells = columns.iter().map(|figure| cell(figure, number));
        let cells = cells.map(|spread| spread.map_or("–".to_owned(), shown));
        text += &row(std::iter::once((*contestant).to_owned()).chain(cells));
    }
    text
}

fn target_table(figures: &Figures) -> String {
    let mut text = row(["target", "wanted", "measured", ""]) + &row(["---", "--:", "--:", "---"]);
    for verdict in targets::verdicts(figures) {
        let holds = if verdict.holds { "holds" } else { "**fails**" };
        text += &row([&verdict.target, &verdict.wanted, &verdict.measured, holds]);
    }
    text
}

fn row<Cell: AsRef<str>>(cells: impl IntoIterator<Item = Cell>) -> String {
    let mut text = String::from("|");
    for cell in cells {
        text = text + " " + cell.as_ref() + " |";
    }
    text + "\n"
}

fn shown(Spread { low, median, high }: Spread) -> String {
    format!("{} ({}–{})", short(median), short(low), short(high))
}

/// Rounds to three significant digits, more than the precision of a figure.
fn short(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Formats `{"figure": {"contestant": [value, …], …}, …}`, with values in the order of the rounds.
fn json(figures: &Figures) -> String {
    let of_figure = |figure: &Figure| {
        let of_contestant = |(number, name)| format!("    {name:?}: {:?}", figure.values(number));
        let contestants = figures.contestants().iter().enumerate();
        let lines: Vec<_> = contestants.map(of_contestant).collect();
        format!("  {:?}: {{\n{}\n  }}", figure.name, lines.join(",\n"))
    };
    let figures: Vec<_> = figures.figures().iter().map(of_figure).collect();
    format!("{{\n{}\n}}\n", figures.join(",\n"))
}
