//! The report for people.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use super::errors::Faults;
use super::figures;
use super::findings::{Finding, Weight};
use super::outcome::{Ending, Outcome};
use super::plan::{Pace, Scenario};
use super::record::{Latencies, percentile};

/// What is reported of a distribution.
pub(crate) const PERCENTILES: [(&str, f64); 6] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("p99.99", 99.99),
    ("max", 100.0),
];

/// One run in some thirty lines.
#[must_use]
pub fn report(outcome: &Outcome) -> String {
    let mut text = headline(outcome) + "\n\n";
    if outcome.completed > 0 {
        line(&mut text, "Throughput", &throughput(outcome));
        line(&mut text, "Latency", latency_is(outcome));
        push_indented(&mut text, &percentiles(outcome));
        push_indented(&mut text, &histogram(&outcome.latency));
    }
    line(&mut text, "Connections", &connections(outcome));
    for (label, told) in [("CPU", cpu(outcome)), ("Memory", memory(outcome))] {
        if let Some(told) = told {
            line(&mut text, label, &told);
        }
    }
    push_faults(&mut text, outcome);
    push_findings(&mut text, outcome);
    text
}

/// A step of a sweep in a line, to be shown as soon as it is known.
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

/// A run in one line for each, and the curve of the throughput.
#[must_use]
pub fn sweep(outcomes: &[Outcome]) -> String {
    let mut table = plain_table();
    let unit = outcomes
        .first()
        .map_or("exchange", |outcome| outcome.plan.scenario.unit());
    table.set_header([
        "connections".to_owned(),
        format!("{unit}s/s"),
        "p50".to_owned(),
        "p99".to_owned(),
        "p99.9".to_owned(),
        "max".to_owned(),
        "server CPU".to_owned(),
        "generator CPU".to_owned(),
        "errors".to_owned(),
        "".to_owned(),
    ]);
    let most = outcomes.iter().filter_map(Outcome::throughput);
    let most = most.fold(0.0, f64::max);
    for outcome in outcomes {
        table.add_row(sweep_row(outcome, most));
    }
    align_right(&mut table);
    let mut text = format!("{table}\n");
    let failing = outcomes.iter().filter(|outcome| !outcome.is_clean());
    for outcome in failing {
        writeln!(text, "\n{} connections:", outcome.plan.connections).expect("a string grows");
        push_faults(&mut text, outcome);
    }
    push_sweep_findings(&mut text, outcomes);
    text
}

fn sweep_row(outcome: &Outcome, most: f64) -> Vec<String> {
    let at = |p| figures::duration_or_dash(percentile(&outcome.latency, p));
    let throughput = outcome.throughput();
    let bar = throughput.map_or(String::new(), |rate| bar(rate / most.max(1.0), 24));
    let mark = match outcome.ending {
        Ending::Complete => bar,
        Ending::Interrupted => "(interrupted)".to_owned(),
    };
    vec![
        figures::count(outcome.plan.connections.into()),
        throughput.map_or_else(|| "-".to_owned(), figures::rate),
        at(50.0),
        at(99.0),
        at(99.9),
        at(100.0),
        figures::duration_or_dash(outcome.costs.server_each()),
        figures::duration_or_dash(outcome.costs.generator_each()),
        figures::count(outcome.faults.total()),
        mark,
    ]
}

fn push_sweep_findings(text: &mut String, outcomes: &[Outcome]) {
    for (weight, steps, finding) in sweep_findings(outcomes) {
        writeln!(text, "\n{}: {steps}{finding}", weight.word()).expect("a string grows");
    }
}

/// Each finding once, with the steps that it holds for, unless it holds for all.
pub(crate) fn sweep_findings(outcomes: &[Outcome]) -> Vec<(Weight, String, String)> {
    let mut told: Vec<(Finding, Vec<String>)> = Vec::new();
    for outcome in outcomes {
        let step = figures::count(outcome.plan.connections.into());
        for finding in outcome.findings() {
            match told.iter_mut().find(|(known, _)| *known == finding) {
                Some((_, steps)) => steps.push(step.clone()),
                None => told.push((finding, vec![step.clone()])),
            }
        }
    }
    let told = told.into_iter().map(|(finding, steps)| {
        let everywhere = steps.len() == outcomes.len();
        let steps = match everywhere {
            true => String::new(),
            false => format!("with {} connections: ", steps.join(", ")),
        };
        (finding.weight, steps, finding.text)
    });
    told.collect()
}

fn headline(outcome: &Outcome) -> String {
    let mark = match outcome.ending {
        Ending::Complete => "",
        Ending::Interrupted => "INTERRUPTED, the figures are partial: ",
    };
    format!("{mark}{}", describe(outcome))
}

/// What was done, in a sentence.
pub(crate) fn describe(outcome: &Outcome) -> String {
    let plan = &outcome.plan;
    let connections = figures::plural(plan.connections.into(), "connection");
    let what = match plan.scenario {
        Scenario::Exchange(pace) => describe_pace(pace),
        Scenario::Churn { names } => {
            let names = figures::plural(names.into(), "name");
            format!("one conversation after the other with {names} each")
        }
        Scenario::Idle => "held open in silence".to_owned(),
        Scenario::Mixed { active, pace } => {
            let active = figures::count(active.into());
            format!("{active} of them active: {}", describe_pace(pace))
        }
    };
    format!(
        "{}: {connections} to {}, {what}; measured for {}",
        plan.scenario.as_str(),
        plan.target,
        figures::duration(outcome.measured)
    )
}

fn describe_pace(pace: Pace) -> String {
    match pace {
        Pace::Closed { in_flight } => format!("closed loop, {in_flight} in flight on each"),
        Pace::Open { rate, .. } => {
            format!("open loop, {} names a second", figures::rate(rate))
        }
    }
}

fn throughput(outcome: &Outcome) -> String {
    let unit = outcome.plan.scenario.unit();
    let completed = figures::plural(outcome.completed, unit);
    match outcome.throughput() {
        Some(rate) => format!("{} {unit}s/s ({completed})", figures::rate(rate)),
        None => format!("{completed}, each connection's sign of life"),
    }
}

pub(crate) const fn latency_is(outcome: &Outcome) -> &'static str {
    match outcome.plan.scenario {
        Scenario::Churn { .. } => "from the connect to the end of the stream",
        Scenario::Idle => "from the sign of life asked for to its whole answer",
        Scenario::Exchange(Pace::Open { .. })
        | Scenario::Mixed {
            pace: Pace::Open { .. },
            ..
        } => "from the moment each name was due to its whole answer",
        Scenario::Exchange(_) | Scenario::Mixed { .. } => "from the name sent to its whole answer",
    }
}

fn percentiles(outcome: &Outcome) -> String {
    let mut table = plain_table();
    let names = PERCENTILES.map(|(name, _)| name);
    table.set_header([""].into_iter().chain(names));
    for (name, latencies) in distributions(outcome) {
        let values = PERCENTILES.map(|(_, p)| figures::duration_or_dash(percentile(latencies, p)));
        table.add_row([name.to_owned()].into_iter().chain(values));
    }
    align_right(&mut table);
    table.to_string()
}

/// What is known of the times, by name.
pub(crate) fn distributions(outcome: &Outcome) -> Vec<(&'static str, &Latencies)> {
    let mut known = vec![("latency", &outcome.latency)];
    known.extend(outcome.service.as_ref().map(|times| ("from send", times)));
    known.extend(outcome.lateness.as_ref().map(|times| ("sent late", times)));
    known
}

/// How the latencies are spread, in at most a dozen lines.
fn histogram(latencies: &Latencies) -> String {
    let buckets = buckets(latencies);
    let most = buckets.iter().map(|&(_, count)| count).max().unwrap_or(1);
    let mut text = String::from("\n");
    for (below, count) in buckets {
        let part = count as f64 / latencies.len() as f64;
        let bar = bar(count as f64 / most as f64, 40);
        let below = figures::duration(Duration::from_nanos(below));
        writeln!(text, "< {below:>8} {:>6.2} % {bar}", part * 100.0).expect("a string grows");
    }
    text
}

/// Counts below each of some dozen round bounds.
fn buckets(latencies: &Latencies) -> Vec<(u64, u64)> {
    let (low, high) = (latencies.min().max(1), latencies.max().max(1));
    let decades = (high as f64 / low as f64).log10();
    let steps = SERIES
        .iter()
        .find(|steps| steps.len() as f64 * decades <= 12.0);
    let steps = steps.unwrap_or(&SERIES[SERIES.len() - 1]);
    let bounds = (0..).flat_map(|decade| steps.iter().map(move |step| round(step, decade)));
    let mut buckets = Vec::new();
    for below in bounds.skip_while(|&bound| bound <= low) {
        buckets.push((below, 0));
        if below > high {
            break;
        }
    }
    for recorded in latencies.iter_recorded() {
        let value = recorded.value_iterated_to().min(high);
        let place = buckets.partition_point(|&(below, _)| below <= value);
        buckets[place].1 += recorded.count_at_value();
    }
    buckets
}

fn round(step: &f64, decade: i32) -> u64 {
    (step * 10f64.powi(decade)).round() as u64
}

/// A bar of at most `width` characters.
fn bar(part: f64, width: usize) -> String {
    let eighths = (part.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    bar.push_str(rest[eighths % 8]);
    bar
}

fn connections(outcome: &Outcome) -> String {
    let seen = outcome.connections;
    let mut told = format!(
        "{} made, {} open at once",
        figures::count(seen.made),
        figures::count(seen.open_max.into())
    );
    if let Some(rate) = outcome.connect_rate().filter(|_| seen.open_max > 0) {
        write!(
            told,
            "; opened at {} a second, connect p50 {}, max {}",
            figures::rate(rate),
            figures::duration_or_dash(percentile(&outcome.connect, 50.0)),
            figures::duration_or_dash(percentile(&outcome.connect, 100.0)),
        )
        .expect("a string grows");
    }
    let idle = outcome.plan.connections - outcome.plan.active();
    if idle > 0 && outcome.ending == Ending::Complete {
        let (proved, idle) = (u64::from(seen.proved), u64::from(idle));
        let (proved, idle) = (figures::count(proved), figures::count(idle));
        write!(told, "; {proved} of {idle} idle ones proved alive").expect("a string grows");
    }
    told
}

fn cpu(outcome: &Outcome) -> Option<String> {
    let costs = &outcome.costs;
    let side = |name, each: Option<Duration>, share: Option<f64>| {
        let share = figures::percent(share?);
        Some(match each.filter(|_| outcome.plan.active() > 0) {
            Some(each) => format!("{name} {} ({share} of a core)", figures::duration(each)),
            None => format!("{name} {share} of a core"),
        })
    };
    let generator = side("generator", costs.generator_each(), costs.generator_share())?;
    let server = side("server", costs.server_each(), costs.server_share());
    let server = server.unwrap_or_else(|| "server not known (give --server-pid)".to_owned());
    let unit = match outcome.plan.active() {
        0 => String::new(),
        _ => format!("per {}: ", outcome.plan.scenario.unit()),
    };
    Some(format!("{unit}{generator}, {server}"))
}

fn memory(outcome: &Outcome) -> Option<String> {
    let each = outcome.costs.memory_each(outcome.connections.held)?;
    let memory = outcome.costs.server_memory?;
    let relevant = outcome.plan.connections > outcome.plan.active();
    relevant.then(|| {
        format!(
            "server {} of its own, {} for each open connection (the kernel's share not counted)",
            figures::bytes(memory as f64),
            figures::bytes(each)
        )
    })
}

fn push_faults(text: &mut String, outcome: &Outcome) {
    if outcome.is_clean() {
        return line(text, "Errors", "none: every byte was the one it had to be");
    }
    line(text, "Errors", &figures::count(outcome.faults.total()));
    for told in faults(&outcome.faults) {
        writeln!(text, "{INDENT}{told}").expect("a string grows");
    }
    if !outcome.oldest_missing.is_zero() {
        let age = figures::duration(outcome.oldest_missing);
        writeln!(
            text,
            "{INDENT}the oldest missing answer was waited for {age}"
        )
        .expect("a string grows");
    }
}

/// What went wrong, in a line each.
pub(crate) fn faults(faults: &Faults) -> impl Iterator<Item = String> {
    faults
        .found()
        .map(|(fault, times)| format!("{} {}", figures::count(times), fault.advice()))
}

fn push_findings(text: &mut String, outcome: &Outcome) {
    for finding in outcome.findings() {
        writeln!(text, "\n{}: {}", finding.weight.word(), finding.text).expect("a string grows");
    }
}

fn line(text: &mut String, label: &str, told: &str) {
    writeln!(text, "  {label:<12}{told}").expect("a string grows");
}

fn push_indented(text: &mut String, block: &str) {
    for line in block.lines() {
        writeln!(text, "{INDENT}{}", line.trim_end()).expect("a string grows");
    }
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn align_right(table: &mut Table) {
    let last = table.column_count().saturating_sub(1);
    for column in table.column_iter_mut().take(last) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

impl Weight {
    /// The word in front of a finding.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
        }
    }
}

/// Round numbers at equal distances on a logarithmic scale, the finest first.
const SERIES: [&[f64]; 5] = [
    &[1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0],
    &[1.0, 1.6, 2.5, 4.0, 6.3],
    &[1.0, 2.0, 5.0],
    &[1.0, 3.0],
    &[1.0],
];
const INDENT: &str = "              ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::record;

    #[test]
    fn every_latency_is_below_one_of_at_most_a_score_of_bounds() {
        for (low, high) in [(1, 1), (5, 9), (17_000, 8_000_000), (1, 3_000_000_000_000)] {
            let mut latencies = record::latencies();
            for value in [low, low, high] {
                latencies.saturating_record(value);
            }
            let buckets = buckets(&latencies);
            assert!(buckets.len() <= 20, "{buckets:?}");
            assert_eq!(buckets.iter().map(|&(_, count)| count).sum::<u64>(), 3);
            assert!(buckets[0].1 >= 2, "{buckets:?}");
        }
    }
}
