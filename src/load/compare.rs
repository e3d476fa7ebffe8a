//! Two servers side by side: interleaved rounds, the first server measured twice in each as a
//! control, and the ratio with its spread.

use std::net::SocketAddr;
use std::time::Duration;

use super::outcome::{Ending, Outcome};
use super::plan::Pace;
use super::record::percentile;

/// A comparison of server A, the target, with server B. Its runs are in the order of
/// [`arms`](Comparison::arms).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Server B.
    pub other: SocketAddr,
    /// The number of rounds.
    pub rounds: u32,
}

/// A measurement of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// Server A.
    First,
    /// Server B.
    Other,
    /// Server A once more: a difference between this and the first is noise.
    Control,
}

/// A figure of both servers, compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The figure.
    pub metric: Figure,
    /// The median over all rounds of A, the control included.
    pub first: f64,
    /// The median over all rounds of B.
    pub other: f64,
    /// B to A.
    pub ratio: Ratio,
    /// The control to A.
    pub control: Ratio,
}

/// A figure that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Exchanges, or conversations, per second; more is better.
    Throughput,
    /// The median latency.
    P50,
    /// The 99th percentile of the latency.
    P99,
    /// The server's CPU time per exchange.
    ServerCpu,
}

/// A ratio of two servers, and how far it can be believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The ratio, without the rounds at either end.
    pub value: f64,
    /// Its spread, as a part of it: a repetition of the whole comparison differs by less than this
    /// in 19 of 20 cases.
    pub spread: f64,
}

/// The conclusion about a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// B is better than A.
    Better,
    /// B is worse than A.
    Worse,
    /// The difference is within the spread.
    Same,
    /// A differs from itself by more than its spread.
    Unreadable,
}

impl Comparison {
    /// Returns the arms of all rounds. Each round begins with another arm, so that changes
    /// over time affect all of them alike.
    pub fn arms(&self) -> impl Iterator<Item = Arm> + use<> {
        (0..self.rounds as usize).flat_map(Self::round)
    }

    fn round(number: usize) -> [Arm; 3] {
        let mut round = [Arm::First, Arm::Other, Arm::Control];
        round.rotate_left(number % 3);
        round
    }

    /// Compares the figures of both servers, over the rounds that are complete. Empty if there
    /// are fewer than three.
    #[must_use]
    pub fn compare(&self, runs: &[Outcome]) -> Vec<Compared> {
        let figures = [
            Figure::Throughput,
            Figure::P50,
            Figure::P99,
            Figure::ServerCpu,
        ];
        let rounds = rounds(runs);
        let compared = |figure: Figure| {
            let known = rounds.iter().filter_map(|round| figure.of_round(round));
            let known: Vec<_> = known.collect();
            // A run in which nothing ended, because the machine had no time for it, has no figures.
            // But CPU time is counted in steps, and the rounds in which it is known are the dearer
            // ones.
            let enough = figure != Figure::ServerCpu || known.len() == rounds.len();
            Compared::of(figure, &known).filter(|_| enough)
        };
        figures.into_iter().filter_map(compared).collect()
    }
}

/// One run of each arm, in the order of [`Arm`].
type Round<'a> = [&'a Outcome; 3];

/// Sorts the rounds that are complete by arm.
fn rounds(runs: &[Outcome]) -> Vec<Round<'_>> {
    let rounds = runs.as_chunks::<3>().0.iter().enumerate();
    let complete = |run: &Outcome| run.ending == Ending::Complete;
    rounds
        .filter(|(_, runs)| runs.iter().all(complete))
        .map(|(number, runs)| {
            let arms = Comparison::round(number);
            let of = |arm| arms.iter().zip(runs).find(|&(&it, _)| it == arm);
            [Arm::First, Arm::Other, Arm::Control]
                .map(|arm| of(arm).expect("a round has all arms").1)
        })
        .collect()
}

impl Figure {
    /// Returns the figure's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::ServerCpu => "server CPU",
        }
    }

    /// Returns the figure of each arm. `None` if one is not known, or if the plan demands it.
    fn of_round(self, round: &Round<'_>) -> Option<[f64; 3]> {
        let [first, other, control] = round.map(|run| self.of(run));
        Some([first?, other?, control?])
    }

    fn of(self, run: &Outcome) -> Option<f64> {
        let nanos = |time: Option<Duration>| Some(time?.as_nanos() as f64);
        let value = match self {
            Self::Throughput if matches!(run.plan.pace(), Pace::Open { .. }) => None,
            Self::Throughput => run.throughput(),
            Self::P50 => nanos(percentile(&run.latency, 50.0)),
            Self::P99 => nanos(percentile(&run.latency, 99.0)),
            Self::ServerCpu => nanos(run.costs.server_each()),
        };
        value.filter(|&value| value > 0.0)
    }
}

impl Arm {
    /// Returns the arm's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "A",
            Self::Other => "B",
            Self::Control => "control",
        }
    }
}

impl Conclusion {
    /// Returns the conclusion in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same => "same",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Compared {
    fn of(metric: Figure, rounds: &[[f64; 3]]) -> Option<Self> {
        if rounds.is_empty() {
            return None;
        }
        let logs = |of: fn(&[f64; 3]) -> f64| rounds.iter().map(of).collect::<Vec<_>>();
        let first = rounds
            .iter()
            .flat_map(|&[first, _, control]| [first, control]);
        let control = Ratio::of(logs(|[first, _, control]| (control / first).ln()))?;
        let ratio = Ratio::of(logs(|[first, other, control]| {
            (other / (first * control).sqrt()).ln()
        }))?;
        Some(Self {
            metric,
            first: median(first.collect()),
            other: median(logs(|&[_, other, _]| other)),
            ratio: ratio.at_least_as_wide_as(&control),
            control,
        })
    }

    /// Returns the conclusion.
    #[must_use]
    pub fn conclusion(&self) -> Conclusion {
        let more_is_better = self.metric == Figure::Throughput;
        if self.control.is_different() && !self.ratio.exceeds(&self.control) {
            Conclusion::Unreadable
        } else if !self.ratio.is_different() {
            Conclusion::Same
        } else if (self.ratio.value > 1.0) == more_is_better {
            Conclusion::Better
        } else {
            Conclusion::Worse
        }
    }
}

impl Ratio {
    /// Returns the trimmed mean of the logarithms of a ratio, and the spread of a repetition
    /// (Yuen's standard error, for the difference of two such means). `None` for fewer than three.
    fn of(mut logs: Vec<f64>) -> Option<Self> {
        logs.sort_by(f64::total_cmp);
        let (count, cut) = (logs.len(), logs.len() / 5);
        let kept = count - 2 * cut;
        if count < 3 {
            return None;
        }
        let mean = logs[cut..count - cut].iter().sum::<f64>() / kept as f64;
        let (low, high) = (logs[cut], logs[count - cut - 1]);
        let winsorized: Vec<_> = logs.iter().map(|log| log.clamp(low, high)).collect();
        let middle = winsorized.iter().sum::<f64>() / count as f64;
        let squares = winsorized.iter().map(|log| (log - middle).powi(2));
        let variance = squares.sum::<f64>() / (count - 1) as f64;
        let part = kept as f64 / count as f64;
        let error = variance.sqrt() / (part * (count as f64).sqrt());
        let spread = student(kept - 1) * std::f64::consts::SQRT_2 * error;
        Some(Self {
            value: mean.exp(),
            spread: spread.exp_m1(),
        })
    }

    /// Widens the spread to the one that the control implies, so that a few rounds which agree by
    /// chance claim no precision that the machine does not have. The mean of two runs of A varies
    /// half as much as one run, so the variances are as 3/2 to 2.
    fn at_least_as_wide_as(self, control: &Self) -> Self {
        let implied = 0.75f64.sqrt() * control.spread.ln_1p();
        Self {
            spread: self.spread.max(implied.exp_m1()),
            ..self
        }
    }

    /// Returns `true` if it differs from 1 by more than its spread.
    #[must_use]
    pub fn is_different(&self) -> bool {
        self.value.ln().abs() > self.spread.ln_1p()
    }

    /// Returns `true` if it differs from 1 by much more than `control` does.
    fn exceeds(&self, control: &Self) -> bool {
        self.value.ln().abs() > 3.0 * control.value.ln().abs()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => values[middle - 1].midpoint(values[middle]),
        _ => values[middle],
    }
}

/// Returns the two-sided 95 % quantile of Student's distribution.
fn student(freedom: usize) -> f64 {
    const QUANTILES: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    match freedom {
        0 => f64::INFINITY,
        few => QUANTILES.get(few - 1).copied().unwrap_or(1.98),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns numbers that look random, from -1 to 1, the sum of three for a bell's shape.
    fn noise(seed: &mut u64) -> f64 {
        let mut one = || {
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            (*seed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        (one() + one() + one()) / 3.0
    }

    /// Returns a comparison over nine rounds of two servers of which B has `ratio` times the figure
    /// of A, on a machine that drifts and has outliers.
    fn compared(ratio: f64, seed: &mut u64) -> Compared {
        let rounds: Vec<_> = (0..9)
            .map(|round| {
                let drift = 1.0 + f64::from(round) * 0.05;
                let mut value = |of: f64| of * drift * (1.0 + 0.05 * noise(seed));
                let mut values = [value(100.0), value(100.0 * ratio), value(100.0)];
                if round == 4 {
                    values[0] *= 0.3;
                }
                values
            })
            .collect();
        Compared::of(Figure::Throughput, &rounds).expect("enough rounds")
    }

    #[test]
    fn repetitions_differ_by_less_than_the_spread_in_19_of_20_cases() {
        let mut seed = 1;
        let within = (0..2000).filter(|_| {
            let (a, b) = (compared(1.0, &mut seed), compared(1.0, &mut seed));
            (a.ratio.value / b.ratio.value).ln().abs() <= a.ratio.spread.ln_1p()
        });
        let within = within.count();
        assert!(within >= 1900, "{within} of 2000");
    }

    #[test]
    fn difference_is_found_and_none_is_not() {
        let mut seed = 7;
        let mut conclusions = |ratio| {
            let all = (0..200).map(|_| compared(ratio, &mut seed).conclusion());
            all.collect::<Vec<_>>()
        };
        let count = |all: Vec<Conclusion>, one| all.into_iter().filter(|&it| it == one).count();
        assert!(count(conclusions(1.0), Conclusion::Same) >= 190);
        assert!(count(conclusions(1.15), Conclusion::Better) >= 190);
        assert!(count(conclusions(0.85), Conclusion::Worse) >= 190);
    }

    #[test]
    fn server_that_differs_from_itself_makes_it_unreadable() {
        let rounds = [[100.0, 108.0, 110.0]; 5];
        let compared = Compared::of(Figure::P99, &rounds).expect("enough rounds");
        assert_eq!(compared.conclusion(), Conclusion::Unreadable);
    }

    #[test]
    fn rounds_begin_with_each_arm_in_turn() {
        let comparison = Comparison {
            other: ([127, 0, 0, 1], 6001).into(),
            rounds: 3,
        };
        use Arm::{Control, First, Other};
        let arms: Vec<_> = comparison.arms().collect();
        let rounds = [
            [First, Other, Control],
            [Other, Control, First],
            [Control, First, Other],
        ];
        assert_eq!(arms, rounds.concat());
    }

    #[test]
    fn fewer_than_three_rounds_have_no_ratio() {
        assert_eq!(Ratio::of(vec![0.0, 0.1]), None);
    }
}
