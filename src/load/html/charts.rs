//! The charts of the page.

use std::time::Duration;

use super::chart::{Axis, Chart, Marks, Scale};
use crate::compare::{Arm, Comparison};
use crate::figures;
use crate::histogram;
use crate::outcome::Outcome;
use crate::ramp::rate;
use crate::record::{Interval, Latencies, Spread, percentile};

pub(super) fn throughput_over_time(run: &Outcome) -> Chart<'static> {
    let whole = run.series.iter().map(|interval| interval.lasted).max();
    // Answers to the last names in flight make a short interval of their own.
    let full = run
        .series
        .iter()
        .filter(|interval| interval.start < run.measured && Some(interval.lasted * 2) > whole);
    let rate = full.map(|interval| {
        let rate = interval.completed as f64 / interval.lasted.as_secs_f64();
        (middle(interval), rate)
    });
    Chart::lines(SECONDS, PER_SECOND, vec![rate.collect()])
}

pub(super) fn latency_over_time(run: &Outcome) -> Chart<'static> {
    let line = |of: fn(Spread) -> Duration| {
        let points = run
            .series
            .iter()
            .filter_map(|interval| Some((middle(interval), above_zero(of(interval.latency?)))));
        points.collect::<Vec<_>>()
    };
    let lines = vec![line(|s| s.p50), line(|s| s.p99), line(|s| s.max)];
    Chart::lines(SECONDS, LATENCY, lines)
}

fn middle(interval: &Interval) -> f64 {
    (interval.start + interval.lasted / 2).as_secs_f64()
}

/// Draws the share of each of some dozens of ranges.
pub(super) fn histogram(latencies: &Latencies) -> Chart<'static> {
    let buckets = histogram::buckets(latencies, 64);
    let seconds = |nanos: u64| nanos.max(1) as f64 / 1e9;
    let all = latencies.len().max(1) as f64;
    let mut from = seconds(latencies.min());
    let bars = buckets.into_iter().map(|bucket| {
        let to = seconds(bucket.below);
        let bar = (from, to, bucket.count as f64 / all * 100.0);
        from = to;
        bar
    });
    let bars: Vec<_> = bars.filter(|&(from, to, _)| from < to).collect();
    let x = axis(Scale::Logarithmic, "latency", &time);
    Chart {
        x,
        y: axis(Scale::Linear, "share in %", &plain),
        marks: Marks::Bars(bars),
        knee: None,
    }
}

/// Draws the latency of each percentile, stretched so that each further nine has as much room.
pub(super) fn percentiles(known: &[(&str, &Latencies)]) -> Chart<'static> {
    let line = |latencies: &Latencies| {
        let finest = (latencies.len() as f64).log10().max(1.0);
        let steps = (0..=(finest * 10.0) as u32).map(|step| f64::from(step) / 10.0);
        let points = steps.filter_map(|nines| {
            let rest = 10f64.powf(-nines);
            let latency = percentile(latencies, (1.0 - rest) * 100.0)?;
            Some((1.0 / rest, above_zero(latency)))
        });
        points.collect::<Vec<_>>()
    };
    let lines = known
        .iter()
        .map(|&(_, latencies)| line(latencies))
        .collect();
    let x = axis(Scale::Logarithmic, "percentile", &nines);
    Chart::lines(x, LATENCY, lines)
}

pub(super) fn throughput_scaling(runs: &[Outcome]) -> Chart<'static> {
    let points = runs
        .iter()
        .filter_map(|run| Some((connections(run), run.throughput()?)));
    Chart::lines(CONNECTIONS, PER_SECOND, vec![points.collect()])
}

pub(super) fn latency_scaling(runs: &[Outcome]) -> Chart<'static> {
    let all: Vec<_> = runs.iter().collect();
    Chart::lines(CONNECTIONS, LATENCY, latency_lines(&all, connections))
}

pub(super) fn cpu_scaling(runs: &[Outcome]) -> Chart<'static> {
    let line = |of: fn(&Outcome) -> Option<Duration>| {
        let points = runs
            .iter()
            .filter_map(|run| Some((connections(run), of(run)?.as_secs_f64())));
        points.collect::<Vec<_>>()
    };
    let lines = vec![
        line(|run| run.costs.server_each()),
        line(|run| run.costs.generator_each()),
    ];
    Chart::lines(CONNECTIONS, axis(Scale::Linear, "CPU time", &time), lines)
}

/// Draws the latencies by rate, with a mark at the knee.
pub(super) fn latency_by_rate(steps: &[&Outcome], knee: Option<f64>) -> Chart<'static> {
    Chart {
        knee,
        ..Chart::lines(RATE, LATENCY, latency_lines(steps, rate))
    }
}

/// Draws the answers by rate, and the names due, with a mark at the knee.
pub(super) fn answers_by_rate(steps: &[&Outcome], knee: Option<f64>) -> Chart<'static> {
    let answers = steps
        .iter()
        .filter_map(|step| Some((rate(step), answered(step)?)));
    let due = steps.iter().map(|step| (rate(step), rate(step)));
    Chart {
        knee,
        ..Chart::lines(RATE, PER_SECOND, vec![answers.collect(), due.collect()])
    }
}

/// Returns the answers per second while a step was measured.
pub(super) fn answered(step: &Outcome) -> Option<f64> {
    let seconds = step.costs.wall.as_secs_f64();
    (seconds > 0.0).then(|| step.costs.completed as f64 / seconds)
}

pub(super) fn throughput_by_round(comparison: &Comparison, runs: &[Outcome]) -> Chart<'static> {
    let lines = by_round(comparison, runs, Outcome::throughput);
    Chart::lines(ROUNDS, PER_SECOND, lines)
}

pub(super) fn p99_by_round(comparison: &Comparison, runs: &[Outcome]) -> Chart<'static> {
    let p99 = |run: &Outcome| percentile(&run.latency, 99.0).map(above_zero);
    Chart::lines(ROUNDS, LATENCY, by_round(comparison, runs, p99))
}

/// Returns a line for each arm.
fn by_round(
    comparison: &Comparison,
    runs: &[Outcome],
    of: impl Fn(&Outcome) -> Option<f64>,
) -> Vec<Vec<(f64, f64)>> {
    let line = |arm: Arm| {
        let runs = comparison.arms().zip(runs).enumerate();
        let points = runs.filter(|&(_, (other, _))| other == arm);
        points
            .filter_map(|(place, (_, run))| Some(((place / 3 + 1) as f64, of(run)?)))
            .collect()
    };
    [Arm::First, Arm::Other, Arm::Control].map(line).into()
}

fn latency_lines(runs: &[&Outcome], x: fn(&Outcome) -> f64) -> Vec<Vec<(f64, f64)>> {
    let line = |p: f64| {
        let points = runs
            .iter()
            .filter_map(|run| Some((x(run), above_zero(percentile(&run.latency, p)?))));
        points.collect::<Vec<_>>()
    };
    [50.0, 99.0, 100.0].map(line).to_vec()
}

fn connections(run: &Outcome) -> f64 {
    f64::from(run.plan.connections)
}

const fn axis<'a>(scale: Scale, label: &'a str, show: &'a dyn Fn(f64) -> String) -> Axis<'a> {
    Axis { scale, label, show }
}

const SECONDS: Axis<'static> = axis(Scale::Linear, "seconds", &plain);
const ROUNDS: Axis<'static> = axis(Scale::Linear, "round", &plain);
const CONNECTIONS: Axis<'static> = axis(Scale::Logarithmic, "connections", &thousands);
const RATE: Axis<'static> = axis(Scale::Logarithmic, "names per second", &thousands);
const LATENCY: Axis<'static> = axis(Scale::Decades, "latency", &time);
const PER_SECOND: Axis<'static> = axis(Scale::Linear, "per second", &thousands);

fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn thousands(value: f64) -> String {
    match value {
        v if v >= 10_000.0 => format!("{}k", plain(v / 1000.0)),
        v => plain(v),
    }
}

fn time(seconds: f64) -> String {
    figures::duration(Duration::from_secs_f64(seconds.max(0.0)))
}

/// Shows a percentile: 1 is the 0th, 10 the 90th, 100 the 99th.
fn nines(one_in: f64) -> String {
    let percent = (1.0 - 1.0 / one_in) * 100.0;
    let digits = (one_in.log10() - 2.0).max(0.0).ceil() as usize;
    format!("{percent:.digits$}")
}

fn above_zero(duration: Duration) -> f64 {
    duration.max(Duration::from_nanos(1)).as_secs_f64()
}
