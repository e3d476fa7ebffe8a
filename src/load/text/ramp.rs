//! A ramp, for people: a row for each rate, the knee, and why it ended there.

use super::page::{Page, Style};
use super::table::{Cell, Head, Table};
use crate::figures;
use crate::findings::Weight;
use crate::outcome::Outcome;
use crate::ramp::{Knee, Ramp, rate};
use crate::record::percentile;

/// Writes the knee, and a row for each rate.
pub(super) fn ramp(ramp: &Ramp, runs: &[Outcome], more: &str, page: &Page) -> String {
    let knee = ramp.knee(runs);
    let mut text = headline(knee, page);
    if let Some(run) = runs.first() {
        page.push(&mut text, Style::Faint, &describe(ramp, run));
    }
    let mut details = format!("\n{more}");
    // Findings about the steps that fail are of no use.
    let findings = match (knee, runs.first()) {
        (Some(knee), _) => findings(knee.run, "at the knee: "),
        (None, Some(first)) => {
            super::run::push_faults(&mut details, first, page);
            findings(first, "")
        }
        (None, None) => Vec::new(),
    };
    let others = text.lines().count() + ROWS_MIN + 3;
    super::push_findings(&mut details, findings, others, page);
    let steps = Ramp::steps(runs);
    let others = text.lines().count() + details.lines().count() + 3;
    let room = page
        .height
        .map_or(usize::MAX, |height| height.saturating_sub(others));
    let (lower, steps) = steps.split_at(steps.len().saturating_sub(room.max(ROWS_MIN)));
    text.push('\n');
    text += &table(ramp, steps, knee).render(page);
    if !lower.is_empty() {
        let lower = figures::plural(lower.len() as u64, "lower rate");
        page.push(
            &mut text,
            Style::Faint,
            &format!("{lower} not shown: see --html"),
        );
    }
    text + &details
}

/// Returns the findings of a run behind a prefix.
fn findings(run: &Outcome, prefix: &str) -> Vec<(Weight, String)> {
    let findings = run.findings().into_iter();
    findings
        .map(|finding| (finding.weight, format!("{prefix}{}", finding.text)))
        .collect()
}

fn headline(knee: Option<Knee<'_>>, page: &Page) -> String {
    let Some(knee) = knee else {
        return page.paint(Style::Bad, "no knee: no rate passed") + "\n";
    };
    let rate = page.paint(Style::Strong, &figures::rate(knee.rate));
    let at = |p| figures::duration_or_dash(percentile(&knee.run.latency, p));
    let p99 = page.paint(Style::Strong, &at(99.0));
    let end = match knee.beyond {
        Some(beyond) => format!("fails at {}", figures::rate(beyond)),
        None => "no failure up to there".to_owned(),
    };
    format!(
        "knee at {rate} names/s   p50 {}   p99 {p99}   {end}\n",
        at(50.0)
    )
}

/// Describes a ramp in a sentence.
pub(crate) fn describe(ramp: &Ramp, run: &Outcome) -> String {
    let until = ramp.until.iter().map(ToString::to_string);
    format!(
        "ramp, {} to {}, {} at each rate, until {} or a rate is not reached",
        figures::plural(run.plan.connections.into(), "connection"),
        run.plan.target,
        figures::duration(run.plan.duration),
        until.collect::<Vec<_>>().join(", "),
    )
}

fn table(ramp: &Ramp, steps: &[&Outcome], knee: Option<Knee<'_>>) -> Table {
    let mut table = Table::new([
        Head::right("names/s"),
        Head::right("answered/s"),
        Head::right("p50"),
        Head::right("p99"),
        Head::right("p99.9").expendable(1),
        Head::right("max").expendable(3),
        Head::right("server CPU").expendable(2),
        Head::right("errors"),
        Head::left("p99, logarithmic"),
    ]);
    let p99 = |run: &Outcome| {
        let p99 = percentile(&run.latency, 99.0).unwrap_or_default();
        p99.as_secs_f64().max(1e-9)
    };
    let lowest = steps.iter().map(|step| p99(step)).fold(f64::MAX, f64::min) * 0.7;
    let highest = steps.iter().map(|step| p99(step)).fold(lowest, f64::max);
    let decades = (highest / lowest).ln().max(f64::MIN_POSITIVE);
    for &step in steps {
        let is_knee = knee.is_some_and(|knee| knee.rate == rate(step));
        let (style, mark) = match ramp.failure(step) {
            Some(why) => (Style::Bad, why),
            None if is_knee => (Style::Strong, "◀ knee".to_owned()),
            None => (Style::Normal, String::new()),
        };
        let bar = (p99(step) / lowest).ln() / decades;
        table.push(style, row(step, Cell::Bar(bar, mark)));
    }
    table
}

fn row(step: &Outcome, bar: Cell) -> Vec<Cell> {
    let at = |p| figures::duration_or_dash(percentile(&step.latency, p));
    let answered = step.costs.completed as f64 / step.costs.wall.as_secs_f64();
    let answered = Some(answered).filter(|rate| rate.is_finite());
    let figures = [
        figures::rate(rate(step)),
        answered.map_or_else(|| "-".to_owned(), figures::rate),
        at(50.0),
        at(99.0),
        at(99.9),
        at(100.0),
        figures::duration_or_dash(step.costs.server_each()),
        figures::count(step.faults.total()),
    ];
    figures.into_iter().map(Cell::Text).chain([bar]).collect()
}

/// Steps that are shown even if the page is too short: those around the knee.
const ROWS_MIN: usize = 5;
