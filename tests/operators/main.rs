//! What operators see of the server: the admin listener.

#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;
mod documents;
mod haproxy;
mod http;
mod measured;
mod prometheus;
mod tools;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::time::Duration;

use nix::sys::signal::Signal;

use common::{Client, FULL, Server};
use http::{AdminSocket, Target};

#[test]
fn health_is_answered_on_a_unix_socket_of_the_user_alone() {
    let socket = AdminSocket::new("health");
    let mut server = Server::start(&["--admin", socket.flag()]);
    let live = socket.get("/live");
    assert_eq!(live.status, 200);
    assert!(
        live.head.contains("\r\nContent-Type: text/plain"),
        "{}",
        live.head
    );
    assert_eq!(socket.get("/ready").body, "ready\n");
    assert_eq!(socket.get("/other").status, 404);
    assert_eq!(socket.request("POST /ready").status, 405);
    let file = fs::metadata(socket.path()).expect("the socket's file");
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    Client::acquainted(server.address()).leave();
    assert_eq!(server.terminate(), Some(0));
    assert!(!socket.path().exists());
}

#[test]
fn health_is_answered_over_tcp_too() {
    let mut server = Server::start(&["--admin", "127.0.0.1:0"]);
    let target = Target::Tcp(announced(&server));
    assert_eq!(target.get("/live").status, 200);
    assert_eq!(target.get("/ready").status, 200);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn full_server_has_places_for_operators() {
    let socket = AdminSocket::new("full");
    let server = Server::start(&["--max-connections", "2", "--admin", socket.flag()]);
    let _inside = [(); 2].map(|()| Client::acquainted(server.address()));
    Client::connect(server.address()).expect_before_any_end(FULL);
    let samples = socket.scrape();
    assert_eq!(samples["oneloop_connections_open{listener=\"main\"}"], 2.0);
    // As many as have a place, and one that has not.
    let mut held: Vec<_> = (0..8).map(|_| socket.connect()).collect();
    for connection in &mut held {
        assert_eq!(connection.request("GET /ready").status, 200);
    }
    assert_eq!(socket.connect().answer().status, 503);
}

#[test]
fn draining_server_is_alive_and_not_ready() {
    let socket = AdminSocket::new("drain");
    let mut server = Server::start(&["--admin", socket.flag(), "--drain", "60s"]);
    // A peer that does not read: its connection has output to the end of the write deadline.
    let mut client = Client::connect_narrow(server.address(), 4096);
    let moment = Some(Duration::from_millis(500));
    client.0.set_write_timeout(moment).expect("a time limit");
    client.send_all_it_takes(&b"name\n".repeat(1024), 4 << 20);
    server.signal(Signal::SIGTERM);
    server.log().wait_for("Stopping", 0);
    let ready = socket.get("/ready");
    assert_eq!((ready.status, ready.body.as_str()), (503, "leaving\n"));
    assert_eq!(socket.get("/live").status, 200);
    drop(client);
    assert_eq!(server.exit().code(), Some(0));
}

/// Returns the address of the admin listener, as the log has it.
fn announced(server: &Server) -> SocketAddr {
    let line = server.log().wait_for("for operators on ", 0);
    let (_, address) = line.split_once("for operators on ").expect("the text");
    address.trim().parse().expect("an address")
}
