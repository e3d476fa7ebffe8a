//! The targets, and their verdicts.
//!
//! All are ratios of the servers' CPU time, those of rates too: exchanges per second of CPU time
//! are the capacity of a server. Exchanges per second of wall time also depend on the clients and
//! on other load.

use oneloop_bench::figures::{Figure, Figures, OWN};

/// A ratio and its bound.
pub(crate) struct Target {
    /// The dividend.
    of: (&'static str, &'static str),
    /// The divisor.
    by: (&'static str, &'static str),
    at_most: f64,
}

/// A target with its measured value.
pub(crate) struct Verdict {
    pub(crate) target: String,
    pub(crate) wanted: String,
    pub(crate) measured: String,
    pub(crate) holds: bool,
}

/// Returns the verdicts on all measured targets.
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
        Some(Verdict {
            target: self.to_string(),
            wanted: format!("≤ {:.2}", self.at_most),
            measured: format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.low, ratio.high),
            holds: ratio.median <= self.at_most,
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
            targets.push(against(peer, figure, bound));
        }
    }
    for (figure, peer, bound) in RATE_AT_LEAST {
        targets.push(against(peer, figure, 1.0 / bound));
    }
    for (of, by, bound) in SCALING_AT_LEAST {
        for contestant in [OWN, "c_epoll"] {
            targets.push(Target {
                of: (of, contestant),
                by: (by, contestant),
                at_most: 1.0 / bound,
            });
        }
    }
    targets
}

fn against(peer: &'static str, figure: &'static str, at_most: f64) -> Target {
    Target {
        of: (figure, OWN),
        by: (figure, peer),
        at_most,
    }
}

const CPU_AT_MOST: [(&str, f64); 5] = [
    ("c_epoll", 1.03),
    ("tokio", 1.0),
    ("go", 0.85),
    ("libevent", 0.72),
    ("threads", 0.7),
];
/// Minimum ratio of ours to theirs, in exchanges or connections per second of CPU time.
const RATE_AT_LEAST: [(&str, &str, f64); 4] = [
    ("pipelined/50 cpu-µs", "c_epoll", 0.9),
    ("pipelined/50 cpu-µs", "tokio", 1.0),
    ("conversation cpu-µs", "tokio", 1.0),
    ("connect_storm/10000 cpu-µs", "tokio", 1.0),
];
/// Minimum ratio of many connections to few, in exchanges per second of CPU time.
const SCALING_AT_LEAST: [(&str, &str, f64); 2] = [
    (
        "active_among_idle/19000 cpu-µs",
        "exchange/100 cpu-µs",
        0.97,
    ),
    ("exchange/10000 cpu-µs", "exchange/1000 cpu-µs", 0.8),
];
