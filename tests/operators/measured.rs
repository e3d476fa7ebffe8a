//! What the server measures of itself, and what operators can change.

use nix::sys::signal::Signal;

use crate::common::{Client, Server, eventually};
use crate::http::AdminSocket;

#[test]
fn session_is_listed_and_closed_by_the_number_in_the_log() {
    let socket = AdminSocket::new("sessions");
    let server = Server::start(&["--admin", socket.flag()]);
    let mut client = Client::acquainted(server.address());
    let from = client.0.local_addr().expect("an address");
    let list = socket.get("/sessions").body;
    let line = list.lines().find(|line| line.contains(" listener=main "));
    let line = line.expect("the session is listed");
    assert!(line.contains(&format!(" address={from} ")), "{line}");
    assert!(line.contains(" state=AwaitName "), "{line}");
    // `somebody`, and what the server has sent for it.
    assert!(line.contains(" in=9 "), "{line}");
    let (id, _) = line.split_once(' ').expect("fields");
    let number = id.strip_prefix("id=").expect("its number");
    let close = format!("POST /sessions/{number}/close");
    assert_eq!(socket.request(&close).status, 200);
    client.until_gone();
    let closed = server.log().wait_for("is closed (", 0);
    assert!(closed.contains(&format!("session={number}")), "{closed}");
    assert_eq!(socket.request(&close).status, 404);
}

#[test]
fn drain_by_request_ends_the_server() {
    let socket = AdminSocket::new("post-drain");
    let mut server = Server::start(&["--admin", socket.flag()]);
    let mut client = Client::acquainted(server.address());
    assert_eq!(socket.request("POST /drain").status, 200);
    client.expect_last(crate::common::GOOD_BYE);
    drop(client);
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn stop_of_the_process_is_not_blamed_on_a_step() {
    let socket = AdminSocket::new("stopped");
    let server = Server::start(&["--admin", socket.flag(), "--warn-turn", "20ms"]);
    let mut client = Client::acquainted(server.address());
    // Stopped at any moment, until one is within a turn: the names keep the loop busy.
    let mut sender = Client(client.0.try_clone().expect("a second handle"));
    let names = "name\n".repeat(200);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sending = std::thread::spawn(move || {
        while stopped.try_recv().is_err() {
            sender.send(&names);
        }
        sender.send("exit\n");
    });
    let reading = std::thread::spawn(move || client.until_gone());
    eventually("a turn is interrupted by a stop", || {
        server.freeze();
        std::thread::sleep(std::time::Duration::from_millis(50));
        server.thaw();
        let slow = socket.get("/slow").body;
        slow.contains("cause=stopped").then_some(())
    });
    stop.send(()).expect("the sender runs");
    sending.join().expect("no panic");
    reading.join().expect("no panic");
    let line = server.log().wait_for("slow turn of the loop", 0);
    // Another cause is possible on a busy machine, but the stopped turns are known as such.
    assert!(line.contains("cause="), "{line}");
    server.signal(Signal::SIGTERM);
}

#[test]
fn durations_are_measured_with_an_admin_listener_alone() {
    let socket = AdminSocket::new("durations");
    let server = Server::start(&["--admin", socket.flag()]);
    Client::acquainted(server.address()).leave();
    let samples = socket.scrape();
    assert!(samples["oneloop_turn_seconds_count"] >= 3.0);
    assert_eq!(
        samples["oneloop_turn_seconds_count"],
        samples["oneloop_turn_seconds_bucket{le=\"+Inf\"}"]
    );
    assert!(samples["process_resident_memory_bytes"] > 1e5);
    assert!(samples["process_start_time_seconds"] > 1.7e9);
    assert_eq!(samples["greet_log_dropped_total"], 0.0);
    let agent = Server::start(&["--agent", "127.0.0.1:0"]);
    let line = agent.log().wait_for("for operators on ", 0);
    let address = line.rsplit(' ').next().expect("an address");
    let mut client = Client::connect(address.parse().expect("an address"));
    client.expect_last("up ready 99%\n");
}
