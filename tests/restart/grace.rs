//! The time between the request to stop and the drain.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::signal::Signal;

use super::folder::Folder;
use super::successor::Lineage;
use crate::common::{Client, GOOD_BYE, PATIENCE, Server, server};

/// Returns the status line of a health check.
#[track_caller]
fn readiness(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let asked = stream.write_all(b"GET /ready HTTP/1.0\r\n\r\n");
    asked.expect("a connection");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end");
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn leaving_server_is_not_ready_and_still_accepts() {
    let folder = Folder::new("leaving");
    let path = folder.path("s");
    let admin = path.to_str().expect("text");
    let mut server = Server::start(&["--grace", "1h", "--admin", admin]);
    let mut before = Client::acquainted(server.address());
    assert!(readiness(&path).contains("200"));
    server.signal(Signal::SIGTERM);
    server.log().wait_for("Leaving", 0);
    assert!(readiness(&path).contains("503"));
    let mut late = Client::acquainted(server.address());
    before.round_trip("Ada");
    late.round_trip("Grace");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit().code(), Some(128 + Signal::SIGTERM as i32));
}

#[test]
fn leaving_server_drains_when_the_grace_is_over() {
    let mut server = Server::start(&["--grace", "300ms"]);
    let mut client = Client::acquainted(server.address());
    server.signal(Signal::SIGTERM);
    server.log().wait_for("Leaving", 0);
    client.expect_last(GOOD_BYE);
    drop(client);
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn hangup_in_the_grace_changes_nothing() {
    let mut server = Server::start(&["--grace", "9000000years", "--drain", "9000000years"]);
    server.signal(Signal::SIGHUP);
    server.log().wait_for("Leaving", 0);
    server.signal(Signal::SIGHUP);
    Client::acquainted(server.address()).leave();
    assert!(server.is_running());
    // It was not this signal that asked first.
    server.signal(Signal::SIGINT);
    server.log().wait_for("Stopping already", 0);
    Client::acquainted(server.address()).leave();
    server.signal(Signal::SIGINT);
    assert_eq!(server.exit().code(), Some(128 + Signal::SIGINT as i32));
}

#[test]
fn connections_of_a_succeeded_process_go_on_in_the_grace() {
    let mut lineage = Lineage::new(server::command(&["--grace", "1h", "--log-level", "warn"]));
    let mut old = Client::acquainted(lineage.address());
    lineage.succeed();
    old.round_trip("Ada");
    Client::acquainted(lineage.address()).leave();
    // The last connection takes the process along.
    old.leave();
    lineage.expect_end_of_predecessor();
    Client::acquainted(lineage.address()).leave();
}
