//! Conditions under which a run fails, for CI: `p99>5ms,errors>0`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::figures;
use super::outcome::Outcome;
use super::record::percentile;

/// One condition: a run for which it holds has failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    metric: Metric,
    relation: Relation,
    /// In nanoseconds for latencies.
    bound: f64,
}

/// The result of a condition for one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The connections of the run.
    pub connections: u32,
    /// The condition, as it was given.
    pub condition: String,
    /// The measured value; `None` if there is none.
    pub measured: Option<String>,
    /// `true` if the run has failed by it, or cannot be judged.
    pub failed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Percentile(f64),
    Mean,
    Throughput,
    Errors,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Threshold {
    /// Returns the conditions of a list with commas.
    ///
    /// # Errors
    /// Describes the first condition that cannot be parsed, and the syntax.
    pub fn parse_list(list: &str) -> Result<Vec<Self>, String> {
        list.split(',').map(|one| one.trim().parse()).collect()
    }

    /// Judges a run.
    #[must_use]
    pub fn judge(&self, outcome: &Outcome) -> Judgement {
        let measured = self.metric.of(outcome);
        let failed = measured.is_none_or(|value| self.relation.holds(value, self.bound));
        Judgement {
            connections: outcome.plan.connections,
            condition: self.text.clone(),
            measured: measured.map(|value| self.metric.show(value)),
            failed,
        }
    }
}

impl Metric {
    fn of(self, outcome: &Outcome) -> Option<f64> {
        match self {
            Self::Percentile(p) => Some(percentile(&outcome.latency, p)?.as_nanos() as f64),
            Self::Mean => (!outcome.latency.is_empty()).then(|| outcome.latency.mean()),
            Self::Throughput => outcome.throughput(),
            Self::Errors => Some(outcome.faults.total() as f64),
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Percentile(_) | Self::Mean => {
                figures::duration(Duration::from_nanos(value as u64))
            }
            Self::Throughput => format!("{}/s", figures::rate(value)),
            Self::Errors => figures::count(value as u64),
        }
    }

    fn parse_bound(self, text: &str) -> Option<f64> {
        match self {
            Self::Percentile(_) | Self::Mean => {
                Some(humantime::parse_duration(text).ok()?.as_nanos() as f64)
            }
            Self::Throughput | Self::Errors => {
                text.parse().ok().filter(|bound: &f64| bound.is_finite())
            }
        }
    }
}

impl Relation {
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Above => value > bound,
            Self::AtLeast => value >= bound,
            Self::Below => value < bound,
            Self::AtMost => value <= bound,
        }
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let relations = [
            (">=", Relation::AtLeast),
            ("<=", Relation::AtMost),
            (">", Relation::Above),
            ("<", Relation::Below),
        ];
        let split = relations
            .iter()
            .find_map(|&(sign, relation)| Some((text.split_once(sign)?, relation)));
        let ((metric, bound), relation) =
            split.ok_or_else(|| format!("there is no < or > in {text:?}; {ADVICE}"))?;
        let metric = parse_metric(metric.trim())
            .ok_or_else(|| format!("{:?} is not measured; {ADVICE}", metric.trim()))?;
        let bound = metric
            .parse_bound(bound.trim())
            .ok_or_else(|| format!("{:?} is no bound for that; {ADVICE}", bound.trim()))?;
        Ok(Self {
            text: text.to_owned(),
            metric,
            relation,
            bound,
        })
    }
}

fn parse_metric(name: &str) -> Option<Metric> {
    match name {
        "mean" => Some(Metric::Mean),
        "max" => Some(Metric::Percentile(100.0)),
        "throughput" => Some(Metric::Throughput),
        "errors" => Some(Metric::Errors),
        _ => {
            let percentile: f64 = name.strip_prefix('p')?.parse().ok()?;
            let valid = percentile > 0.0 && percentile <= 100.0;
            valid.then_some(Metric::Percentile(percentile))
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = self.measured.as_deref().unwrap_or("nothing");
        let connections = figures::plural(self.connections.into(), "connection");
        let condition = &self.condition;
        write!(
            f,
            "--fail-if '{condition}' with {connections}: measured {measured}"
        )
    }
}

const ADVICE: &str = "write conditions like p99>5ms, p99.9>=20ms, max>1s, mean>1ms, throughput<10000 or errors>0, with commas between them";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_they_are_written() {
        let read = Threshold::parse_list("p99>5ms, errors>0,p99.9>=1s,throughput<1e4").unwrap();
        let parts: Vec<_> = read
            .iter()
            .map(|t| (t.metric, t.relation, t.bound))
            .collect();
        assert_eq!(
            parts,
            [
                (Metric::Percentile(99.0), Relation::Above, 5e6),
                (Metric::Errors, Relation::Above, 0.0),
                (Metric::Percentile(99.9), Relation::AtLeast, 1e9),
                (Metric::Throughput, Relation::Below, 1e4),
            ]
        );
    }

    #[test]
    fn invalid_condition_is_an_error_with_the_syntax() {
        for wrong in [
            "p99",
            "p99>5",
            "p101>5ms",
            "speed<3",
            "errors>x",
            "errors>inf",
            "",
        ] {
            let error = Threshold::parse_list(wrong).unwrap_err();
            assert!(error.contains("p99>5ms"), "{wrong}: {error}");
        }
    }
}
