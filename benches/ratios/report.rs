//! The results as text: Markdown to read, JSON to compute with.

use std::fmt::{Error, Write};
use std::path::Path;
use std::{fs, io};

use crate::figures::{Figure, Figures, Spread, US};
use crate::targets;

/// Prints the tables, and writes them and all values into `folder`.
pub(crate) fn print_and_write(figures: &Figures, folder: &Path) -> io::Result<()> {
    let tables = tables(figures).expect("a String takes all that is written");
    let json = json(figures).expect("a String takes all that is written");
    println!("{tables}");
    fs::create_dir_all(folder)?;
    fs::write(folder.join("ratios.md"), tables)?;
    fs::write(folder.join("ratios.json"), json)?;
    println!("written to {}", folder.display());
    Ok(())
}

fn tables(figures: &Figures) -> Result<String, Error> {
    let mut text = String::new();
    for figure in figures.figures() {
        figure_table(&mut text, figures, figure)?;
    }
    writeln!(text, "| target | wanted | measured | |\n|---|---|---|---|")?;
    for verdict in targets::verdicts(figures) {
        let holds = if verdict.holds { "holds" } else { "**fails**" };
        let (what, wanted, measured) = (verdict.what, verdict.wanted, verdict.measured);
        writeln!(text, "| {what} | {wanted} | {measured} | {holds} |")?;
    }
    Ok(text)
}

fn figure_table(text: &mut String, figures: &Figures, figure: &Figure) -> Result<(), Error> {
    let us = figures.number_of(US);
    writeln!(
        text,
        "| {} | median | middle half | {US} / it |",
        figure.name
    )?;
    writeln!(text, "|---|---|---|---|")?;
    for (number, contestant) in figures.contestants().iter().enumerate() {
        let Some(Spread { low, median, high }) = figure.spread(number) else {
            continue;
        };
        let ratio = us.and_then(|us| figure.ratio(us, number));
        let ratio = ratio.map_or(String::new(), |ratio| format!("{:.2}", ratio.median));
        let (low, median, high) = (short(low), short(median), short(high));
        writeln!(text, "| {contestant} | {median} | {low}–{high} | {ratio} |")?;
    }
    writeln!(text)
}

/// Three digits that matter are more than a figure is worth.
fn short(value: f64) -> String {
    match value {
        1000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// `{"figure": {"contestant": [value, …], …}, …}`, the values in the order of the rounds.
fn json(figures: &Figures) -> Result<String, Error> {
    let mut text = String::from("{");
    for (position, figure) in figures.figures().iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        write!(text, "{comma}\n  {:?}: {{", figure.name)?;
        for (number, contestant) in figures.contestants().iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let values = figure.values(number);
            write!(text, "{comma}\n    {contestant:?}: {values:?}")?;
        }
        text.push_str("\n  }");
    }
    text.push_str("\n}\n");
    Ok(text)
}
