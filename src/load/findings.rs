//! What a reader must know before believing the figures of a run.

use std::time::Duration;

use super::errors::Fault;
use super::figures;
use super::outcome::Outcome;
use super::plan::{Pace, Scenario};
use super::record::percentile;

/// Something to know about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// What it is, and what to try.
    pub text: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// How the figures are to be read.
    Note,
    /// The figures may not mean what they seem to mean.
    Warning,
}

impl Outcome {
    /// What a reader must know before believing the figures.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let looks: [fn(&Self) -> Option<Finding>; 11] = [
            Self::nothing_measured,
            Self::generator_was_the_bottleneck,
            Self::generator_was_late,
            Self::names_were_held_back,
            Self::rate_was_not_reached,
            Self::too_few_descriptors,
            Self::not_all_connected,
            Self::idle_were_ended,
            Self::closed_loop,
            Self::few_samples,
            Self::one_source,
        ];
        looks.iter().filter_map(|look| look(self)).collect()
    }

    /// Whether the generator, and not the server, set the pace. `None` if that is not known.
    #[must_use]
    pub fn generator_is_bottleneck(&self) -> Option<bool> {
        let own = self.costs.generator_share()?;
        let server_has_time = self
            .costs
            .server_share()
            .is_none_or(|share| share < 0.95 * own);
        Some(own > BUSY && server_has_time)
    }

    fn nothing_measured(&self) -> Option<Finding> {
        (self.connections.open_max == 0).then(|| {
            let target = self.plan.target;
            warning(match &self.stranger {
                Some(line) => format!(
                    "{target} answers, but not with the greeting protocol: its first line is `{line}`"
                ),
                None => format!(
                    "no connection to {target} could be used, so nothing was measured: is the server running?"
                ),
            })
        })
    }

    fn generator_was_the_bottleneck(&self) -> Option<Finding> {
        let share = figures::percent(self.costs.generator_share()?);
        match (self.generator_is_bottleneck()?, self.costs.server_share()) {
            (false, _) => None,
            (true, Some(server)) => Some(warning(format!(
                "the generator was the bottleneck: it used {share} of a core, the server {}. What was measured is the generator; run several against one server, or lower --rate",
                figures::percent(server)
            ))),
            (true, None) => Some(warning(format!(
                "the generator may have been the bottleneck: it used {share} of a core. Give --server-pid to compare it with the server"
            ))),
        }
    }

    fn generator_was_late(&self) -> Option<Finding> {
        let late = percentile(self.lateness.as_ref()?, 99.0)?;
        let latency = percentile(&self.latency, 99.0)?;
        (late > LATE && late * 10 > latency).then(|| {
            warning(format!(
                "the generator itself was late (p99 {}), and that is part of the latencies: give it a core of its own, or lower --rate",
                figures::duration(late)
            ))
        })
    }

    fn names_were_held_back(&self) -> Option<Finding> {
        (self.held_back > 0).then(|| {
            note(&format!(
                "{} could not be sent when due, because {} on the same connection were unanswered or the connection was lost; the wait is part of the latencies",
                figures::plural(self.held_back, "name"),
                self.plan.pace().in_flight()
            ))
        })
    }

    fn rate_was_not_reached(&self) -> Option<Finding> {
        let Pace::Open { rate, .. } = self.plan.pace() else {
            return None;
        };
        let reached = self.costs.completed as f64 / self.costs.wall.as_secs_f64();
        (self.costs.completed > 0 && reached < 0.95 * rate).then(|| {
            warning(format!(
                "of {} names a second that were due, {} were answered while measuring: the latencies grow with the length of the run. Lower --rate",
                figures::rate(rate),
                figures::rate(reached)
            ))
        })
    }

    fn too_few_descriptors(&self) -> Option<Finding> {
        let (asked, allowed) = (self.plan.asked, self.plan.connections);
        (allowed < asked).then(|| {
            warning(format!(
                "the limit on file descriptors allows {} connections, not {}: raise it with `ulimit -n`",
                figures::count(allowed.into()),
                figures::count(asked.into())
            ))
        })
    }

    fn not_all_connected(&self) -> Option<Finding> {
        let (asked, open) = (self.plan.connections, self.connections.open_max);
        let churns = matches!(self.plan.scenario, Scenario::Churn { .. });
        (!churns && 0 < open && open < asked).then(|| {
            warning(format!(
                "only {} of {} connections were open at one time",
                figures::count(open.into()),
                figures::count(asked.into())
            ))
        })
    }

    fn idle_were_ended(&self) -> Option<Finding> {
        let ended = self.faults.count(Fault::TooSlow);
        (ended > 0).then(|| {
            warning(format!(
                "{} idle for longer than the server allows, and it ended them with `You took too long`. Start it with a longer --name-timeout; a server that is nearly full shortens it further",
                figures::plural(ended, "connection")
            ))
        })
    }

    fn closed_loop(&self) -> Option<Finding> {
        let works = self.plan.active() > 0 && self.completed > 0;
        match (self.plan.pace(), self.plan.scenario) {
            (Pace::Closed { .. }, Scenario::Exchange(_) | Scenario::Mixed { .. }) if works => {
                Some(note(
                    "closed loop: each connection waits for its answer, so a server that stalls is asked less meanwhile, and the percentiles cannot see the stall. To see it, give --rate",
                ))
            }
            _ => None,
        }
    }

    fn few_samples(&self) -> Option<Finding> {
        let count = self.latency.len();
        (0 < count && count < 1000 && self.plan.active() > 0).then(|| {
            note(&format!(
                "only {}: the higher percentiles are hardly more than the maximum. Give a longer --duration",
                figures::plural(count, self.plan.scenario.unit())
            ))
        })
    }

    fn one_source(&self) -> Option<Finding> {
        let many = self.connections.open_max > MANY && self.plan.sources.len() < 2;
        many.then(|| {
            note("so many connections from one local address: finding free ports takes the kernel long, which slows opening them. To spread them, give --sources 127.0.0.2-127.0.0.9 (on this machine) or several addresses of yours")
        })
    }
}

fn warning(text: String) -> Finding {
    Finding {
        weight: Weight::Warning,
        text,
    }
}

fn note(text: &str) -> Finding {
    Finding {
        weight: Weight::Note,
        text: text.to_owned(),
    }
}

/// Above this part of a core, what is left is lost to the kernel and the neighbours.
const BUSY: f64 = 0.9;
/// From here on Linux, whose connects use every other port first, was seen to slow down.
const MANY: u32 = 12_000;
/// Half of what waiting in whole milliseconds would cost.
const LATE: Duration = Duration::from_micros(500);
