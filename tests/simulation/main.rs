//! The whole server under simulation. See `docs/testing.md`.

mod regressions;
mod swarm;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use swarm::plan::{Plan, Poller};
use swarm::replay::Failure;
use swarm::run::{Order, Report, run};

const TURNS: usize = 1000;

fn order(seed: u64) -> Order {
    Order {
        seed,
        turns: TURNS,
        only: None,
        trace: false,
    }
}

/// Runs a seed; if an invariant breaks, says what replays it.
fn hold(seed: u64) -> Report {
    let order = order(seed);
    let report = run(&order);
    if report.verdict.is_err() {
        panic!("{}", Failure::smallest(&order, report));
    }
    report
}

#[test]
fn no_invariant_breaks_in_the_fixed_seeds() {
    let reports: Vec<_> = (0..60).map(hold).collect();
    let sessions: u64 = reports.iter().map(|report| report.sessions).sum();
    assert!(sessions > 1000, "only {sessions} connections: a poor test");
}

#[test]
fn no_invariant_breaks_in_seeds_that_nobody_has_tried() {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since_1970.expect("a clock after 1970").as_secs();
    let started = Instant::now();
    let fresh = seconds * 1000..;
    for seed in fresh.take_while(|_| started.elapsed() < Duration::from_secs(4)) {
        hold(seed);
    }
}

#[test]
fn two_runs_of_a_seed_are_the_same_event_for_event() {
    for seed in 0..10 {
        let (first, second) = (run(&order(seed)), run(&order(seed)));
        assert_eq!(first.digest, second.digest, "seed {seed}");
        assert_eq!(first.turns, second.turns, "seed {seed}");
    }
}

#[test]
fn recording_a_trace_changes_nothing() {
    let quiet = run(&order(3));
    let traced = run(&Order {
        trace: true,
        ..order(3)
    });
    assert!(!traced.trace.is_empty());
    assert_eq!(quiet.digest, traced.digest);
}

#[test]
fn different_seeds_are_different_runs_on_both_kinds_of_poller() {
    let digests: std::collections::HashSet<_> =
        (0..10).map(|seed| run(&order(seed)).digest).collect();
    assert_eq!(digests.len(), 10);
    for poller in [Poller::Edge, Poller::Rearmed] {
        assert!((0..60).any(|seed| Plan::new(seed).poller == poller));
    }
}
