//! What we want to reach, and whether we do.

use crate::figures::{Figure, Figures, US};

/// A ratio and its bound.
pub(crate) struct Target {
    /// What is divided.
    of: (&'static str, &'static str),
    /// By what.
    by: (&'static str, &'static str),
    bound: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A target beside what was measured.
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) wanted: String,
    pub(crate) measured: String,
    pub(crate) holds: bool,
}

/// The verdicts on all targets of which something was measured.
pub(crate) fn verdicts(figures: &Figures) -> Vec<Verdict> {
    all()
        .iter()
        .filter_map(|target| target.judge(figures))
        .collect()
}

impl Target {
    fn judge(&self, figures: &Figures) -> Option<Verdict> {
        let find = |(figure, contestant): (&str, &str)| {
            Some((figures.named(figure)?, figures.number_of(contestant)?))
        };
        let ratio = Figure::ratio_of(find(self.of)?, find(self.by)?)?;
        let (sign, bound, holds) = match self.bound {
            Bound::AtMost(bound) => ("≤", bound, ratio.median <= bound),
            Bound::AtLeast(bound) => ("≥", bound, ratio.median >= bound),
        };
        Some(Verdict {
            what: self.to_string(),
            wanted: format!("{sign} {bound:.2}"),
            measured: format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.low, ratio.high),
            holds,
        })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ((figure, contestant), (other_figure, other)) = (self.of, self.by);
        if figure == other_figure {
            write!(f, "{figure}: {contestant} / {other}")
        } else {
            write!(f, "{contestant}: {figure} / {other_figure}")
        }
    }
}

fn all() -> Vec<Target> {
    let mut targets = Vec::new();
    for figure in [
        "exchange/100 cpu-µs",
        "exchange/1000 cpu-µs",
        "exchange/10000 cpu-µs",
    ] {
        for (peer, bound) in CPU_AT_MOST {
            targets.push(against(peer, figure, Bound::AtMost(bound)));
        }
    }
    for (figure, peer, bound) in RATE_AT_LEAST {
        targets.push(against(peer, figure, Bound::AtLeast(bound)));
    }
    for (of, by, bound) in SCALING_AT_LEAST {
        for contestant in [US, "c_epoll"] {
            targets.push(Target {
                of: (of, contestant),
                by: (by, contestant),
                bound: Bound::AtLeast(bound),
            });
        }
    }
    targets
}

fn against(peer: &'static str, figure: &'static str, bound: Bound) -> Target {
    Target {
        of: (figure, US),
        by: (figure, peer),
        bound,
    }
}

const CPU_AT_MOST: [(&str, f64); 5] = [
    ("c_epoll", 1.03),
    ("tokio", 1.0),
    ("go", 0.85),
    ("libevent", 0.72),
    ("threads", 0.7),
];
const RATE_AT_LEAST: [(&str, &str, f64); 4] = [
    ("pipelined/50 per-second", "c_epoll", 0.9),
    ("pipelined/50 per-second", "tokio", 1.0),
    ("conversation per-second", "tokio", 1.0),
    ("connect_storm/10000 per-second", "tokio", 1.0),
];
const SCALING_AT_LEAST: [(&str, &str, f64); 2] = [
    (
        "active_among_idle/19000 per-second",
        "exchange/100 per-second",
        0.97,
    ),
    ("exchange/10000 per-second", "exchange/1000 per-second", 0.8),
];
