//! A comparison of two servers, for people.

use std::time::Duration;

use super::page::{Page, Style};
use super::run::push_faults;
use super::sweep::grouped;
use super::table::{Cell, Head, Table};
use crate::compare::{Compared, Comparison, Conclusion, Figure, Ratio};
use crate::figures;
use crate::findings::Weight;
use crate::outcome::Outcome;

/// Writes the ratio of each figure with its spread, and the conclusion.
pub(super) fn comparison(
    comparison: &Comparison,
    runs: &[Outcome],
    more: &str,
    page: &Page,
) -> String {
    let compared = comparison.compare(runs);
    let mut text = headline(&compared, page);
    if let Some(run) = runs.first() {
        page.push(&mut text, Style::Faint, &describe(comparison, run));
    }
    if !compared.is_empty() {
        text.push('\n');
        text += &table(&compared).render(page);
        page.push(&mut text, Style::Faint, EXPLANATION);
    }
    text.push('\n');
    text += more;
    for run in runs.iter().filter(|run| !run.is_clean()) {
        let target = run.plan.target.to_string();
        page.push_labelled(&mut text, Style::Bad, "server", &target);
        push_faults(&mut text, run, page);
    }
    super::push_findings(&mut text, findings(runs), 0, page);
    text
}

/// Returns each finding once, with the number of runs that it holds for, unless it holds for all.
pub(crate) fn findings(runs: &[Outcome]) -> Vec<(Weight, String)> {
    let groups = grouped(runs).into_iter().map(|group| {
        let (some, all) = (group.runs.len(), runs.len());
        let text = match some == all {
            true => group.finding.text,
            false => format!("in {some} of {all} runs: {}", group.finding.text),
        };
        (group.finding.weight, text)
    });
    groups.collect()
}

/// Returns the conclusion about the figure that matters most.
fn headline(compared: &[Compared], page: &Page) -> String {
    let Some(first) = compared.first() else {
        let text = "nothing to compare: fewer than three whole rounds";
        return page.paint(Style::Bad, text) + "\n";
    };
    let (style, sentence) = sentence(first);
    page.paint(style, &sentence) + "\n"
}

/// Returns the conclusion about a figure, in a sentence.
pub(crate) fn sentence(compared: &Compared) -> (Style, String) {
    let figure = compared.metric.as_str();
    let ratio = ratio(&compared.ratio);
    match compared.conclusion() {
        Conclusion::Better => (
            Style::Good,
            format!("B is better than A: {figure} × {ratio}"),
        ),
        Conclusion::Worse => (Style::Bad, format!("B is worse than A: {figure} × {ratio}")),
        Conclusion::Same => (
            Style::Strong,
            format!("no difference larger than the spread: {figure} × {ratio}"),
        ),
        Conclusion::Unreadable => (
            Style::Warning,
            "unreadable: A differs from itself by more than its spread; repeat on a quiet machine"
                .to_owned(),
        ),
    }
}

/// Describes a comparison in a sentence.
pub(crate) fn describe(comparison: &Comparison, run: &Outcome) -> String {
    format!(
        "A {}, B {}, {} of A, B and A again, {} each, {}, {}",
        run.plan.target,
        comparison.other,
        figures::plural(comparison.rounds.into(), "round"),
        figures::duration(run.plan.duration),
        figures::plural(run.plan.connections.into(), "connection"),
        run.plan.scenario.as_str(),
    )
}

fn table(compared: &[Compared]) -> Table {
    let mut table = Table::new([
        Head::left(""),
        Head::right("A"),
        Head::right("B"),
        Head::right("B / A"),
        Head::right("control A / A"),
        Head::left("B is"),
    ]);
    for compared in compared {
        let style = match compared.conclusion() {
            Conclusion::Better => Style::Good,
            Conclusion::Worse => Style::Bad,
            Conclusion::Same => Style::Normal,
            Conclusion::Unreadable => Style::Warning,
        };
        table.push(style, row(compared).into_iter().map(Cell::Text).collect());
    }
    table
}

/// Returns the cells of a figure's row.
pub(crate) fn row(compared: &Compared) -> Vec<String> {
    let value = |value: f64| match compared.metric {
        Figure::Throughput => format!("{}/s", figures::rate(value)),
        _ => figures::duration(Duration::from_nanos(value as u64)),
    };
    vec![
        compared.metric.as_str().to_owned(),
        value(compared.first),
        value(compared.other),
        ratio(&compared.ratio),
        ratio(&compared.control),
        compared.conclusion().as_str().to_owned(),
    ]
}

fn ratio(ratio: &Ratio) -> String {
    let percent = ratio.spread * 100.0;
    let digits = usize::from(percent < 9.95);
    format!("{:.3} ±{percent:.digits$} %", ratio.value)
}

/// The meaning of ±.
pub(crate) const EXPLANATION: &str =
    "±: a repetition of the comparison differs by less than this in 19 of 20 cases";
