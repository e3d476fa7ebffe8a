//! A sweep, for people: a row for each run.

use std::fmt::Write;

use super::page::{Page, Style};
use super::run::push_faults;
use super::table::{Cell, Head, Table};
use crate::figures;
use crate::findings::{Finding, Weight};
use crate::outcome::{Ending, Outcome};
use crate::record::percentile;

/// Writes a row for each run, and each finding once.
pub(super) fn sweep(outcomes: &[Outcome], more: &str, page: &Page) -> String {
    let mut text = headline(outcomes, page);
    text.push('\n');
    text += &table(outcomes).render(page);
    let failing = outcomes.iter().filter(|outcome| !outcome.is_clean());
    for outcome in failing {
        let connections = figures::plural(outcome.plan.connections.into(), "connection");
        writeln!(text, "\nwith {connections}").expect("a string grows");
        push_faults(&mut text, outcome, page);
    }
    text.push('\n');
    text += more;
    let findings = sweep_findings(outcomes).into_iter();
    let findings = findings.map(|(weight, steps, text)| (weight, format!("{steps}{text}")));
    super::push_findings(&mut text, findings, 0, page);
    text
}

/// Returns the best throughput, the number of errors, and the description.
fn headline(outcomes: &[Outcome], page: &Page) -> String {
    let strong = |text: &str| page.paint(Style::Strong, text);
    let rate_of = |outcome: &Outcome| outcome.throughput().unwrap_or(0.0);
    let best = outcomes
        .iter()
        .max_by(|a, b| rate_of(a).total_cmp(&rate_of(b)));
    let Some(best) = best else {
        return page.paint(Style::Bad, "nothing was measured") + "\n";
    };
    let errors = outcomes.iter().map(|outcome| outcome.faults.total()).sum();
    let errors = match errors {
        0 => page.paint(Style::Good, "no errors"),
        errors => page.paint(Style::Bad, &figures::plural(errors, "error")),
    };
    let mut text = match best.throughput() {
        Some(rate) => format!(
            "{} {}s/s at most, with {}   {errors}\n",
            strong(&figures::rate(rate)),
            best.plan.scenario.unit(),
            figures::plural(best.plan.connections.into(), "connection"),
        ),
        None => format!("{} runs   {errors}\n", strong(&outcomes.len().to_string())),
    };
    page.push(&mut text, Style::Faint, &describe(best));
    text
}

/// Describes a sweep in a sentence.
pub(crate) fn describe(run: &Outcome) -> String {
    format!(
        "{} to {}, {} for each number of connections",
        run.plan.scenario.as_str(),
        run.plan.target,
        figures::duration(run.plan.duration)
    )
}

fn table(outcomes: &[Outcome]) -> Table {
    let unit = outcomes
        .first()
        .map_or("exchange", |outcome| outcome.plan.scenario.unit());
    let mut table = Table::new([
        Head::right("conns"),
        Head::right(format!("{unit}s/s")),
        Head::right("p50"),
        Head::right("p99"),
        Head::right("p99.9").expendable(1),
        Head::right("max").expendable(4),
        Head::right("server CPU").expendable(2),
        Head::right("generator CPU").expendable(3),
        Head::right("errors"),
        Head::left("throughput"),
    ]);
    let most = outcomes.iter().filter_map(Outcome::throughput);
    let most = most.fold(0.0, f64::max);
    for outcome in outcomes {
        let style = match outcome.is_clean() {
            true => Style::Normal,
            false => Style::Bad,
        };
        table.push(style, row(outcome, most));
    }
    table
}

fn row(outcome: &Outcome, most: f64) -> Vec<Cell> {
    let at = |p| figures::duration_or_dash(percentile(&outcome.latency, p));
    let throughput = outcome.throughput();
    let mark = match outcome.ending {
        Ending::Complete => "",
        Ending::Interrupted => "partial",
    };
    let figures = [
        figures::count(outcome.plan.connections.into()),
        throughput.map_or_else(|| "-".to_owned(), figures::rate),
        at(50.0),
        at(99.0),
        at(99.9),
        at(100.0),
        figures::duration_or_dash(outcome.costs.server_each()),
        figures::duration_or_dash(outcome.costs.generator_each()),
        figures::count(outcome.faults.total()),
    ];
    let bar = throughput.unwrap_or(0.0) / most.max(1.0);
    let bar = Cell::Bar(bar, mark.to_owned());
    figures.into_iter().map(Cell::Text).chain([bar]).collect()
}

/// Returns each finding once, with the steps that it holds for, unless it holds for all. Where its
/// figures differ, those of the first step are given.
pub(crate) fn sweep_findings(outcomes: &[Outcome]) -> Vec<(Weight, String, String)> {
    let found = grouped(outcomes).into_iter().map(|group| {
        let steps: Vec<_> = group
            .runs
            .iter()
            .map(|&run| figures::count(outcomes[run].plan.connections.into()))
            .collect();
        let steps = match (steps.split_first(), group.wording) {
            (_, Wording::Same) if steps.len() == outcomes.len() => String::new(),
            (Some((first, rest)), Wording::Different) => {
                let rest = rest.join(", ");
                format!("{}, and similarly with {rest}: ", with_connections(first))
            }
            _ => format!("{}: ", with_connections(&steps.join(", "))),
        };
        (group.finding.weight, steps, group.finding.text)
    });
    found.collect()
}

/// A finding that several runs have.
pub(crate) struct Group {
    /// As the first of them has it.
    pub(crate) finding: Finding,
    /// Their numbers.
    pub(crate) runs: Vec<usize>,
    wording: Wording,
}

/// The wording of a finding in several runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wording {
    Same,
    Different,
}

/// Groups the findings of all runs by subject.
pub(crate) fn grouped(outcomes: &[Outcome]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (run, outcome) in outcomes.iter().enumerate() {
        for finding in outcome.findings() {
            let known = groups
                .iter_mut()
                .find(|group| group.finding.subject == finding.subject);
            match known {
                Some(group) => {
                    group.runs.push(run);
                    if group.finding.text != finding.text {
                        group.wording = Wording::Different;
                    }
                }
                None => groups.push(Group {
                    finding,
                    runs: vec![run],
                    wording: Wording::Same,
                }),
            }
        }
    }
    groups.sort_by_key(|group| group.finding.weight == Weight::Note);
    groups
}

fn with_connections(numbers: &str) -> String {
    let ending = if numbers == "1" { "" } else { "s" };
    format!("with {numbers} connection{ending}")
}
