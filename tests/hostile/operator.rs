//! Group F: the operator and the tools.

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::descriptors::affordable;
use crate::common::{Client, GOOD_BYE, QUESTION, Scene, Server, eventually, reply};

#[test]
fn f1_busy_clients_get_answers_and_goodbye() {
    let mut server = Server::start(&["--framing", "line"]);
    let mut clients: Vec<_> = (0..affordable(1000))
        .map(|_| Client::welcomed(server.address()))
        .collect();
    let names: String = (0..100).map(|number| format!("name {number}\n")).collect();
    let half = clients.len() / 2;
    clients[..half]
        .iter_mut()
        .for_each(|client| client.send(&names));
    server.signal(Signal::SIGTERM);
    clients[half..]
        .iter_mut()
        .for_each(|client| client.send(&names));
    let refused = eventually("connects are refused", || {
        Client::try_connect(server.address()).err()
    });
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    for client in &mut clients {
        let said = String::from_utf8(client.rest().expect("no reset")).expect("text");
        let replies = said.strip_suffix(GOOD_BYE).expect("a goodbye");
        let answered = replies.matches(QUESTION).count();
        let expected: String = (0..answered)
            .map(|number| reply(&format!("name {number}")))
            .collect();
        assert_eq!(replies, expected);
    }
    drop(clients);
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn f1_unfinished_line_at_stop_gets_no_answer() {
    let mut server = Server::start(&["--quiet-gap", "10s"]);
    let mut line = Client::connect(server.address());
    line.send("alice\nbo");
    line.expect(crate::common::WELCOME);
    line.expect(QUESTION);
    line.expect(reply("alice"));
    let mut bare = Client::connect(server.address());
    bare.expect(crate::common::WELCOME);
    bare.send("carol");
    bare.expect(QUESTION);
    server.signal(Signal::SIGTERM);
    line.expect_last(GOOD_BYE);
    bare.expect_last(format!("Hello carol!\n{GOOD_BYE}"));
    drop((line, bare));
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn f1_straggler_is_cut_off_with_exit_code_3() {
    let mut server = Server::start(&["--drain", "500ms"]);
    let mut polite = Client::acquainted(server.address());
    let _deaf = deaf_client(&server);
    server.signal(Signal::SIGTERM);
    polite.expect_last(GOOD_BYE);
    drop(polite);
    assert_eq!(server.exit().code(), Some(3));
    server
        .log()
        .wait_for("1 connection had not finished in time", 0);
    server.log().wait_for("cut off at the end of the drain", 0);
}

#[test]
fn f2_a_second_signal_stops_at_once() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        // A background job of a shell without job control ignores SIGINT.
        let env = ["env", "--default-signal=INT,TERM"];
        let mut server = Server::start_by(&env, &["--drain", "1h", "--write-timeout", "1h"]);
        let _deaf = deaf_client(&server);
        server.signal(signal);
        server.log().wait_for("a second signal stops at once", 0);
        assert!(server.is_running());
        server.signal(signal);
        assert_eq!(server.exit().code(), Some(code));
        let line = format!("Stopped at once by a second signal ({signal}): 1 connection cut off");
        server.log().wait_for(&line, 0);
    }
}

#[test]
fn f2_two_signals_to_a_stuck_loop_stop_at_once() {
    let env = ["env", "--default-signal=INT,TERM"];
    let mut server = Server::start_by(&env, &["--drain", "1h", "--write-timeout", "1h"]);
    let _deaf = deaf_client(&server);
    // A loop that does not turn: both are delivered before it does. Two pending signals of one kind
    // would be one.
    server.freeze();
    server.signal(Signal::SIGTERM);
    server.signal(Signal::SIGINT);
    server.thaw();
    let code = server.exit().code();
    assert!(code == Some(143) || code == Some(130), "{code:?}");
}

#[test]
fn f2_several_hangups_are_one_request_to_stop() {
    for round in 0..20 {
        let mut server = Server::start(&[]);
        let mut client = Client::acquainted(server.address());
        // Closing a terminal can send several, microseconds apart.
        for _ in 0..3 {
            server.signal(Signal::SIGHUP);
        }
        client.expect_last(GOOD_BYE);
        server.signal(Signal::SIGHUP);
        drop(client);
        assert_eq!(server.exit().code(), Some(0), "round {round}");
    }
}

#[test]
fn f2_hangup_is_not_the_first_of_two_signals() {
    let mut server = Server::start(&["--drain", "1h", "--write-timeout", "1h"]);
    let _deaf = deaf_client(&server);
    server.signal(Signal::SIGHUP);
    server
        .log()
        .wait_for("SIGINT or SIGTERM, twice, stops at once", 0);
    server.signal(Signal::SIGTERM);
    server.log().wait_for("Stopping already", 0);
    assert!(server.is_running());
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit().code(), Some(143));
}

#[test]
fn f2_signal_ignored_at_start_stays_ignored() {
    // As by nohup, and by a shell for its background jobs.
    let env = ["env", "--ignore-signal=HUP,INT"];
    let mut server = Server::start_by(&env, &[]);
    let mut client = Client::acquainted(server.address());
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGHUP] {
        server.signal(signal);
        // The report is asked for later, so the signal before it was delivered.
        assert_eq!(server.report().open(), 1);
        client.round_trip("alice");
    }
    client.leave();
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn f2_last_line_counts_broken_connections() {
    let mut server = Server::start(&["--framing", "line"]);
    let mut client = Client::connect_narrow(server.address(), 2048);
    let mut sender = Client(client.0.try_clone().unwrap());
    // Far more names than the server takes in after its last line.
    let names = thread::spawn(move || sender.send_all_it_takes(&b"name\n".repeat(1000), 1 << 20));
    eventually("names are under way", || {
        (server.report().count("bytes_in") > 0).then_some(())
    });
    server.signal(Signal::SIGHUP);
    client.until_gone();
    names.join().unwrap();
    assert_eq!(server.exit().code(), Some(0));
    assert_eq!(server.log().count("every connection has finished"), 0);
    server.log().wait_for("Stopped: every session has ended", 0);
}

#[test]
fn f5_signals_that_ask_for_nothing_stop_nothing() {
    let mut scene = Scene::new(&[]);
    for signal in [
        Signal::SIGPIPE,
        Signal::SIGWINCH,
        Signal::SIGCHLD,
        Signal::SIGURG,
    ] {
        scene.signal(signal);
        scene.check_bystander();
    }
    assert_eq!(scene.report().open(), 1);
    scene.end();
}

#[test]
fn f5_a_hangup_of_the_terminal_drains() {
    let mut server = Server::start(&[]);
    let mut client = Client::acquainted(server.address());
    server.signal(Signal::SIGHUP);
    client.expect_last(GOOD_BYE);
    drop(client);
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn f6_statistics_come_at_every_log_level() {
    for level in ["off", "error", "warn", "info"] {
        let mut server = Server::start(&["--log-level", level]);
        let client = Client::acquainted(server.address());
        let report = server.report();
        assert_eq!((report.open(), report.count("accepted")), (1, 1), "{level}");
        client.leave();
        assert_eq!(server.terminate(), Some(0));
    }
}

/// Connects a client that asks for more than it ever reads, so that its output never leaves.
fn deaf_client(server: &Server) -> Client {
    let deaf = Client::connect_narrow(server.address(), 1024);
    let mut sender = Client(deaf.0.try_clone().unwrap());
    thread::spawn(move || sender.send_all_it_takes(&b"name\n".repeat(1000), 1 << 30));
    let mut before = 0;
    eventually("output is stuck", || {
        let report = server.report();
        let now = report.count("bytes_out");
        let is_stuck = report.count("bytes_held") > 0 && now == before;
        before = now;
        thread::sleep(LONG_ENOUGH_TO_MOVE);
        is_stuck.then_some(())
    });
    deaf
}

/// Output that moves at all moves within this time.
const LONG_ENOUGH_TO_MOVE: Duration = Duration::from_millis(200);
