//! A ramp: the same at higher and higher rates, until the server does not keep up.

use super::findings::{REACHED, Subject};
use super::outcome::{Ending, Outcome};
use super::plan::Pace;
use super::threshold::Threshold;

/// The conditions under which a step of a ramp fails. That its rate was not reached is always one.
#[derive(Clone, Debug, PartialEq)]
pub struct Ramp {
    /// The other conditions.
    pub until: Vec<Threshold>,
}

/// The result of a ramp.
#[derive(Clone, Copy, Debug)]
pub struct Knee<'a> {
    /// The run with the highest rate that the server kept up with.
    pub run: &'a Outcome,
    /// Its rate, in names per second.
    pub rate: f64,
    /// The lowest rate that it did not keep up with. `None` if the ramp ended before.
    pub beyond: Option<f64>,
}

/// The search for the knee: doubles the rate until a step fails, then halves the distance between
/// the highest rate that passed and the lowest that failed. A step fails only if it fails twice in
/// a row, and the lowest rate that failed is tried once more at the end: a hiccup of the machine
/// must not hide the capacity of the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    next: f64,
    attempt: Attempt,
    passed: Option<f64>,
    failed: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    First,
    Second,
    /// The knee is close; the rate beyond it is tried once more.
    Last,
    Over,
}

impl Ramp {
    /// Returns why a step has failed, or `None` if the server kept up.
    #[must_use]
    pub fn failure(&self, run: &Outcome) -> Option<String> {
        if run.ending == Ending::Interrupted {
            return Some("interrupted".to_owned());
        }
        let held = self.until.iter().map(|threshold| threshold.judge(run));
        let mut held = held.filter(|judgement| judgement.failed);
        if let Some(judgement) = held.next() {
            return Some(judgement.condition);
        }
        let mut findings = run.findings().into_iter();
        findings
            .any(|finding| finding.subject == Subject::Rate)
            .then(|| format!("<{:.0} %", REACHED * 100.0))
    }

    /// Returns the knee, given the steps in any order. `None` if all have failed.
    #[must_use]
    pub fn knee<'a>(&self, steps: &'a [Outcome]) -> Option<Knee<'a>> {
        let passed = steps
            .iter()
            .filter(|step| step.completed > 0 && self.failure(step).is_none());
        let run = passed.max_by(|a, b| rate(a).total_cmp(&rate(b)))?;
        let beyond = steps.iter().map(rate).filter(|&other| other > rate(run));
        Some(Knee {
            run,
            rate: rate(run),
            beyond: beyond.min_by(f64::total_cmp),
        })
    }

    /// Returns the last run at each rate, in ascending order.
    pub(crate) fn steps(runs: &[Outcome]) -> Vec<&Outcome> {
        let mut steps: Vec<&Outcome> = Vec::new();
        for run in runs {
            steps.retain(|step| rate(step) != rate(run));
            steps.push(run);
        }
        steps.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
        steps
    }
}

impl Search {
    /// Begins at `from` names per second.
    #[must_use]
    pub fn new(from: f64) -> Self {
        Self {
            next: from,
            attempt: Attempt::First,
            passed: None,
            failed: None,
        }
    }

    /// Returns the rate to try next; `None` once the knee is known closely enough, or the rate is
    /// out of any server's reach.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let over = self.attempt == Attempt::Over || !(RATE_MIN..=RATE_MAX).contains(&self.next);
        (!over).then_some(self.next)
    }

    /// Notes whether the server kept up with [`rate`](Self::rate).
    pub fn note(&mut self, kept_up: bool) {
        match (self.attempt, kept_up) {
            (Attempt::First, false) => return self.attempt = Attempt::Second,
            (Attempt::Last, false) => return self.attempt = Attempt::Over,
            (Attempt::Last, true) => (self.passed, self.failed) = (self.failed, None),
            (_, true) => self.passed = Some(self.next),
            (_, false) => self.failed = Some(self.next),
        }
        self.attempt = Attempt::First;
        self.next = match (self.passed, self.failed) {
            (Some(passed), Some(failed)) if failed / passed < CLOSE => {
                self.attempt = Attempt::Last;
                failed
            }
            (Some(passed), Some(failed)) => rounded((passed * failed).sqrt()),
            (Some(passed), None) => passed * 2.0,
            (None, Some(failed)) if failed > RATE_MIN => rounded(failed / 4.0).max(RATE_MIN),
            (None, Some(_)) => 0.0,
            (None, None) => self.next,
        };
    }
}

/// Returns the rate of a step.
pub(crate) fn rate(run: &Outcome) -> f64 {
    match run.plan.pace() {
        Pace::Open { rate, .. } => rate,
        Pace::Closed { .. } => 0.0,
    }
}

/// Rounds to three digits: more would not be true.
fn rounded(rate: f64) -> f64 {
    let unit = 10f64.powf(rate.log10().floor() - 2.0).max(0.01);
    (rate / unit).round() * unit
}

/// The ratio of the rates around the knee at which the search ends.
const CLOSE: f64 = 1.04;
const RATE_MIN: f64 = 1.0;
const RATE_MAX: f64 = 1e7;

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches the knee of a server that keeps up with so many names per second; returns it and
    /// the number of steps.
    fn search(from: f64, capacity: f64, hiccups: &[usize]) -> (Option<f64>, usize) {
        let mut search = Search::new(from);
        let mut steps = 0;
        while let Some(rate) = search.rate() {
            search.note(rate <= capacity && !hiccups.contains(&steps));
            steps += 1;
        }
        (search.passed, steps)
    }

    #[test]
    fn knee_is_found_within_four_percent() {
        for from in [10.0, 1000.0, 50_000.0] {
            for capacity in [1.5, 870.0, 12_345.0, 1e6] {
                let (knee, steps) = search(from, capacity, &[]);
                let knee = knee.expect("there is one");
                assert!(
                    (0.95..=1.0).contains(&(knee / capacity)),
                    "{capacity} {knee}"
                );
                assert!(steps < 40, "{steps} steps");
            }
        }
    }

    #[test]
    fn hiccups_do_not_hide_the_knee() {
        for hiccup in 0..12 {
            for hiccups in [&[hiccup][..], &[hiccup, hiccup + 1]] {
                let (knee, _) = search(1000.0, 12_345.0, hiccups);
                let ratio = knee.expect("there is one") / 12_345.0;
                assert!((0.95..=1.0).contains(&ratio), "{hiccups:?}: {ratio}");
            }
        }
    }

    #[test]
    fn search_ends_without_a_knee_at_either_end() {
        assert_eq!(search(1000.0, 0.0, &[]).0, None);
        assert!(search(1000.0, 1e12, &[]).0 > Some(1e6));
    }
}
