//! Findings: remarks without which the figures of a run would mislead.

use std::time::Duration;

use super::cores::Cores;
use super::errors::Fault;
use super::figures;
use super::outcome::Outcome;
use super::plan::{Pace, Scenario};
use super::record::percentile;

/// Something to know about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its weight.
    pub weight: Weight,
    /// The finding and its remedy, in a sentence.
    pub text: String,
    /// Its subject: two runs can have the same finding with different figures.
    pub(crate) subject: Subject,
}

/// The weight of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It explains how the figures are to be read.
    Note,
    /// The figures may be misleading.
    Warning,
}

/// The subject of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Nothing,
    Bottleneck,
    SharedCore,
    BusyMachine,
    StolenTime,
    Lateness,
    HeldBack,
    Rate,
    Descriptors,
    NotAllConnected,
    IdleEnded,
    ClosedLoop,
    FewSamples,
    OneSource,
}

/// Looks for one thing.
type Look = fn(&Outcome) -> Option<(Subject, String)>;

impl Outcome {
    /// Returns the remarks without which the figures would mislead, warnings first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let warnings: [Look; 10] = [
            Self::nothing_measured,
            Self::generator_was_the_bottleneck,
            Self::sides_shared_a_core,
            Self::machine_was_busy,
            Self::time_was_stolen,
            Self::generator_was_late,
            Self::rate_was_not_reached,
            Self::too_few_descriptors,
            Self::not_all_connected,
            Self::idle_were_ended,
        ];
        let notes: [Look; 4] = [
            Self::names_were_held_back,
            Self::closed_loop,
            Self::few_samples,
            Self::one_source,
        ];
        let warnings = warnings.into_iter().map(|look| (Weight::Warning, look));
        let notes = notes.into_iter().map(|look| (Weight::Note, look));
        let found = warnings.chain(notes).filter_map(|(weight, look)| {
            let (subject, text) = look(self)?;
            Some(Finding {
                weight,
                text,
                subject,
            })
        });
        found.collect()
    }

    /// Returns `true` if the generator, and not the server, set the pace. `None` if that is not
    /// known.
    #[must_use]
    pub fn generator_is_bottleneck(&self) -> Option<bool> {
        let own = self.costs.generator_share()?;
        let server_has_time = self
            .costs
            .server_share()
            .is_none_or(|share| share < 0.95 * own);
        Some(own > BUSY && server_has_time)
    }

    fn nothing_measured(&self) -> Option<(Subject, String)> {
        let target = self.plan.target;
        let text = match &self.stranger {
            _ if self.connections.open_max > 0 => return None,
            Some(line) => format!(
                "{target} answers, but not with the greeting protocol: its first line is `{line}`"
            ),
            None => format!(
                "no connection to {target} was greeted, so nothing was measured: is the server running?"
            ),
        };
        Some((Subject::Nothing, text))
    }

    fn generator_was_the_bottleneck(&self) -> Option<(Subject, String)> {
        let share = figures::percent(self.costs.generator_share()?);
        let text = match (self.generator_is_bottleneck()?, self.costs.server_share()) {
            (false, _) => return None,
            (true, Some(server)) => format!(
                "the generator was the bottleneck: it used {share} of a core, the server {}. Run several generators, or lower --rate",
                figures::percent(server)
            ),
            (true, None) => format!(
                "the generator may have been the bottleneck: it used {share} of a core. Give --server-pid to compare it with the server"
            ),
        };
        Some((Subject::Bottleneck, text))
    }

    fn sides_shared_a_core(&self) -> Option<(Subject, String)> {
        let placement = &self.placement;
        let text = match placement.shared()? {
            shared if shared > SHARED => format!(
                "generator and server shared a core for {} of the time, and each waited for the other: give them a core each",
                figures::percent(shared)
            ),
            _ => {
                let own = placement.generator.only()?;
                let server = placement.server.only()?;
                if own == server || !Cores::siblings(own).contains(server) {
                    return None;
                }
                format!(
                    "cores {own} and {server} are two threads of one physical core: generator and server slow each other down"
                )
            }
        };
        Some((Subject::SharedCore, text))
    }

    fn machine_was_busy(&self) -> Option<(Subject, String)> {
        let others = self.costs.others_share().filter(|&cores| cores > OTHERS)?;
        let text = format!(
            "other processes used {others:.1} cores of this machine meanwhile: repeat when it is quiet"
        );
        Some((Subject::BusyMachine, text))
    }

    fn time_was_stolen(&self) -> Option<(Subject, String)> {
        let stolen = self.costs.stolen_share().filter(|&cores| cores > STOLEN)?;
        let text = format!(
            "the hypervisor took {stolen:.2} cores from this machine: its neighbours are busy"
        );
        Some((Subject::StolenTime, text))
    }

    fn generator_was_late(&self) -> Option<(Subject, String)> {
        let late = percentile(self.lateness.as_ref()?, 99.0)?;
        let latency = percentile(&self.latency, 99.0)?;
        let matters = late > LATE && late * 10 > latency;
        let text = || {
            format!(
                "the generator sent names late (p99 {}), which is part of the latencies: give it a core of its own, or lower --rate",
                figures::duration(late)
            )
        };
        matters.then(|| (Subject::Lateness, text()))
    }

    fn names_were_held_back(&self) -> Option<(Subject, String)> {
        let text = || {
            format!(
                "{} had to wait because {} on the same connection were unanswered or the connection was lost; the wait is part of the latencies",
                figures::plural(self.held_back, "name"),
                self.plan.pace().in_flight()
            )
        };
        (self.held_back > 0).then(|| (Subject::HeldBack, text()))
    }

    fn rate_was_not_reached(&self) -> Option<(Subject, String)> {
        let Pace::Open { rate, .. } = self.plan.pace() else {
            return None;
        };
        let reached = self.costs.completed as f64 / self.costs.wall.as_secs_f64();
        let text = || {
            format!(
                "{} names/s were due and {} answered: the latencies grow with the length of the run. Lower --rate",
                figures::rate(rate),
                figures::rate(reached)
            )
        };
        (self.costs.completed > 0 && reached < REACHED * rate).then(|| (Subject::Rate, text()))
    }

    fn too_few_descriptors(&self) -> Option<(Subject, String)> {
        let (asked, allowed) = (self.plan.asked, self.plan.connections);
        let text = || {
            format!(
                "the limit on file descriptors allows {} connections, not {}: raise it with `ulimit -n`",
                figures::count(allowed.into()),
                figures::count(asked.into())
            )
        };
        (allowed < asked).then(|| (Subject::Descriptors, text()))
    }

    fn not_all_connected(&self) -> Option<(Subject, String)> {
        let (asked, open) = (self.plan.connections, self.connections.open_max);
        let churns = matches!(self.plan.scenario, Scenario::Churn { .. });
        let text = || {
            format!(
                "only {} of {} connections were open at one time",
                figures::count(open.into()),
                figures::count(asked.into())
            )
        };
        (!churns && 0 < open && open < asked).then(|| (Subject::NotAllConnected, text()))
    }

    fn idle_were_ended(&self) -> Option<(Subject, String)> {
        let ended = self.faults.count(Fault::TooSlow);
        let text = || {
            format!(
                "the server closed {} that had been idle for too long. Start it with a longer --name-timeout; a server that is nearly full shortens it further",
                figures::plural(ended, "connection")
            )
        };
        (ended > 0).then(|| (Subject::IdleEnded, text()))
    }

    fn closed_loop(&self) -> Option<(Subject, String)> {
        let works = self.plan.active() > 0 && self.completed > 0;
        let text = "closed loop: a server that stalls gets fewer names meanwhile, so the percentiles cannot show the stall; use --rate to see it";
        match (self.plan.pace(), self.plan.scenario) {
            (Pace::Closed { .. }, Scenario::Exchange(_) | Scenario::Mixed { .. }) if works => {
                Some((Subject::ClosedLoop, text.to_owned()))
            }
            _ => None,
        }
    }

    fn few_samples(&self) -> Option<(Subject, String)> {
        let count = self.latency.len();
        let text = || {
            format!(
                "with only {} the higher percentiles are little more than the maximum: give a longer --duration",
                figures::plural(count, self.plan.scenario.unit())
            )
        };
        (0 < count && count < 1000 && self.plan.active() > 0).then(|| (Subject::FewSamples, text()))
    }

    fn one_source(&self) -> Option<(Subject, String)> {
        let many = self.connections.open_max > MANY && self.plan.sources.len() < 2;
        let text = "with so many connections from one address the kernel takes long to find free ports; spread them with --sources 127.0.0.2-127.0.0.9";
        many.then(|| (Subject::OneSource, text.to_owned()))
    }
}

/// Above this part of a core, the rest is lost to the kernel and the neighbours.
const BUSY: f64 = 0.9;
/// Two sides with a core each are seen on the same one now and then, when the kernel moves them.
const SHARED: f64 = 0.1;
/// In cores. The kernel's own threads and a quiet desktop stay below.
const OTHERS: f64 = 0.15;
/// In cores.
const STOLEN: f64 = 0.02;
/// The part of a rate that must be answered for the rate to be reached.
pub(crate) const REACHED: f64 = 0.95;
/// From here on Linux, whose connects use every other port first, was seen to slow down.
const MANY: u32 = 12_000;
/// Half of the delay of a wait in whole milliseconds.
const LATE: Duration = Duration::from_micros(500);
