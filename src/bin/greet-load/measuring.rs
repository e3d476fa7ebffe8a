//! Making the runs of a report, one after another.

use oneloop::net::Os;
use oneloop_load::{
    self, Arm, Comparison, Ending, Go, Outcome, Pace, Plan, Process, Ramp, Scenario, Search, text,
};

use crate::Failure;
use crate::interrupt::Interrupt;
use crate::live::Live;

/// Makes the runs of a report.
pub(crate) struct Measuring {
    /// The server's process, if it is known.
    pub(crate) server: Option<Process>,
    /// That of the server it is compared with.
    pub(crate) other: Option<Process>,
    pub(crate) live: Live,
    pub(crate) interrupt: Interrupt,
    /// As many as the limit on descriptors allows.
    pub(crate) connections_max: u32,
}

impl Measuring {
    /// Makes a run for each plan.
    pub(crate) fn sweep(&mut self, plans: Vec<Plan>) -> Result<Vec<Outcome>, Failure> {
        let several = plans.len() > 1;
        let mut runs = Vec::new();
        for plan in plans {
            let title = match several {
                true => format!("{}: ", plan.connections),
                false => String::new(),
            };
            let run = self.run(plan, self.server, &title)?;
            if several {
                self.live.keep(text::step(&run));
            }
            runs.push(run);
            if self.is_interrupted(&runs) {
                break;
            }
        }
        self.live.clear();
        Ok(runs)
    }

    /// Makes runs at different rates until the knee is found.
    pub(crate) fn ramp(
        &mut self,
        plan: &Plan,
        ramp: &Ramp,
        from: f64,
    ) -> Result<Vec<Outcome>, Failure> {
        let mut search = Search::new(from);
        let mut runs = Vec::new();
        while let Some(rate) = search.rate() {
            let mut plan = plan.clone();
            plan.scenario = at_rate(plan.scenario, rate);
            let run = self.run(plan, self.server, &format!("{rate:.0}/s: "))?;
            let failure = ramp.failure(&run);
            self.live.keep(step(rate, &run, failure.as_deref()));
            let was_greeted = run.connections.open_max > 0;
            search.note(failure.is_none());
            runs.push(run);
            if self.is_interrupted(&runs) || !was_greeted {
                break;
            }
        }
        self.live.clear();
        Ok(runs)
    }

    /// Makes the runs of all rounds.
    pub(crate) fn compare(
        &mut self,
        plan: &Plan,
        comparison: &Comparison,
    ) -> Result<Vec<Outcome>, Failure> {
        let mut runs = Vec::new();
        for (number, arm) in comparison.arms().enumerate() {
            let mut plan = plan.clone();
            let server = match arm {
                Arm::First | Arm::Control => self.server,
                Arm::Other => {
                    plan.target = comparison.other;
                    self.other
                }
            };
            let round = number / 3 + 1;
            let title = format!("round {round} of {}: ", comparison.rounds);
            let run = self.run(plan, server, &title)?;
            let was_greeted = run.connections.open_max > 0;
            runs.push(run);
            if self.is_interrupted(&runs) || !was_greeted {
                break;
            }
        }
        self.live.clear();
        Ok(runs)
    }

    fn run(
        &mut self,
        mut plan: Plan,
        server: Option<Process>,
        title: &str,
    ) -> Result<Outcome, Failure> {
        let cannot = |error: std::io::Error| format!("the generator failed: {error}");
        plan.connections = plan.connections.min(self.connections_max);
        self.live.begin(&plan, title);
        let os = Os::new().map_err(cannot)?;
        let watch = |progress: &oneloop_load::Progress| {
            self.live.show(progress);
            match self.interrupt.is_requested() {
                true => Go::Stop,
                false => Go::On,
            }
        };
        oneloop_load::run(&plan, os, server, watch).map_err(cannot)
    }

    fn is_interrupted(&self, runs: &[Outcome]) -> bool {
        let interrupted = |run: &Outcome| run.ending == Ending::Interrupted;
        runs.last().is_some_and(interrupted)
    }
}

/// Returns the scenario at another rate.
fn at_rate(scenario: Scenario, rate: f64) -> Scenario {
    let in_flight = match scenario {
        Scenario::Exchange(pace) | Scenario::Mixed { pace, .. } => pace.in_flight(),
        Scenario::Churn { .. } | Scenario::Idle => 1,
    };
    let pace = Pace::Open { rate, in_flight };
    match scenario {
        Scenario::Mixed { active, .. } => Scenario::Mixed { active, pace },
        _ => Scenario::Exchange(pace),
    }
}

/// Returns a step of a ramp in a line.
fn step(rate: f64, run: &Outcome, failure: Option<&str>) -> String {
    let p99 =
        oneloop_load::percentile(&run.latency, 99.0).map_or(0.0, |p99| p99.as_secs_f64() * 1e3);
    let end = failure.map_or_else(|| "ok".to_owned(), |why| format!("failed: {why}"));
    format!("{rate:.0} names/s: p99 {p99:.2} ms, {end}")
}
