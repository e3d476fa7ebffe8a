//! The live view: some lines on standard error that change while a run is made.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use oneloop_load::{Plan, Progress};
use terminal_size::terminal_size_of;

/// The live view. Each picture is drawn over the one before in a single write, and no line is
/// erased before it is written, so that nothing flickers.
#[derive(Debug)]
pub(crate) struct Live {
    canvas: Canvas,
    /// Lines about the runs that have ended, above those about the present one.
    done: VecDeque<String>,
    title: String,
    unit: &'static str,
    lasts: Duration,
    connections: u32,
    rates: Rates,
}

/// The place where it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Canvas {
    /// Nowhere: there is no terminal, or it is not wanted.
    None,
    /// On the last lines of a terminal; so many are drawn on.
    Terminal { drawn: usize },
}

/// Exchanges in a second, now and in the past.
#[derive(Debug, Default)]
struct Rates {
    seen: VecDeque<(Instant, u64)>,
    past: VecDeque<f64>,
}

impl Live {
    /// Returns a view that shows nothing until a run is begun.
    pub(crate) fn new(quiet: bool) -> Self {
        let canvas = match !quiet && io::stderr().is_terminal() {
            true => Canvas::Terminal { drawn: 0 },
            false => Canvas::None,
        };
        Self {
            canvas,
            done: VecDeque::new(),
            title: String::new(),
            unit: "",
            lasts: Duration::ZERO,
            connections: 0,
            rates: Rates::default(),
        }
    }

    /// Begins with another run.
    pub(crate) fn begin(&mut self, plan: &Plan, title: &str) {
        self.title = title.to_owned();
        self.unit = plan.scenario.unit();
        self.lasts = plan.warm_up.saturating_add(plan.duration);
        self.connections = plan.connections;
        self.rates = Rates::default();
    }

    /// Keeps a line about a run that has ended. Without a terminal it is written at once.
    pub(crate) fn keep(&mut self, line: String) {
        match self.canvas {
            Canvas::None => say(&line),
            Canvas::Terminal { .. } => {
                self.done.push_back(line);
                if self.done.len() > DONE_MAX {
                    self.done.pop_front();
                }
            }
        }
    }

    /// Draws how far the run is.
    pub(crate) fn show(&mut self, progress: &Progress) {
        let Canvas::Terminal { drawn } = self.canvas else {
            return;
        };
        let rate = self.rates.note(progress.completed);
        let width = terminal_size_of(io::stderr()).map_or(80, |(width, _)| usize::from(width.0));
        let mut lines: Vec<String> = self.done.iter().cloned().collect();
        lines.push(self.bar(progress, width));
        lines.push(self.figures(progress, rate));
        let picture = picture(&lines, drawn, width);
        // A terminal that was closed does not end the run.
        let _ = io::stderr().write_all(picture.as_bytes());
        self.canvas = Canvas::Terminal { drawn: lines.len() };
    }

    /// Clears the view.
    pub(crate) fn clear(&mut self) {
        if let Canvas::Terminal { drawn: 1.. } = self.canvas {
            let Canvas::Terminal { drawn } = self.canvas else {
                return;
            };
            let clear = format!("{}\x1b[J", to_first_line(drawn));
            let _ = io::stderr().write_all(clear.as_bytes());
            self.canvas = Canvas::Terminal { drawn: 0 };
        }
    }

    fn bar(&self, progress: &Progress, width: usize) -> String {
        let done = self.lasts.saturating_sub(progress.left).as_secs_f64();
        let all = self.lasts.as_secs_f64().max(f64::MIN_POSITIVE);
        let time = format!("{done:.1} of {all:.1} s");
        let head = format!("{}{}", self.title, progress.stage);
        let room = width.saturating_sub(HEAD.max(head.chars().count()) + time.len() + 3);
        let full = ((done / all).clamp(0.0, 1.0) * room as f64) as usize;
        let bar = "━".repeat(full) + &"─".repeat(room.saturating_sub(full));
        format!("{head:<HEAD$} {bar} {time}")
    }

    fn figures(&self, progress: &Progress, rate: f64) -> String {
        let errors = match progress.faults {
            0 => "no errors".to_owned(),
            1 => "1 ERROR".to_owned(),
            faults => format!("{faults} ERRORS"),
        };
        let mut line = format!("{} of {} open, {errors}", progress.open, self.connections);
        if progress.completed > 0 {
            let unit = self.unit;
            let p99 = progress.p99.map_or(0.0, |p99| p99.as_secs_f64() * 1e3);
            let _ = write!(line, ", {rate:.0} {unit}s/s, p99 {p99:.2} ms ");
            line += &self.rates.sparkline();
        }
        line
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Rates {
    /// Returns how many there were in a second, over the last second.
    fn note(&mut self, completed: u64) -> f64 {
        let now = Instant::now();
        self.seen.push_back((now, completed));
        while self.seen.len() > 2 && now - self.seen[1].0 > Duration::from_secs(1) {
            self.seen.pop_front();
        }
        let (at, before) = self.seen[0];
        let passed = (now - at).as_secs_f64();
        let rate = match passed > 0.0 {
            true => completed.saturating_sub(before) as f64 / passed,
            false => 0.0,
        };
        if rate > 0.0 {
            self.past.push_back(rate);
        }
        if self.past.len() > SPARKS {
            self.past.pop_front();
        }
        rate
    }

    fn sparkline(&self) -> String {
        let most = self.past.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let spark = |rate: &f64| SPARK[((rate / most) * 7.0).round() as usize % 8];
        self.past.iter().map(spark).collect()
    }
}

/// Returns the bytes that draw `lines` over a picture of so many lines. A terminal that knows
/// synchronized output shows it at once; others ignore the request.
fn picture(lines: &[String], drawn: usize, width: usize) -> String {
    let mut picture = format!("\x1b[?2026h{}", to_first_line(drawn));
    for (place, line) in lines.iter().enumerate() {
        let end = if place + 1 < lines.len() { "\r\n" } else { "" };
        // A line that is full would wrap, and the next picture would be a line too low.
        picture.extend(line.chars().take(width.saturating_sub(1)));
        picture.push_str("\x1b[K");
        picture.push_str(end);
    }
    picture.push_str("\x1b[J\x1b[?2026l");
    picture
}

fn to_first_line(drawn: usize) -> String {
    match drawn {
        0 | 1 => "\r".to_owned(),
        lines => format!("\r\x1b[{}A", lines - 1),
    }
}

/// Writes a line to standard error.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The room for the title and the stage, so that the bar does not jump.
const HEAD: usize = 20;
const SPARK: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SPARKS: usize = 16;
const DONE_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_is_drawn_over_the_one_before_and_erases_only_behind_its_text() {
        let lines = ["measuring".to_owned(), "x".repeat(100)];
        let first = picture(&lines, 0, 20);
        let second = picture(&lines, 2, 20);
        assert!(!first.contains("\x1b[1A") && second.contains("\r\x1b[1A"));
        assert!(!second.contains("\x1b[2K") && !second.contains("\x1b[2J"));
        assert!(second.contains(&"x".repeat(19)) && !second.contains(&"x".repeat(20)));
    }

    #[test]
    fn rate_is_that_of_the_last_second() {
        let mut rates = Rates::default();
        let now = Instant::now();
        for (ago, completed) in [(3, 0), (2, 1000), (1, 2000)] {
            rates
                .seen
                .push_back((now - Duration::from_secs(ago), completed));
        }
        let rate = rates.note(3000);
        assert!((900.0..=1100.0).contains(&rate), "{rate}");
        assert_eq!(rates.sparkline(), "█");
    }
}
