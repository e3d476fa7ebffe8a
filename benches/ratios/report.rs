//! The results as text: Markdown to read, JSON to compute with.

use std::path::Path;
use std::{fs, io};

use crate::figures::{Figure, Figures, Spread, US};
use crate::targets;

/// Writes the tables and all values into `folder`.
pub(crate) fn write(figures: &Figures, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("ratios.md"), tables(figures))?;
    fs::write(folder.join("ratios.json"), json(figures))
}

/// A table for each figure, and one for the targets.
pub(crate) fn tables(figures: &Figures) -> String {
    let mut text = String::new();
    for figure in figures.figures() {
        figure_table(&mut text, figures, figure);
    }
    text += "| target | wanted | measured | |\n|---|---|---|---|\n";
    for verdict in targets::verdicts(figures) {
        let holds = if verdict.holds { "holds" } else { "**fails**" };
        let (what, wanted, measured) = (verdict.what, verdict.wanted, verdict.measured);
        text += &format!("| {what} | {wanted} | {measured} | {holds} |\n");
    }
    text
}

fn figure_table(text: &mut String, figures: &Figures, figure: &Figure) {
    let us = figures.number_of(US);
    *text += &format!("| {} | median | middle half | {US} / it |\n", figure.name);
    *text += "|---|---|---|---|\n";
    for (number, contestant) in figures.contestants().iter().enumerate() {
        let Some(Spread { low, median, high }) = figure.spread(number) else {
            continue;
        };
        let ratio = us.and_then(|us| figure.ratio(us, number));
        let ratio = ratio.map_or(String::new(), |ratio| format!("{:.2}", ratio.median));
        let (low, median, high) = (short(low), short(median), short(high));
        *text += &format!("| {contestant} | {median} | {low}–{high} | {ratio} |\n");
    }
    text.push('\n');
}

/// Three digits that matter are more than a figure is worth.
fn short(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// `{"figure": {"contestant": [value, …], …}, …}`, the values in the order of the rounds.
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
