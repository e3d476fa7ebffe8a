//! The whole of one invocation: its runs, and the conditions that judge them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::compare::{Arm, Compared, Comparison, Ratio};
use super::json;
use super::machine::Machine;
use super::outcome::{Ending, Outcome};
use super::ramp::{Knee, Ramp};
use super::threshold::{Judgement, Threshold};

/// The whole of one invocation.
#[derive(Clone, Debug)]
pub struct Report {
    /// The command line, without the program's name.
    pub command: Vec<String>,
    /// The time at which it began.
    pub started: SystemTime,
    /// The machine it was made on.
    pub machine: Machine,
    /// The server.
    pub server: Server,
    /// The cores that both sides were kept on.
    pub pinned: Pinned,
    /// The runs, in the order in which they were made.
    pub runs: Vec<Outcome>,
    /// The relation of the runs.
    pub shape: Shape,
    /// Conditions under which it fails.
    pub thresholds: Vec<Threshold>,
}

/// The cores that both sides were kept on; `None` where the system decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pinned {
    /// The generator's.
    pub generator: Option<u32>,
    /// The server's, if it was started for this report.
    pub server: Option<u32>,
}

/// The origin of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// It was started for this.
    Own {
        /// Its process.
        pid: u32,
    },
    /// It was there, and its process was given.
    Known {
        /// Its process.
        pid: u32,
    },
    /// It was there.
    Unknown,
}

/// The relation of the runs of a report.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// There is only one.
    Single,
    /// The same with more and more connections.
    Sweep,
    /// The same at different rates, in search of the highest that the server keeps up with.
    Ramp(Ramp),
    /// Two servers in turn.
    Comparison(Comparison),
}

/// The verdict on a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was wrong, and no condition was given.
    Measured,
    /// Nothing was wrong, and no condition held.
    Passed,
    /// There were errors, a condition held, or a ramp found no rate that the server kept up with.
    Failed,
    /// It was stopped before it could be judged.
    Interrupted,
}

impl Report {
    /// Returns how it all ended.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let interrupted = |run: &Outcome| run.ending == Ending::Interrupted;
        if self.runs.iter().any(interrupted) {
            return Verdict::Interrupted;
        }
        let judged = self.judged();
        let failed = judged.is_empty()
            || !judged.iter().all(|run| run.is_clean())
            || self.judgements().iter().any(|judgement| judgement.failed);
        match self.thresholds.is_empty() {
            _ if failed => Verdict::Failed,
            true => Verdict::Measured,
            false => Verdict::Passed,
        }
    }

    /// Returns the result of each condition, run by run.
    #[must_use]
    pub fn judgements(&self) -> Vec<Judgement> {
        let runs = self.judged().into_iter();
        runs.flat_map(|run| self.thresholds.iter().map(|threshold| threshold.judge(run)))
            .collect()
    }

    /// Returns the knee of a ramp, if this is one and it has found any.
    #[must_use]
    pub fn knee(&self) -> Option<Knee<'_>> {
        match &self.shape {
            Shape::Ramp(ramp) => ramp.knee(&self.runs),
            _ => None,
        }
    }

    /// Returns the runs that must be right: all, but of a ramp only the one at the knee.
    fn judged(&self) -> Vec<&Outcome> {
        match &self.shape {
            Shape::Ramp(ramp) => ramp.knee(&self.runs).iter().map(|knee| knee.run).collect(),
            _ => self.runs.iter().collect(),
        }
    }

    /// Returns everything, for programs. The layout is described by `docs/load.schema.json`.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "schema_version": 2,
            "tool": {"name": "greet-load", "version": env!("CARGO_PKG_VERSION")},
            "command": self.command,
            "started_unix_s": self.started_unix(),
            "machine": {
                "system": self.machine.system,
                "arch": self.machine.arch,
                "cpu": self.machine.cpu,
                "cpus": self.machine.cpus,
            },
            "pinned": {"generator": self.pinned.generator, "server": self.pinned.server},
            "server": self.server.json(),
            "shape": self.shape.as_str(),
            "verdict": self.verdict().as_str(),
            "runs": self.runs.iter().map(json::run).collect::<Vec<_>>(),
            "ramp": self.ramp_json(),
            "comparison": self.comparison_json(),
            "conditions": self.judgements().iter().map(judgement).collect::<Vec<_>>(),
        })
    }

    fn ramp_json(&self) -> Option<Value> {
        let Shape::Ramp(ramp) = &self.shape else {
            return None;
        };
        let knee = ramp.knee(&self.runs);
        let until = ramp.until.iter().map(ToString::to_string);
        Some(json!({
            "until": until.collect::<Vec<_>>(),
            "knee_per_s": knee.map(|knee| knee.rate),
            "beyond_per_s": knee.and_then(|knee| knee.beyond),
            "failures": self.runs.iter().map(|run| ramp.failure(run)).collect::<Vec<_>>(),
        }))
    }

    fn comparison_json(&self) -> Option<Value> {
        let Shape::Comparison(comparison) = &self.shape else {
            return None;
        };
        let ratio = |ratio: &Ratio| json!({"value": ratio.value, "spread": ratio.spread});
        let compared = |compared: &Compared| {
            json!({
                "figure": compared.metric.as_str(),
                "a": compared.first,
                "b": compared.other,
                "b_to_a": ratio(&compared.ratio),
                "control_to_a": ratio(&compared.control),
                "conclusion": compared.conclusion().as_str(),
            })
        };
        let arms = comparison.arms().take(self.runs.len());
        Some(json!({
            "other": comparison.other.to_string(),
            "rounds": comparison.rounds,
            "arms": arms.map(Arm::as_str).collect::<Vec<_>>(),
            "figures": comparison.compare(&self.runs).iter().map(compared).collect::<Vec<_>>(),
        }))
    }

    /// Returns the time at which it began, in seconds since 1970.
    pub(crate) fn started_unix(&self) -> u64 {
        let since = self.started.duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }
}

fn judgement(judgement: &Judgement) -> Value {
    json!({
        "connections": judgement.connections,
        "condition": judgement.condition,
        "measured": judgement.measured,
        "failed": judgement.failed,
    })
}

impl Server {
    /// Returns the server's process, if it is known.
    #[must_use]
    pub const fn pid(self) -> Option<u32> {
        match self {
            Self::Own { pid } | Self::Known { pid } => Some(pid),
            Self::Unknown => None,
        }
    }

    fn json(self) -> Value {
        let own = matches!(self, Self::Own { .. });
        json!({"own": own, "pid": self.pid()})
    }
}

impl Shape {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Sweep => "sweep",
            Self::Ramp(_) => "ramp",
            Self::Comparison(_) => "comparison",
        }
    }
}

impl Verdict {
    /// Returns the verdict in a word, as the JSON has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}
