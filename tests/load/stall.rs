//! A server that is stopped for a while: an open loop must show it, and a closed one must note that
//! it cannot.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use oneloop::net::Os;
use oneloop_load::{Fault, Go, Outcome, Pace, Plan, Progress, Scenario, percentile};

use crate::common::Server;
use crate::{CLOSED, plan};

/// Makes a run during which the server is stopped for about `stall`; returns the real length.
fn run_with_stall(server: &Server, plan: &Plan, stall: Duration) -> (Outcome, Duration) {
    let (begin, begun) = mpsc::channel();
    thread::scope(|scope| {
        let stall = scope.spawn(move || {
            begun.recv().expect("the run begins");
            let began = Instant::now();
            server.freeze();
            thread::sleep(stall);
            server.thaw();
            began.elapsed()
        });
        let mut begin = Some(begin);
        let stop = |progress: &Progress| {
            if progress.stage == "measuring" && progress.completed > 0 {
                let _ = begin.take().map(|begin| begin.send(()));
            }
            Go::On
        };
        let os = Os::new().expect("a poller");
        let outcome = oneloop_load::run(plan, os, None, stop).expect("the loop runs");
        (outcome, stall.join().expect("it was thawed"))
    })
}

#[test]
fn stall_at_a_fixed_rate_is_in_the_latencies() {
    let server = Server::start(&["--framing", "line"]);
    let rate = 500.0;
    let plan = Plan {
        scenario: Scenario::Exchange(Pace::Open {
            rate,
            in_flight: 16,
        }),
        connections: 10,
        duration: Duration::from_secs(4),
        timeout: Duration::from_millis(800),
        ..plan(server.address())
    };
    // A busy machine only ever adds to latencies, so one quiet run is proof.
    let why_not = (0..5).map(|_| {
        let (outcome, stall) = run_with_stall(&server, &plan, Duration::from_secs(1));
        assert_eq!(outcome.completed, 2000, "every name that was due counts");
        assert!(outcome.held_back > 0, "sixteen in flight are soon reached");
        differs_from_schedule(&outcome, stall, rate)
    });
    let why_not: Vec<_> = why_not.map_while(|differs| differs).collect();
    assert!(why_not.len() < 5, "{why_not:?}");
}

/// Compares a run with its schedule. Names that were due during the stall waited for the rest of it: all but k names for less than the
/// stall without k periods. One name in a hundred of 2,000 is twenty.
fn differs_from_schedule(outcome: &Outcome, stall: Duration, rate: f64) -> Option<String> {
    let implied_p99 = stall - Duration::from_secs_f64(20.0 / rate);
    let implied_late = (stall.as_secs_f64() - 0.8) * rate;
    let late = outcome.faults.count(Fault::Late) as f64;
    let p99 = differs("p99", percentile(&outcome.latency, 99.0), implied_p99);
    let max = differs("max", percentile(&outcome.latency, 100.0), stall);
    let wrong = (late - implied_late).abs() > 20.0;
    let late = wrong.then(|| format!("{late} late, {implied_late} implied"));
    p99.or(max).or(late)
}

/// Describes a figure that is more than a twentieth above the implied one. A lower one is a bug.
#[track_caller]
fn differs(what: &str, measured: Option<Duration>, implied: Duration) -> Option<String> {
    let measured = measured.expect("something was measured");
    assert!(
        measured > implied * 19 / 20,
        "{what}: measured {measured:?}, the schedule implies {implied:?}"
    );
    (measured > implied * 21 / 20).then(|| format!("{what} {measured:?}, not {implied:?}"))
}

#[test]
fn stall_in_a_closed_loop_is_noted_as_invisible() {
    let server = Server::start(&["--framing", "line"]);
    let plan = Plan {
        scenario: Scenario::Exchange(CLOSED),
        connections: 4,
        duration: Duration::from_secs(1),
        ..plan(server.address())
    };
    let (outcome, stall) = run_with_stall(&server, &plan, Duration::from_millis(400));
    // Each of the four connections has met it once.
    let stalled = outcome
        .latency
        .count_between(stall.as_nanos() as u64 / 2, HOUR);
    assert!((1..=8).contains(&stalled), "{stalled}");
    let highest = percentile(&outcome.latency, 100.0).expect("something was measured");
    assert!(highest >= stall * 19 / 20, "{highest:?}");
    assert!(
        outcome
            .findings()
            .iter()
            .any(|finding| finding.text.contains("cannot show the stall"))
    );
}

/// In nanoseconds; longer than anything here.
const HOUR: u64 = 3_600_000_000_000;
