//! Reduces a failed seed to the fewest clients that still fail, and prints the line that replays
//! it.

use super::run::{Order, Report, run};

/// The smallest failure that was found.
#[derive(Debug)]
pub struct Failure {
    pub order: Order,
    pub report: Report,
}

impl Failure {
    /// Reduces the population as long as the run still fails, by leaving out ever smaller groups of
    /// clients.
    pub fn smallest(order: &Order, report: Report) -> Self {
        let mut clients: Vec<usize> = match &order.only {
            Some(only) => only.clone(),
            None => (0..report.clients).collect(),
        };
        let mut best = Self {
            order: order.clone(),
            report,
        };
        let mut runs = RUNS_MAX;
        let mut group = clients.len().div_ceil(2);
        while group > 0 && runs > 0 {
            let before = clients.len();
            let mut from = 0;
            while from < clients.len() && runs > 0 {
                runs -= 1;
                let fewer = without(&clients, from, group);
                match best.try_with(&fewer) {
                    Some(smaller) => (best, clients) = (smaller, fewer),
                    None => from += group,
                }
            }
            if clients.len() == before || group > 1 {
                group /= 2;
            }
        }
        best
    }

    /// Returns the command line that replays it exactly.
    pub fn command(&self) -> String {
        let Order {
            service,
            seed,
            turns,
            only,
            ..
        } = &self.order;
        let service = service.as_str();
        let only = only.as_ref().map(|only| {
            let numbers: Vec<_> = only.iter().map(ToString::to_string).collect();
            format!(" --only {}", numbers.join(","))
        });
        format!(
            "cargo run --release --bin simulate -- --service {service} --seed {seed} --turns {turns}{} --trace",
            only.unwrap_or_default()
        )
    }

    fn try_with(&self, clients: &[usize]) -> Option<Self> {
        let order = Order {
            only: Some(clients.to_vec()),
            ..self.order.clone()
        };
        let report = run(&order);
        let same = kind_of(&report) == kind_of(&self.report);
        same.then_some(Self { order, report })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let wrong = self.report.verdict.as_ref().err();
        let wrong = wrong.map_or("nothing is wrong", String::as_str);
        write!(f, "seed {}: {wrong}\n  {}", self.order.seed, self.command())
    }
}

fn without(clients: &[usize], from: usize, group: usize) -> Vec<usize> {
    let until = (from + group).min(clients.len());
    [&clients[..from], &clients[until..]].concat()
}

/// Returns the failure without its numbers: a smaller run must fail for the same reason.
fn kind_of(report: &Report) -> Option<String> {
    let wrong = report.verdict.as_ref().err()?;
    let words = wrong.split([':', '[', '"']).nth(1).unwrap_or(wrong);
    Some(words.chars().filter(|c| c.is_alphabetic()).collect())
}

const RUNS_MAX: usize = 100;
