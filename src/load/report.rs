//! The whole of one invocation: its runs, and what was to be judged about them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::json;
use super::outcome::{Ending, Outcome};
use super::threshold::{Judgement, Threshold};

/// The whole of one invocation.
#[derive(Clone, Debug)]
pub struct Report {
    /// The command line, without the program's name.
    pub command: Vec<String>,
    /// When it began.
    pub started: SystemTime,
    /// Where the server came from.
    pub server: Server,
    /// One run, or one for each step of a sweep.
    pub runs: Vec<Outcome>,
    /// Whether the runs are the steps of a sweep.
    pub shape: Shape,
    /// Conditions under which it fails.
    pub thresholds: Vec<Threshold>,
}

/// Where the server came from.
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

/// What the runs of a report are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// There is only one.
    Single,
    /// The same with more and more connections.
    Sweep,
}

/// How it all ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was wrong.
    Passed,
    /// There were errors, or a condition held.
    Failed,
    /// Somebody stopped it before it could be judged.
    Interrupted,
}

impl Report {
    /// How it all ended.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let interrupted = |run: &Outcome| run.ending == Ending::Interrupted;
        if self.runs.iter().any(interrupted) {
            return Verdict::Interrupted;
        }
        let failed = !self.runs.iter().all(Outcome::is_clean)
            || self.judgements().iter().any(|judgement| judgement.failed);
        if failed {
            Verdict::Failed
        } else {
            Verdict::Passed
        }
    }

    /// What became of each condition, run by run.
    #[must_use]
    pub fn judgements(&self) -> Vec<Judgement> {
        let runs = self.runs.iter();
        runs.flat_map(|run| self.thresholds.iter().map(|threshold| threshold.judge(run)))
            .collect()
    }

    /// Everything, for programs. The layout is described by `docs/load.schema.json`.
    #[must_use]
    pub fn json(&self) -> Value {
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        json!({
            "schema_version": 2,
            "tool": {"name": "greet-load", "version": env!("CARGO_PKG_VERSION")},
            "command": self.command,
            "started_unix_s": self.started_unix(),
            "host": {"os": std::env::consts::OS, "arch": std::env::consts::ARCH, "cpus": cpus},
            "server": self.server.json(),
            "shape": self.shape.as_str(),
            "verdict": self.verdict().as_str(),
            "runs": self.runs.iter().map(json::run).collect::<Vec<_>>(),
            "conditions": self.judgements().iter().map(judgement).collect::<Vec<_>>(),
        })
    }

    /// When it began, in seconds since 1970.
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
    /// The server's process, if it is known.
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
    const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Sweep => "sweep",
        }
    }
}

impl Verdict {
    /// The verdict in a word, as the JSON has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}
