//! The load generator against servers that behave and servers that do not.
//!
//! Those that do not are threads in here, so that each does exactly one thing wrong.

#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;

mod actor;
mod costs;
mod faults;
mod program;
mod scenarios;
mod schema;
mod stall;

use std::net::SocketAddr;
use std::time::Duration;

use oneloop::load::{self, Framing, Go, Outcome, Pace, Plan, Scenario};
use oneloop::net::Os;

/// A short run over one connection, closed loop, to be changed as needed.
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
        timeout: Duration::from_secs(5),
        grace: Duration::from_secs(10),
    }
}

/// Makes the run.
fn run(plan: &Plan) -> Outcome {
    load::run(plan, Os::new().expect("a poller"), None, |_| Go::On).expect("the loop runs")
}

const CLOSED: Pace = Pace::Closed { in_flight: 1 };
