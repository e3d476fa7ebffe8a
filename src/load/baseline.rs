//! Comparison with an earlier report.
//!
//! Each run is compared with the earlier one of the same plan. What varies within a run, interval
//! by interval, says how far two runs of the same thing may differ (Welch's interval for two means,
//! on the logarithm of their ratio). A change counts only if it is beyond that, and more than a
//! twentieth, because two runs on one machine differ by some percent for reasons of their own.

use std::fmt;

use serde_json::{Value, json};

use super::figures;

/// What became of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The connections of the run.
    pub connections: u64,
    /// What was compared.
    pub metric: &'static str,
    /// The mean of the earlier run.
    pub old: f64,
    /// The mean of this one.
    pub new: f64,
    /// The interval in which the ratio of new to old lies, with a confidence of 95 %. `None`
    /// where there is only one figure for each run.
    pub interval: Option<(f64, f64)>,
    /// What that means.
    pub verdict: Verdict,
}

/// What a comparison means, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Better than before.
    Better,
    /// No change that could be told from noise.
    Same,
    /// One of the runs does not measure the server: it failed, was cut short, or the generator was
    /// the bottleneck.
    Unreadable,
    /// Worse than before.
    Worse,
}

/// A metric: where it is found, and which way is better.
struct Metric {
    name: &'static str,
    better: Better,
    samples: fn(&Value) -> Vec<f64>,
    show: fn(f64) -> String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
}

/// Compares two reports, `old` and `new`, as [`json`](super::json) makes them.
///
/// # Errors
/// If `old` is no such report, or has no run of the same plan as any of the new ones.
pub fn compare(old: &Value, new: &Value) -> Result<Vec<Comparison>, String> {
    let not_ours = "it is not a report of this program: give a file written with --json";
    let old_runs = old["runs"].as_array().ok_or(not_ours)?;
    let new_runs = new["runs"].as_array().ok_or(not_ours)?;
    let mut comparisons = Vec::new();
    for new in new_runs {
        if let Some(old) = old_runs.iter().find(|old| is_same_plan(old, new)) {
            comparisons.extend(METRICS.iter().filter_map(|metric| metric.compare(old, new)));
        }
    }
    if comparisons.is_empty() {
        return Err("no run in it was made with the same scenario, connections, rate and names in flight as this one".to_owned());
    }
    Ok(comparisons)
}

/// The verdict over all: the worst one counts.
#[must_use]
pub fn verdict(comparisons: &[Comparison]) -> Verdict {
    let verdicts = comparisons.iter().map(|comparison| comparison.verdict);
    let worst = verdicts.clone().max().unwrap_or(Verdict::Unreadable);
    match worst {
        // Better in one thing and the same in the others is better.
        Verdict::Same if verdicts.clone().any(|verdict| verdict == Verdict::Better) => {
            Verdict::Better
        }
        worst => worst,
    }
}

impl Metric {
    fn compare(&self, old: &Value, new: &Value) -> Option<Comparison> {
        let (before, after) = ((self.samples)(old), (self.samples)(new));
        let (old_mean, new_mean) = (mean(&before)?, mean(&after)?);
        if old_mean <= 0.0 || (self.name == "throughput" && is_open(new)) {
            return None; // an open loop's throughput is its schedule's
        }
        let interval = ratio_interval(&before, &after);
        let readable = [old, new].into_iter().all(is_readable);
        Some(Comparison {
            connections: new["plan"]["connections"].as_u64()?,
            metric: self.name,
            old: old_mean,
            new: new_mean,
            interval,
            verdict: match readable {
                true => self.judge(new_mean / old_mean, interval),
                false => Verdict::Unreadable,
            },
        })
    }

    fn judge(&self, ratio: f64, interval: Option<(f64, f64)>) -> Verdict {
        let beyond_noise = interval.is_none_or(|(low, high)| high < 1.0 || low > 1.0);
        if !beyond_noise || (ratio - 1.0).abs() <= SMALL {
            return Verdict::Same;
        }
        let is_higher = ratio > 1.0;
        if is_higher == (self.better == Better::Higher) {
            Verdict::Better
        } else {
            Verdict::Worse
        }
    }
}

impl Comparison {
    /// The comparison as the JSON has it.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "connections": self.connections,
            "metric": self.metric,
            "old": self.old,
            "new": self.new,
            "ratio": self.new / self.old,
            "ratio_low": self.interval.map(|(low, _)| low),
            "ratio_high": self.interval.map(|(_, high)| high),
            "verdict": self.verdict.as_str(),
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = METRICS
            .iter()
            .find(|metric| metric.name == self.metric)
            .map_or(figures::rate as fn(f64) -> String, |metric| metric.show);
        let change = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0);
        write!(
            f,
            "{} at {}: {} -> {} ({}",
            self.metric,
            figures::plural(self.connections, "connection"),
            show(self.old),
            show(self.new),
            change(self.new / self.old)
        )?;
        if let Some((low, high)) = self.interval {
            write!(f, ", with noise {} to {}", change(low), change(high))?;
        }
        write!(f, "): {}", self.verdict.as_str())
    }
}

impl Verdict {
    /// The verdict in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Same => "same",
            Self::Unreadable => "unreadable",
            Self::Worse => "worse",
        }
    }
}

fn is_same_plan(old: &Value, new: &Value) -> bool {
    let parts = [
        "scenario",
        "connections",
        "active",
        "in_flight",
        "rate_per_s",
        "names_per_conversation",
        "framing",
    ];
    parts
        .iter()
        .all(|part| old["plan"][part] == new["plan"][part])
}

fn is_open(run: &Value) -> bool {
    run["plan"]["loop"] == "open"
}

/// Whether a run measures the server.
fn is_readable(run: &Value) -> bool {
    let clean = run["errors"]["total"] == 0 && run["ending"] == "complete";
    let warned = run["warnings"].as_array().is_some_and(|all| {
        all.iter()
            .filter_map(Value::as_str)
            .any(|warning| warning.starts_with("the generator was the bottleneck"))
    });
    clean && !warned
}

/// The figure of each interval, but for a short one at the end.
fn over_time(run: &Value, figure: fn(&Value) -> Option<f64>) -> Vec<f64> {
    let series = run["series"].as_array().map_or(&[][..], Vec::as_slice);
    let lasted = |interval: &Value| interval["lasted_s"].as_f64().unwrap_or(0.0);
    let longest = series.iter().map(lasted).fold(0.0, f64::max);
    series
        .iter()
        .filter(|interval| lasted(interval) > 0.5 * longest)
        .filter_map(figure)
        .collect()
}

fn mean(samples: &[f64]) -> Option<f64> {
    (!samples.is_empty()).then(|| samples.iter().sum::<f64>() / samples.len() as f64)
}

/// Where the ratio of the means lies with a confidence of 95 %.
fn ratio_interval(before: &[f64], after: &[f64]) -> Option<(f64, f64)> {
    let (old, new) = (mean(before)?, mean(after)?);
    let relative = relative_error(before, old)?.hypot(relative_error(after, new)?);
    // On the logarithm of the ratio, so that twice and half as much are equally far from the same.
    let (ratio, reach) = (new / old, (1.96 * relative).exp());
    Some((ratio / reach, ratio * reach))
}

/// The standard error of the mean, as a part of it.
fn relative_error(samples: &[f64], mean: f64) -> Option<f64> {
    let degrees = samples.len().checked_sub(1).filter(|&n| n > 0)? as f64;
    let squares: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
    (mean > 0.0).then(|| (squares / degrees / samples.len() as f64).sqrt() / mean)
}

fn nanos(nanos: f64) -> String {
    figures::duration(std::time::Duration::from_nanos(nanos as u64))
}

fn single(value: &Value) -> Vec<f64> {
    value.as_f64().into_iter().collect()
}

const METRICS: [Metric; 4] = [
    Metric {
        name: "throughput",
        better: Better::Higher,
        samples: |run| {
            over_time(run, |interval| {
                Some(interval["completed"].as_f64()? / interval["lasted_s"].as_f64()?)
            })
        },
        show: figures::rate,
    },
    Metric {
        name: "p50",
        better: Better::Lower,
        samples: |run| over_time(run, |interval| interval["p50_ns"].as_f64()),
        show: nanos,
    },
    Metric {
        name: "p99",
        better: Better::Lower,
        samples: |run| over_time(run, |interval| interval["p99_ns"].as_f64()),
        show: nanos,
    },
    Metric {
        name: "server CPU",
        better: Better::Lower,
        samples: |run| single(&run["cpu"]["server_ns_each"]),
        show: nanos,
    },
];

/// Changes up to this part are called noise, whatever the interval says.
const SMALL: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rates: &[u64], p99: u64) -> Value {
        let series = rates
            .iter()
            .map(|rate| json!({"lasted_s": 1.0, "completed": rate, "p50_ns": 1000, "p99_ns": p99}));
        json!({"runs": [{
            "plan": {"scenario": "exchange", "connections": 10, "loop": "closed"},
            "ending": "complete",
            "errors": {"total": 0},
            "warnings": [],
            "series": series.collect::<Vec<_>>(),
        }]})
    }

    fn verdict_of(old: &Value, new: &Value) -> Verdict {
        verdict(&compare(old, new).expect("both are reports of the same plan"))
    }

    #[test]
    fn a_change_beyond_the_noise_is_told_and_a_smaller_one_is_not() {
        let old = report(&[1000, 1010, 990, 1005], 5000);
        assert_eq!(verdict_of(&old, &old), Verdict::Same);
        assert_eq!(
            verdict_of(&old, &report(&[1030, 1035, 1025], 5000)),
            Verdict::Same
        );
        assert_eq!(
            verdict_of(&old, &report(&[1230, 1235, 1225], 5000)),
            Verdict::Better
        );
        assert_eq!(
            verdict_of(&old, &report(&[830, 835, 825], 5000)),
            Verdict::Worse
        );
        assert_eq!(
            verdict_of(&old, &report(&[300, 2300, 900], 5000)),
            Verdict::Same
        );
    }

    #[test]
    fn better_in_one_thing_and_worse_in_another_is_worse() {
        let old = report(&[1000, 1010, 990], 5000);
        assert_eq!(
            verdict_of(&old, &report(&[2000, 2010, 1990], 9000)),
            Verdict::Worse
        );
    }

    #[test]
    fn a_run_with_errors_or_a_generator_at_its_end_is_not_readable() {
        let good = report(&[1000, 1010, 990], 5000);
        let mut failed = good.clone();
        failed["runs"][0]["errors"]["total"] = json!(1);
        assert_eq!(verdict_of(&good, &failed), Verdict::Unreadable);
        let mut limited = good.clone();
        limited["runs"][0]["warnings"] = json!(["the generator was the bottleneck: …"]);
        assert_eq!(verdict_of(&limited, &good), Verdict::Unreadable);
    }

    #[test]
    fn only_reports_with_a_run_of_the_same_plan_are_compared() {
        let report = report(&[1000], 5000);
        assert!(
            compare(&json!({"other": 1}), &report)
                .unwrap_err()
                .contains("--json")
        );
        let mut other = report.clone();
        other["runs"][0]["plan"]["connections"] = json!(11);
        assert!(compare(&other, &report).is_err());
    }
}
