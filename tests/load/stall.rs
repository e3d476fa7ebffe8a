//! A server that is stopped for a while: an open loop must see it, a closed one must say that it
//! cannot.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use oneloop::load::{self, Fault, Go, Outcome, Pace, Plan, Progress, Scenario, percentile, text};
use oneloop::net::Os;

use crate::common::Server;
use crate::{CLOSED, plan};

/// Makes a run during which the server is stopped for about `stall`; says how long it really was.
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
        let outcome = load::run(plan, os, None, stop).expect("the loop runs");
        (outcome, stall.join().expect("it was thawed"))
    })
}

#[test]
fn a_stall_at_a_fixed_rate_is_seen_as_the_schedule_implies() {
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
    let (outcome, stall) = run_with_stall(&server, &plan, Duration::from_secs(1));
    assert_eq!(
        outcome.completed, 2000,
        "every name that was due is accounted for"
    );

    // What was due during the stall waited for the rest of it: the k-th slowest for all but k
    // periods. One name in a hundred is twenty.
    let implied = stall - Duration::from_secs_f64(20.0 / rate);
    assert_close("p99", percentile(&outcome.latency, 99.0), implied);
    assert_close("max", percentile(&outcome.latency, 100.0), stall);
    assert!(outcome.held_back > 0, "sixteen in flight are soon reached");
    let late = outcome.faults.count(Fault::Late) as f64;
    let implied_late = (stall.as_secs_f64() - 0.8) * rate;
    assert!(
        (late - implied_late).abs() < 40.0,
        "{late} late, {implied_late} implied"
    );
}

/// Within a twentieth, and what a busy machine adds.
#[track_caller]
fn assert_close(what: &str, measured: Option<Duration>, implied: Duration) {
    let measured = measured.expect("something was measured");
    let off = measured.abs_diff(implied);
    assert!(
        off < implied / 20 + Duration::from_millis(60),
        "{what}: measured {measured:?}, the schedule implies {implied:?}"
    );
}

#[test]
fn a_closed_loop_hardly_sees_a_stall_and_says_so() {
    let server = Server::start(&["--framing", "line"]);
    let plan = Plan {
        scenario: Scenario::Exchange(CLOSED),
        connections: 4,
        duration: Duration::from_secs(1),
        ..plan(server.address())
    };
    let (outcome, stall) = run_with_stall(&server, &plan, Duration::from_millis(400));
    assert!(percentile(&outcome.latency, 99.0) < Some(stall / 2));
    let highest = percentile(&outcome.latency, 100.0).expect("something was measured");
    assert!(highest + Duration::from_millis(60) >= stall, "{highest:?}");
    assert!(text::report(&outcome).contains("cannot see the stall"));
}
