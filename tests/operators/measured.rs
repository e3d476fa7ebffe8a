//! What the server measures of itself, and what operators can change.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use oneloop::inspect::{LoopTimes, SlowCause};
use oneloop::{
    CloseReason, Context, Event, Limits, Next, Peer, Reactor, Service, ServiceContext, Turn, Watch,
};

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
    let sending = thread::spawn(move || {
        while stopped.try_recv().is_err() {
            sender.send(&names);
        }
        sender.send("exit\n");
    });
    let reading = thread::spawn(move || client.until_gone());
    eventually("a turn is interrupted by a stop", || {
        server.freeze();
        thread::sleep(Duration::from_millis(50));
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
    assert!(samples.len() < 100, "{} series", samples.len());
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
    client.expect_last("up ready 100%\n");
}

/// Holds up the loop for 150 ms: it computes for the byte `c`, and sleeps for `s`.
struct Slow;

impl Service for Slow {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, (): &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        let input = cx.input();
        cx.consume(input.len());
        match input {
            b"c" => {
                let began = Instant::now();
                while began.elapsed() < HELD_UP {}
            }
            b"s" => thread::sleep(HELD_UP),
            _ => {}
        }
        cx.write(input);
        match event {
            Event::Eof => Next::Close(CloseReason::Eof),
            _ => Next::Read {
                until: cx.after(crate::common::PATIENCE),
            },
        }
    }
}

/// Returns what a loop has measured in which a session has sent this byte.
fn measured(byte: u8) -> LoopTimes {
    let mut reactor = Reactor::new(Slow, Limits::default()).expect("a reactor");
    reactor.watch(Watch::new().slow_turns(HELD_UP / 2));
    let address = reactor.listen(([127, 0, 0, 1], 0).into()).expect("a port");
    let handle = reactor.handle();
    let client = thread::spawn(move || {
        let mut bystander = Client::connect(address);
        bystander.send("x");
        bystander.expect("x");
        let mut client = Client::connect(address);
        client.send([byte]);
        client.expect([byte]);
        handle.stop();
        drop((bystander, client));
    });
    while reactor.turn().expect("a turn") == Turn::Running {}
    client.join().expect("no panic");
    reactor.times().expect("it measures").clone()
}

#[test]
fn turn_that_a_step_has_held_up_is_listed_with_its_cause() {
    if std::fs::metadata("/proc/thread-self/schedstat").is_err() {
        return println!("skipped: this system does not show a thread's times");
    }
    for (byte, causes) in [
        // A busy machine may take the processor away.
        (b'c', [SlowCause::Computing, SlowCause::Starved]),
        (b's', [SlowCause::Blocked; 2]),
    ] {
        let times = measured(byte);
        let held_up = times.slowest().iter().find(|turn| turn.took >= HELD_UP);
        let turn = held_up.expect("the turn is listed");
        assert!(causes.contains(&turn.cause), "{turn:?}");
        assert_eq!((turn.steps, turn.last), (1, Some(2)), "{turn:?}");
        assert!(times.turns().longest() >= HELD_UP);
    }
}

const HELD_UP: Duration = Duration::from_millis(150);
