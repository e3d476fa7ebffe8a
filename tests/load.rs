//! The load generator against correct servers and faulty ones.
//!
//! The faulty ones are threads of the test program, each with exactly one fault.

#![cfg(unix)]

mod common;

mod load {
    mod compare;
    mod costs;
    mod faults;
    mod machine;
    mod page;
    mod program;
    mod ramp;
    mod scenarios;
    mod schema;
    mod stall;
    mod standin;
    mod terminal;
}

use std::net::SocketAddr;
use std::time::Duration;

use oneloop::net::Os;
use oneloop_load::{Framing, Go, Outcome, Pace, Plan, Progress, Scenario};

/// Returns a short run over one connection in a closed loop, to be changed as needed.
fn plan(target: SocketAddr) -> Plan {
    Plan {
        target,
        sources: Vec::new(),
        scenario: Scenario::Exchange(CLOSED),
        connections: 1,
        asked: 1,
        framing: Framing::Line,
        duration: Duration::from_millis(300),
        warm_up: Duration::from_millis(20),
        ramp: Duration::ZERO,
        timeout: Duration::from_secs(20),
        grace: Duration::from_secs(20),
    }
}

/// Makes the run.
fn run(plan: &Plan) -> Outcome {
    run_until(plan, |_| false)
}

/// Makes the run, and ends it when `enough` is true.
fn run_until(plan: &Plan, enough: impl Fn(&Progress) -> bool) -> Outcome {
    let watch = |progress: &Progress| match enough(progress) {
        true => Go::Stop,
        false => Go::On,
    };
    oneloop_load::run(plan, Os::new().expect("a poller"), None, watch).expect("the loop runs")
}

const CLOSED: Pace = Pace::Closed { in_flight: 1 };
