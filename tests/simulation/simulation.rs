//! The whole server under simulation. See `docs/testing.md`.

#[cfg(unix)]
mod kernel;
mod mutants {
    pub(crate) mod mutant;
    pub(crate) mod table;
}
mod regressions;
mod scenarios;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mutants::table::MUTANTS;
use oneloop_swarm::swarm::plan::{Plan, Poller};
use oneloop_swarm::swarm::replay::Failure;
use oneloop_swarm::swarm::run::{Order, Report, ServiceUnderTest, run};

const TURNS: usize = 1000;
/// The number of fixed seeds of each service.
const SEEDS: u64 = 60;

fn order(seed: u64) -> Order {
    Order {
        service: ServiceUnderTest::Greeting,
        seed,
        turns: TURNS,
        only: None,
        trace: false,
    }
}

fn restless(seed: u64) -> Order {
    Order {
        service: ServiceUnderTest::Restless,
        ..order(seed)
    }
}

fn relay(seed: u64) -> Order {
    Order {
        service: ServiceUnderTest::Relay,
        ..order(seed)
    }
}

/// Runs a seed. If an invariant breaks, panics with the line that replays it.
fn hold(order: Order) -> Report {
    let report = run(&order);
    if report.verdict.is_err() {
        panic!("{}", Failure::smallest(&order, report));
    }
    report
}

#[test]
fn no_invariant_breaks_in_the_fixed_seeds() {
    let reports: Vec<_> = (0..SEEDS).map(|seed| hold(order(seed))).collect();
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
        hold(order(seed));
        hold(restless(seed));
        hold(relay(seed));
    }
}

#[test]
fn no_invariant_breaks_in_the_fixed_seeds_of_the_restless_service() {
    let reports: Vec<_> = (0..SEEDS).map(|seed| hold(restless(seed))).collect();
    let sessions: u64 = reports.iter().map(|report| report.sessions).sum();
    assert!(sessions > 1000, "only {sessions} connections: a poor test");
}

#[test]
fn no_invariant_breaks_in_the_fixed_seeds_of_the_relay() {
    let reports: Vec<_> = (0..SEEDS).map(|seed| hold(relay(seed))).collect();
    let sessions: u64 = reports.iter().map(|report| report.sessions).sum();
    assert!(sessions > 1000, "only {sessions} connections: a poor test");
}

#[test]
fn two_runs_of_a_seed_are_the_same_event_for_event() {
    for seed in 0..10 {
        for order in [order(seed), restless(seed), relay(seed)] {
            let (first, second) = (run(&order), run(&order));
            assert_eq!(first.digest, second.digest, "{order:?}");
            assert_eq!(first.turns, second.turns, "{order:?}");
        }
    }
}

#[test]
fn recording_a_trace_changes_nothing() {
    for order in [order(3), restless(3), relay(3)] {
        let quiet = run(&order);
        let traced = run(&Order {
            trace: true,
            ..order
        });
        assert!(!traced.trace.is_empty());
        assert_eq!(quiet.digest, traced.digest);
    }
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

/// A change that only moves or renames code must keep the order of all events. A change that means
/// to alter it records the digests anew: `ONELOOP_RECORD=1 cargo test --test simulation digests`.
#[test]
fn digests_of_the_fixed_seeds_are_those_recorded() {
    let digest = |order| {
        let Report { digest, .. } = run(&order);
        let Order { service, seed, .. } = order;
        format!("{} {seed} {digest:016x}\n", service.as_str())
    };
    let greetings = (0..60).map(order);
    let digests: String = greetings.chain((0..20).map(relay)).map(digest).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("digests.txt");
    if std::env::var_os("ONELOOP_RECORD").is_some() {
        std::fs::write(&path, &digests).expect("a folder to write to");
    }
    let recorded = std::fs::read_to_string(&path).expect("digests");
    let different = digests.lines().zip(recorded.lines());
    let different: Vec<_> = different.filter(|(now, before)| now != before).collect();
    assert!(different.is_empty(), "now, and before: {different:#?}");
    assert_eq!(digests.lines().count(), recorded.lines().count());
}

/// Fails, and names the mutant, if a change has removed a mutant's text.
#[test]
fn every_mutant_applies() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let wrong = MUTANTS.iter().filter_map(|mutant| mutant.apply(root).err());
    let wrong: Vec<_> = wrong.map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut names: Vec<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), MUTANTS.len(), "two mutants have one name");
}

/// Takes minutes: `.ci/run` runs it. By hand: `cargo run -p oneloop-swarm --bin mutants -- --help`.
#[test]
#[ignore = "builds the library once for each mutant"]
fn every_mutant_is_found() {
    let runner = ["run", "--locked", "--quiet", "--bin", "mutants"];
    let status = Command::new(env!("CARGO")).args(runner).status();
    assert!(status.expect("cargo runs").success());
}
