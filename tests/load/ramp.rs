//! The rate that a server keeps up with.

use std::net::TcpListener;
use std::time::Duration;

use oneloop_load::{Pace, Plan, Scenario};

use crate::load::program::{File, assert_valid, greet_load, output, text};
use crate::load::standin::Standin;
use crate::{plan, run};

#[test]
fn knee_of_a_slow_server_is_found_within_a_tenth() {
    // Far more than a busy machine adds to a sleep.
    let standin = Standin::start(|peer| {
        peer.welcome();
        peer.serve_slowly(Duration::from_millis(40));
    });
    // Its capacity is the throughput of a closed loop.
    let capacity = || {
        let outcome = run(&Plan {
            scenario: Scenario::Exchange(Pace::Closed { in_flight: 4 }),
            connections: 10,
            duration: Duration::from_secs(2),
            ..plan(standin.address)
        });
        outcome.throughput().expect("it was measured")
    };
    let address = standin.address.to_string();
    let json = File::new("json");
    let ramp = [
        &address[..],
        "--ramp-rate=150",
        "-n",
        "10",
        "-d",
        "1s",
        "--timeout",
        "20s",
        // Not less: on a busy machine a name waits for long at any rate. A rate above the capacity
        // fails because it is not reached.
        "--until",
        "p99>1s",
        "--json",
        json.path(),
    ];
    // On a busy machine the capacity changes between the two measurements.
    let tries = (0..4).map(|_| {
        let before = capacity();
        let report = text(&greet_load(&ramp).output().expect("it starts").stdout);
        let after = capacity();
        let knee = json.json()["ramp"]["knee_per_s"].as_f64();
        assert_valid(&json.json());
        assert_eq!(report.starts_with("knee at "), knee.is_some(), "{report}");
        let (low, high) = (before.min(after), before.max(after));
        let is_right = knee.is_some_and(|knee| (low * 0.9..=high * 1.1).contains(&knee));
        is_right.then_some(()).ok_or((low, knee, high))
    });
    let failed: Vec<_> = tries.map_while(Result::err).collect();
    assert!(failed.len() < 4, "low, knee, high: {failed:?}");
}

#[test]
fn ramp_draws_the_knee() {
    let (json, html) = (File::new("json"), File::new("html"));
    let arguments = [
        "--ramp-rate=200",
        "-d",
        "50ms",
        "--until",
        "throughput>2000",
        "--json",
        json.path(),
        "--html",
        html.path(),
    ];
    let report = text(&output(&arguments, 0).stdout);
    assert!(report.contains("◀ knee"), "{report}");
    assert!(report.contains("throughput>2000"), "{report}");
    let report = json.json();
    assert_valid(&report);
    assert_eq!(report["shape"], "ramp");
    let page = html.read();
    assert!(page.contains("var(--knee)") && page.contains("Latency by rate"));
}

#[test]
fn errors_fail_a_rate() {
    let standin = Standin::start(|peer| {
        peer.welcome();
        while peer.read_name().is_some() {
            peer.answer("another name");
        }
    });
    let address = standin.address.to_string();
    let ramp = [
        "--ramp-rate=50",
        "-n",
        "2",
        "-d",
        "100ms",
        "--until",
        "errors>0",
    ];
    let report = text(&output(&[&[&address[..]], &ramp[..]].concat(), 1).stdout);
    assert!(report.starts_with("no knee"), "{report}");
    // Once as the condition, then as the reason of each rate.
    assert!(report.matches("errors>0").count() > 2, "{report}");
}

#[test]
fn ramp_without_a_server_ends_at_once() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.expect("a free port").to_string();
    let report = text(&output(&[&address, "--ramp-rate"], 1).stdout);
    assert!(report.starts_with("no knee"), "{report}");
    assert!(report.contains("is the server running?"), "{report}");
}
