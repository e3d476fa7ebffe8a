//! Two servers in turn.

use std::time::Duration;

use crate::common::Server;
use crate::load::program::{File, assert_valid, output, text};
use crate::load::standin::Standin;

#[test]
fn slower_server_is_worse_by_its_ratio() {
    let slow = |millis| {
        Standin::start(move |peer| {
            peer.welcome();
            peer.serve_slowly(Duration::from_millis(millis));
        })
    };
    let (a, b) = (slow(5), slow(50));
    let (a, b) = (a.address.to_string(), b.address.to_string());
    let (json, html) = (File::new("json"), File::new("html"));
    let arguments = [
        &a[..],
        "--compare",
        &b,
        "-n",
        "4",
        "-d",
        "200ms",
        "--timeout",
        "20s",
        "--json",
        json.path(),
        "--html",
        html.path(),
    ];
    // On a machine that is busy enough, A differs from itself by as much.
    let report = (0..4).map(|_| text(&output(&arguments, 0).stdout));
    let report = report
        .into_iter()
        .find(|report| report.starts_with("B is worse than A: throughput × 0."));
    report.expect("a tenth of the speed is found in one of four comparisons");
    let report = json.json();
    assert_valid(&report);
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(27));
    let arms = report["comparison"]["arms"].as_array().expect("a list");
    assert_eq!(arms[..6], ["A", "B", "control", "B", "control", "A"]);
    let targets = report["runs"].as_array().expect("a list").iter();
    for (run, arm) in targets.zip(arms) {
        let expected = if *arm == "B" { &b } else { &a };
        assert_eq!(run["plan"]["target"], expected[..]);
    }
    let throughput = &report["comparison"]["figures"][0];
    assert_eq!(throughput["conclusion"], "worse");
    let ratio = throughput["b_to_a"]["value"].as_f64().expect("a ratio");
    assert!(ratio < 0.7, "{ratio}");
    assert!(html.read().contains("B is worse than A"));
}

#[test]
fn comparison_without_server_b_is_exit_code_1() {
    let server = Server::start(&["--framing", "line"]);
    let address = server.address().to_string();
    // Nothing greets on the discard port.
    let arguments = [
        &address,
        "--compare",
        "127.0.0.1:9",
        "-d",
        "50ms",
        "--grace",
        "300ms",
    ];
    let report = text(&output(&arguments, 1).stdout);
    assert!(report.starts_with("nothing to compare"), "{report}");
    assert!(report.contains("127.0.0.1:9 was greeted"), "{report}");
}
