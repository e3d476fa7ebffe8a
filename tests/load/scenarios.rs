//! Each scenario against the real server.

use std::net::IpAddr;
use std::time::Duration;

use oneloop_load::{Ending, Framing, Outcome, Pace, Plan, Scenario, percentile};

use crate::common::Server;
use crate::load::standin::Standin;
use crate::{CLOSED, plan, run};

const OPEN: Pace = Pace::Open {
    rate: 2000.0,
    in_flight: 16,
};

#[track_caller]
fn clean(plan: &Plan) -> Outcome {
    let outcome = run(plan);
    let faults: Vec<_> = outcome.faults.found().collect();
    assert_eq!(faults, [], "{plan:?}");
    assert_eq!(outcome.ending, Ending::Complete);
    outcome
}

#[test]
fn exchanges_on_all_connections_are_clean() {
    let server = Server::start(&["--framing", "line"]);
    for in_flight in [1, 7, 400] {
        let outcome = clean(&Plan {
            scenario: Scenario::Exchange(Pace::Closed { in_flight }),
            connections: 20,
            ..plan(server.address())
        });
        assert!(outcome.completed > 0);
        assert_eq!(outcome.connections.open_max, 20);
        assert_eq!(outcome.connections.held, 20);
        assert!(outcome.throughput() > Some(0.0));
    }
}

#[test]
fn silence_framing_is_measured_with_its_gaps() {
    let server = Server::start(&["--framing", "silence", "--quiet-gap", "5ms"]);
    let outcome = clean(&Plan {
        framing: Framing::Silence,
        connections: 5,
        ..plan(server.address())
    });
    assert!(outcome.completed > 0);
    // The gap that ends the name and the one before the next question.
    assert!(percentile(&outcome.latency, 1.0) >= Some(Duration::from_millis(10)));
}

#[test]
fn server_with_both_framings_is_measured_in_both() {
    let server = Server::start(&["--quiet-gap", "5ms"]);
    for framing in [Framing::Line, Framing::Silence] {
        let outcome = clean(&Plan {
            framing,
            ..plan(server.address())
        });
        assert!(outcome.completed > 0, "{framing:?}");
    }
}

#[test]
fn fixed_rate_sends_all_names_due_in_the_window() {
    let server = Server::start(&["--framing", "line"]);
    let outcome = clean(&Plan {
        scenario: Scenario::Exchange(OPEN),
        connections: 7,
        duration: Duration::from_millis(500),
        ..plan(server.address())
    });
    assert!(
        outcome.completed.abs_diff(1000) <= 1,
        "{}",
        outcome.completed
    );
    let lateness = outcome.lateness.expect("there is a schedule");
    let service = outcome.service.expect("there is a schedule");
    assert_eq!(service.len(), outcome.completed);
    assert_eq!(lateness.len() + outcome.held_back, outcome.completed);
    assert!(service.max() <= outcome.latency.max());
}

#[test]
fn latency_alone_is_no_missed_rate() {
    let standin = Standin::start(|peer| {
        peer.welcome();
        peer.serve_slowly(Duration::from_millis(300));
    });
    // Half of what it could answer; at the end of the window a sixth of the names is under way.
    let outcome = clean(&Plan {
        scenario: Scenario::Exchange(Pace::Open {
            rate: 50.0,
            in_flight: 16,
        }),
        connections: 30,
        duration: Duration::from_secs(2),
        warm_up: Duration::from_secs(1),
        ..plan(standin.address)
    });
    let findings = outcome.findings();
    let mut texts = findings.iter().map(|finding| &finding.text[..]);
    assert_eq!(texts.find(|text| text.contains("were due and")), None);
}

#[test]
fn conversations_last_until_the_end_of_the_stream() {
    let server = Server::start(&["--framing", "line"]);
    let outcome = clean(&Plan {
        scenario: Scenario::Churn { names: 3 },
        connections: 5,
        ..plan(server.address())
    });
    assert!(outcome.completed > 5);
    assert!(outcome.connections.made > outcome.completed);
    assert!(outcome.connections.open_max <= 5);
}

#[test]
fn idle_connections_are_all_proved_alive() {
    let server = Server::start(&["--framing", "line"]);
    let outcome = clean(&Plan {
        scenario: Scenario::Idle,
        connections: 300,
        duration: Duration::from_millis(100),
        ..plan(server.address())
    });
    assert_eq!(outcome.connections.held, 300);
    assert_eq!(outcome.connections.proved, 300);
    assert_eq!(outcome.completed, 300);
    assert_eq!(outcome.throughput(), None);
}

#[test]
fn mixed_connections_work_at_either_pace() {
    let server = Server::start(&["--framing", "line"]);
    for pace in [CLOSED, OPEN] {
        let outcome = clean(&Plan {
            scenario: Scenario::Mixed { active: 3, pace },
            connections: 50,
            ..plan(server.address())
        });
        assert_eq!(outcome.connections.proved, 47);
        assert!(outcome.completed > 47, "{pace:?}");
    }
}

#[test]
fn ramp_up_spreads_the_connects() {
    let server = Server::start(&["--framing", "line"]);
    let outcome = clean(&Plan {
        connections: 10,
        ramp: Duration::from_millis(300),
        ..plan(server.address())
    });
    // The last of ten is due at nine tenths.
    assert!(outcome.connections.opening >= Duration::from_millis(269));
}

#[test]
#[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this machine
fn sources_are_used_in_turn() {
    let sources: Vec<IpAddr> = ["127.0.0.2", "127.0.0.3"]
        .map(|ip| ip.parse().unwrap())
        .to_vec();
    let server = Server::start(&["--framing", "line", "--max-per-ip", "2"]);
    let all_from = |sources: &[IpAddr]| Plan {
        sources: sources.to_vec(),
        connections: 4,
        ..plan(server.address())
    };
    clean(&all_from(&sources));
    let outcome = run(&all_from(&sources[..1]));
    assert!(outcome.faults.count(oneloop_load::Fault::Full) >= 2);
}
