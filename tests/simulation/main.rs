//! The whole server under simulation. See `docs/testing.md`.

mod regressions;
mod swarm;

use swarm::replay::Failure;
use swarm::run::{Order, run};

fn order(seed: u64) -> Order {
    Order {
        seed,
        turns: 2000,
        only: None,
        trace: false,
    }
}

fn hold(seed: u64) {
    let order = order(seed);
    let report = run(&order);
    if report.verdict.is_err() {
        panic!("{}", Failure::smallest(&order, report));
    }
}

#[test]
fn no_invariant_breaks_in_the_fixed_seeds() {
    (0..100).for_each(hold);
}

#[test]
fn a_seed_runs_the_same_twice_event_for_event() {
    for seed in 0..20 {
        let (first, second) = (run(&order(seed)), run(&order(seed)));
        assert_eq!(first.digest, second.digest, "seed {seed}");
        assert_eq!(first.turns, second.turns, "seed {seed}");
    }
}
