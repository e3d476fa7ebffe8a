//! The live line.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use oneloop::load::{Plan, Progress};

/// One line on standard error that changes while a run is made; nothing if that is no terminal.
#[derive(Debug)]
pub(crate) struct Live {
    line: ProgressBar,
    what: String,
    seen: Option<(Instant, u64)>,
}

impl Live {
    pub(crate) fn new(plan: &Plan, quiet: bool) -> Self {
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let line = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{spinner} {msg}");
        line.set_style(style.expect("the template is valid"));
        Self {
            line,
            what: format!("{} x {}", plan.scenario.as_str(), plan.connections),
            seen: None,
        }
    }

    pub(crate) fn show(&mut self, progress: &Progress) {
        if self.line.is_hidden() {
            return;
        }
        let rate = self.rate(progress.completed);
        let errors = match progress.faults {
            0 => "no errors".to_owned(),
            1 => "1 ERROR".to_owned(),
            faults => format!("{faults} ERRORS"),
        };
        self.line.set_message(format!(
            "{}: {}, {} open, {rate:.0}/s, {errors}, {} s left",
            self.what,
            progress.stage,
            progress.open,
            progress.left.as_secs_f64().ceil()
        ));
        self.line.tick();
    }

    /// Clears the line.
    pub(crate) fn end(&self) {
        self.line.finish_and_clear();
    }

    /// How many there were in a second, over at least the last half of one.
    fn rate(&mut self, completed: u64) -> f64 {
        let now = Instant::now();
        let (at, before) = *self.seen.get_or_insert((now, completed));
        let passed = now - at;
        if passed > Duration::from_secs(1) {
            self.seen = Some((now - passed / 2, before.midpoint(completed)));
        }
        match passed.is_zero() {
            true => 0.0,
            false => (completed - before) as f64 / passed.as_secs_f64(),
        }
    }
}
