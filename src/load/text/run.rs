//! One run, for people.

use std::fmt::Write;
use std::time::Duration;

use super::page::{LABEL, Page, Style, bar};
use super::table::{Cell, Head, Table};
use crate::errors::Faults;
use crate::figures;
use crate::histogram::{Bucket, condensed};
use crate::outcome::{Ending, Outcome};
use crate::plan::{Pace, Scenario};
use crate::record::{Latencies, percentile};

/// The points of a distribution that are reported.
pub(crate) const PERCENTILES: [(&str, f64); 6] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("p99.99", 99.99),
    ("max", 100.0),
];

/// Writes a run, the most important first, with `more` before its findings. The histogram gets as
/// many lines as the page has room for.
pub(super) fn run(outcome: &Outcome, more: &str, page: &Page) -> String {
    let figures = figures_of(outcome, page);
    let mut details = String::new();
    push_costs(&mut details, outcome, page);
    push_faults(&mut details, outcome, page);
    details += more;
    let findings = outcome.findings().into_iter();
    let findings = findings.map(|finding| (finding.weight, finding.text));
    let others = figures.lines().count() + 1;
    super::push_findings(&mut details, findings, others, page);
    let lines = |text: &str| text.lines().count();
    // Besides its rows it has a heading, and an empty line on either side.
    let rows = page.height.map_or(HISTOGRAM_MAX, |height| {
        let others = lines(&figures) + lines(&details) + 3;
        height.saturating_sub(others).min(HISTOGRAM_MAX)
    });
    let mut text = figures;
    if outcome.completed > 0 {
        push_histogram(&mut text, &outcome.latency, rows, page);
    }
    text.push('\n');
    text += &details;
    text
}

/// Returns a step of a sweep in a line, to be shown as soon as it is known.
#[must_use]
pub fn step(outcome: &Outcome) -> String {
    let rate = outcome.throughput();
    format!(
        "{}: {} {}s/s, p99 {}, {}",
        figures::plural(outcome.plan.connections.into(), "connection"),
        rate.map_or_else(|| "-".to_owned(), figures::rate),
        outcome.plan.scenario.unit(),
        figures::duration_or_dash(percentile(&outcome.latency, 99.0)),
        figures::plural(outcome.faults.total(), "error"),
    )
}

/// Returns the headline, the description, and the percentiles.
fn figures_of(outcome: &Outcome, page: &Page) -> String {
    let mut text = headline(outcome, page);
    page.push(&mut text, Style::Faint, &describe(outcome));
    if outcome.completed > 0 {
        text.push('\n');
        text += &percentiles(outcome, page);
    }
    text
}

/// Returns the figures that matter most, in a line.
fn headline(outcome: &Outcome, page: &Page) -> String {
    let strong = |text: &str| page.paint(Style::Strong, text);
    let mut parts = Vec::new();
    if outcome.ending == Ending::Interrupted {
        parts.push(page.paint(Style::Warning, "INTERRUPTED"));
    }
    match outcome.throughput() {
        _ if outcome.completed == 0 => parts.push(page.paint(Style::Bad, "nothing was measured")),
        Some(rate) => {
            let unit = outcome.plan.scenario.unit();
            parts.push(format!("{} {unit}s/s", strong(&figures::rate(rate))));
        }
        None => {
            let proved = figures::count(outcome.connections.proved.into());
            parts.push(format!("{} connections alive", strong(&proved)));
        }
    }
    for (name, p) in [("p50", 50.0), ("p99", 99.0)] {
        if let Some(latency) = percentile(&outcome.latency, p) {
            parts.push(format!("{name} {}", strong(&figures::duration(latency))));
        }
    }
    parts.push(match outcome.faults.total() {
        0 => page.paint(Style::Good, "no errors"),
        errors => page.paint(Style::Bad, &figures::plural(errors, "error")),
    });
    parts.join("   ") + "\n"
}

/// Describes a run in a sentence.
pub(crate) fn describe(outcome: &Outcome) -> String {
    let plan = &outcome.plan;
    let connections = figures::plural(plan.connections.into(), "connection");
    let what = match plan.scenario {
        Scenario::Exchange(pace) => describe_pace(pace),
        Scenario::Churn { names } => {
            let names = figures::plural(names.into(), "name");
            format!("one conversation after another, {names} each")
        }
        Scenario::Idle => "held open in silence".to_owned(),
        Scenario::Mixed { active, pace } => {
            let active = figures::count(active.into());
            format!("{active} of them active, {}", describe_pace(pace))
        }
    };
    let mut text = format!(
        "{}, {connections} to {}, {what}",
        plan.scenario.as_str(),
        plan.target
    );
    if !outcome.measured.is_zero() {
        let measured = figures::duration(outcome.measured);
        write!(text, ", {measured}").expect("a string grows");
    }
    text
}

fn describe_pace(pace: Pace) -> String {
    match pace {
        Pace::Closed { in_flight } => format!("closed loop, {in_flight} in flight"),
        Pace::Open { rate, .. } => format!("open loop, {} names/s", figures::rate(rate)),
    }
}

/// Returns from where to where a latency is measured.
pub(crate) const fn latency_is(outcome: &Outcome) -> &'static str {
    match outcome.plan.scenario {
        Scenario::Churn { .. } => "from the connect to the end of the stream",
        Scenario::Idle => "from the name sent at the end to its whole answer",
        Scenario::Exchange(Pace::Open { .. })
        | Scenario::Mixed {
            pace: Pace::Open { .. },
            ..
        } => "from the moment each name was due to its whole answer",
        Scenario::Exchange(_) | Scenario::Mixed { .. } => "from the name sent to its whole answer",
    }
}

fn percentiles(outcome: &Outcome, page: &Page) -> String {
    let heads = PERCENTILES.map(|(name, _)| Head::right(format!("{name:>8}")));
    let label = Head::left(format!("{:<width$}", "", width = LABEL - 2));
    let mut table = Table::new([label].into_iter().chain(heads));
    for (name, latencies) in distributions(outcome) {
        let values = PERCENTILES.map(|(_, p)| figures::duration_or_dash(percentile(latencies, p)));
        let cells = [name.to_owned()].into_iter().chain(values).map(Cell::Text);
        table.push(Style::Normal, cells.collect());
    }
    table.render(page)
}

/// Returns the distributions of a run, by name.
pub(crate) fn distributions(outcome: &Outcome) -> Vec<(&'static str, &Latencies)> {
    let mut known = vec![("latency", &outcome.latency)];
    known.extend(outcome.service.as_ref().map(|times| ("from send", times)));
    known.extend(outcome.lateness.as_ref().map(|times| ("sent late", times)));
    known
}

/// Appends how the latencies are spread, in at most `rows` lines below a heading.
fn push_histogram(text: &mut String, latencies: &Latencies, rows: usize, page: &Page) {
    let buckets = condensed(latencies, rows);
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(1);
    if buckets.is_empty() {
        return;
    }
    let heading = format!("{:>10}  {:>8}  latency distribution", "below", "share");
    writeln!(text, "\n{}", page.paint(Style::Faint, &heading)).expect("a string grows");
    for Bucket { below, count } in buckets {
        let share = figures::share(count, latencies.len());
        let below = figures::duration(Duration::from_nanos(below));
        let bar = bar(
            count as f64 / most as f64,
            page.width.saturating_sub(22).min(50),
        );
        let bar = page.paint(Style::Bar, &bar);
        let line = format!("{below:>10}  {share:>8}  {bar}");
        writeln!(text, "{}", line.trim_end()).expect("a string grows");
    }
}

/// Appends the CPU time, the memory and the connects.
fn push_costs(text: &mut String, outcome: &Outcome, page: &Page) {
    let lines = [
        ("server", server(outcome)),
        ("generator", generator(outcome)),
        ("memory", memory(outcome)),
        ("connects", connects(outcome)),
    ];
    for (label, line) in lines {
        if let Some(line) = line {
            page.push_labelled(text, Style::Faint, label, &line);
        }
    }
}

fn server(outcome: &Outcome) -> Option<String> {
    let costs = &outcome.costs;
    let Some(share) = costs.server_share() else {
        let is_known = outcome.costs.generator.is_none() || outcome.completed == 0;
        return (!is_known).then(|| "CPU not known: give --server-pid".to_owned());
    };
    let cores = &outcome.placement.server;
    Some(side(
        outcome,
        costs.server_each(),
        share,
        &cores.to_string(),
    ))
}

fn generator(outcome: &Outcome) -> Option<String> {
    let costs = &outcome.costs;
    let cores = &outcome.placement.generator;
    let share = costs.generator_share()?;
    Some(side(
        outcome,
        costs.generator_each(),
        share,
        &cores.to_string(),
    ))
}

/// Describes the CPU time and the cores of one side.
fn side(outcome: &Outcome, each: Option<Duration>, share: f64, cores: &str) -> String {
    let share = figures::percent(share);
    let mut text = match each.filter(|_| outcome.plan.active() > 0) {
        Some(each) => {
            let (each, unit) = (figures::duration(each), outcome.plan.scenario.unit());
            format!("{each} CPU per {unit}, {share} of a core")
        }
        None => format!("{share} of a core"),
    };
    if !cores.is_empty() {
        let several = if cores.contains([',', '-']) { "s" } else { "" };
        write!(text, ", on core{several} {cores}").expect("a string grows");
    }
    text
}

fn memory(outcome: &Outcome) -> Option<String> {
    let each = outcome.costs.memory_each(outcome.connections.held)?;
    let memory = outcome.costs.server_memory?;
    let relevant = outcome.plan.connections > outcome.plan.active();
    relevant.then(|| {
        format!(
            "server {}, {} per open connection (the kernel's not included)",
            figures::bytes(memory as f64),
            figures::bytes(each)
        )
    })
}

fn connects(outcome: &Outcome) -> Option<String> {
    let seen = outcome.connections;
    if seen.open_max == 0 {
        return None;
    }
    let mut text = format!(
        "{}, at most {} open",
        figures::count(seen.made),
        figures::count(seen.open_max.into())
    );
    if let Some(rate) = outcome.connect_rate() {
        let (rate, at) = (figures::rate(rate), |p| {
            figures::duration_or_dash(percentile(&outcome.connect, p))
        });
        write!(
            text,
            "; opened at {rate}/s, p50 {}, max {}",
            at(50.0),
            at(100.0)
        )
        .expect("a string grows");
    }
    let idle = outcome.plan.connections - outcome.plan.active();
    if idle > 0 && outcome.ending == Ending::Complete {
        let (proved, idle) = (u64::from(seen.proved), u64::from(idle));
        let (proved, idle) = (figures::count(proved), figures::count(idle));
        write!(text, "; {proved} of {idle} idle ones alive").expect("a string grows");
    }
    Some(text)
}

/// Appends the errors by kind, or the number of checked answers if there are none.
pub(super) fn push_faults(text: &mut String, outcome: &Outcome, page: &Page) {
    if outcome.is_clean() {
        let checked = figures::plural(outcome.latency.len(), outcome.plan.scenario.unit());
        let line = format!("{checked}, every byte of every answer as it must be");
        return page.push_labelled(text, Style::Faint, "checked", &line);
    }
    let mut lines: Vec<_> = faults(&outcome.faults).collect();
    if !outcome.oldest_missing.is_zero() {
        let age = figures::duration(outcome.oldest_missing);
        lines.push(format!("the oldest missing answer was {age} overdue"));
    }
    let labels = ["errors"].into_iter().chain(std::iter::repeat(""));
    for (label, line) in labels.zip(&lines) {
        page.push_labelled(text, Style::Bad, label, line);
    }
}

/// Returns the errors by kind, in a line each.
pub(crate) fn faults(faults: &Faults) -> impl Iterator<Item = String> {
    faults
        .found()
        .map(|(fault, times)| format!("{} {}", figures::count(times), fault.advice()))
}

/// Rows of a histogram where there is room.
const HISTOGRAM_MAX: usize = 12;
