//! Restarts under a thousand connects a second: no client may be refused, reset or cut off.

use super::load::Load;
use super::passing::{copy, free_port, passing};
use super::successor::Lineage;
use crate::common::{Server, server};

#[test]
fn five_restarts_by_a_successor_lose_no_connection() {
    let flags = ["--framing", "line", "--log-level", "warn"];
    let mut lineage = Lineage::new(server::command(&flags));
    let load = Load::start(lineage.address(), 1000);
    for _ in 0..5 {
        load.wait_for(500);
        lineage.restart();
    }
    load.wait_for(500);
    load.finish("five successors").assert_no_failures();
    lineage.stop();
}

#[test]
fn restarts_with_a_grace_dismiss_no_connection() {
    let flags = ["--framing", "line", "--log-level", "warn", "--grace", "20s"];
    let mut lineage = Lineage::new(server::command(&flags));
    let load = Load::start(lineage.address(), 1000);
    for _ in 0..5 {
        load.wait_for(200);
        // The conversations are short: the process before ends long before its grace is over.
        lineage.restart();
    }
    let tally = load.finish("five successors with a grace");
    tally.assert_no_failures();
    assert_eq!(tally.dismissed, 0);
}

/// `systemd-socket-activate` becomes its server, and so it cannot restart it. This test holds the
/// socket instead, as systemd does.
#[test]
fn five_restarts_by_the_holder_of_the_socket_lose_no_connection() {
    let (held, address) = free_port();
    let flags = [
        "--listen",
        "fd://main",
        "--framing",
        "line",
        "--log-level",
        "warn",
    ];
    let start = || Server::run(passing([copy(&held)], Some("main"), &flags), 1);
    let mut server = start();
    let load = Load::start(address, 1000);
    for _ in 0..5 {
        load.wait_for(500);
        assert_eq!(server.terminate(), Some(0));
        server = start();
    }
    load.wait_for(500);
    load.finish("five restarts with the socket held")
        .assert_no_failures();
    assert_eq!(server.terminate(), Some(0));
}
