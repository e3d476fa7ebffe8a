//! Group E: state and the loop itself, and D4, which needs the same means.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oneloop::{
    CloseReason, Context, EndReason, Event, Limits, Next, Peer, Service, ServiceContext, WhenFull,
};
use oneloop_greeting::{Config, Greeter, Session};

use crate::common::descriptors::affordable;
use crate::common::{Client, FULL, GOOD_BYE, Inside, Scene, Server, TOO_SLOW, eventually, reply};
use crate::hostile::faults::Shared;

#[test]
fn d4_passing_accept_errors_are_counted() {
    let plan = Shared::default();
    let inside = Inside::start(Greeter::default(), Limits::default(), plan.wrap());
    for (number, errno) in PASSING.into_iter().enumerate() {
        plan.change(|plan| plan.accepts.push_back(errno));
        Client::acquainted(inside.address()).leave();
        assert_eq!(inside.look().counters.accept_failures(), number as u64 + 1);
    }
    inside.end();
}

#[test]
fn d4_failing_accept_does_not_spin_and_recovers() {
    let plan = Shared::default();
    let inside = Inside::start(Greeter::default(), Limits::default(), plan.wrap());
    let mut bystander = Client::acquainted(inside.address());
    plan.change(|plan| plan.all_accepts = Some(EPROTO));
    let mut waiting = inside.client();
    eventually("accepting has failed", || {
        (inside.look().counters.accept_failures() > 0).then_some(())
    });
    let before = inside.look().counters.turns();
    thread::sleep(Duration::from_millis(300));
    let turns = inside.look().counters.turns() - before;
    assert!(turns < 200, "spins: {turns} turns");
    bystander.round_trip("bystander");
    plan.change(|plan| plan.all_accepts = None);
    waiting.expect_welcome();
    waiting.leave();
    bystander.leave();
    inside.end();
}

#[test]
fn d4_queued_clients_are_served_after_exhaustion() {
    let plan = Shared::default();
    let limits = Limits {
        when_full: WhenFull::Queue,
        ..Limits::default()
    };
    let inside = Inside::start(Greeter::default(), limits, plan.wrap());
    for (number, errno) in EXHAUSTED.into_iter().enumerate() {
        plan.change(|plan| plan.accepts.push_back(errno));
        Client::acquainted(inside.address()).leave();
        assert_eq!(inside.look().counters.accept_exhausted(), number as u64 + 1);
    }
    inside.end();
}

#[test]
fn d4_clients_are_refused_during_exhaustion() {
    let plan = Shared::default();
    let inside = Inside::start(Greeter::default(), Limits::default(), plan.wrap());
    for errno in EXHAUSTED {
        plan.change(|plan| plan.accepts.push_back(errno));
        inside.client().expect_before_any_end(FULL);
        Client::acquainted(inside.address()).leave();
    }
    let look = inside.end();
    assert_eq!(
        look.counters.ended(EndReason::ServerFull),
        EXHAUSTED.len() as u64
    );
}

#[test]
fn e1_events_for_ended_connections_are_ignored() {
    let plan = Shared::default();
    let inside = Inside::start(Greeter::default(), Limits::default(), plan.wrap());
    for _ in 0..5 {
        Client::acquainted(inside.address()).leave();
    }
    inside.wait_until_empty();
    let mut bystander = Client::acquainted(inside.address());
    plan.change(|plan| plan.replay = true);
    for _ in 0..20 {
        bystander.round_trip("bystander");
    }
    plan.change(|plan| plan.replay = false);
    bystander.leave();
    let look = inside.end();
    assert!(look.counters.stale_events() > 0, "{look:?}");
    assert_eq!(look.counters.ended(EndReason::Completed), 6);
}

#[test]
fn e2_deadline_does_not_hit_the_next_connection() {
    let scene = Scene::brief(&["--name-timeout", "2s"]);
    let first = scene.welcomed();
    thread::sleep(Duration::from_millis(700));
    drop(first);
    scene.wait_for_baseline();
    let began = Instant::now();
    let mut second = scene.welcomed();
    second.expect_last(TOO_SLOW);
    assert!(
        began.elapsed() >= Duration::from_millis(1990),
        "{:?}",
        began.elapsed()
    );
    drop(second);
    scene.end();
}

#[test]
fn e3_sessions_woken_while_closing_end_once() {
    struct Restless(Vec<oneloop::SessionId>);
    impl Service for Restless {
        type Session = ();
        fn open(&mut self, peer: Peer, cx: &mut ServiceContext) {
            cx.wake(peer.id);
            self.0.push(peer.id);
        }
        fn step(&mut self, (): &mut (), _: Event, cx: &mut Context<'_>) -> Next {
            for &id in &self.0 {
                cx.wake(id);
            }
            cx.wake(cx.id());
            Next::Close(CloseReason::Completed)
        }
    }
    let inside = Inside::start(Restless(Vec::new()), Limits::default(), |os| os);
    for round in 0..100 {
        let mut client = inside.client();
        match round % 3 {
            0 => client.expect_end(),
            1 => client.reset(),
            _ => drop(client),
        }
    }
    let look = inside.end();
    assert_eq!(look.counters.ended_in_all(), 100);
}

#[test]
fn e5_unregistrable_connection_is_closed_alone() {
    let plan = Shared::default();
    let inside = Inside::start(Greeter::default(), Limits::default(), plan.wrap());
    let mut bystander = Client::acquainted(inside.address());
    plan.change(|plan| plan.registrations = 100);
    for _ in 0..100 {
        let gone = inside.client().until_gone();
        assert_eq!(gone, b"");
    }
    bystander.round_trip("bystander");
    bystander.leave();
    Client::acquainted(inside.address()).leave();
    let complaints = inside
        .log()
        .into_iter()
        .filter(|line| line.contains("registered"));
    assert!((1..=5).contains(&complaints.count()), "{:?}", inside.log());
    let look = inside.end();
    assert_eq!(look.counters.ended(EndReason::RegisterFailed), 100);
}

#[test]
fn e6_a_session_that_panics_ends_alone() {
    let inside = Inside::start(Panicky::default(), Limits::default(), |os| os);
    let mut bystander = Client::acquainted(inside.address());
    for _ in 0..10 {
        let mut victim = Client::acquainted(inside.address());
        victim.send("alice\npanic\nbob\n");
        assert_eq!(victim.until_gone(), b"");
        bystander.round_trip("bystander");
    }
    bystander.leave();
    let look = inside.end();
    assert_eq!(look.counters.ended(EndReason::Panicked), 10);
}

#[test]
fn e6_panic_in_open_or_closed_is_contained() {
    let panicky = Panicky::default();
    let (open, closed) = (Arc::clone(&panicky.open), Arc::clone(&panicky.closed));
    let inside = Inside::start(panicky, Limits::default(), |os| os);
    let mut bystander = Client::acquainted(inside.address());
    open.store(true, Ordering::Release);
    // The reset can come before connecting has returned.
    match Client::try_connect(inside.address()) {
        Ok(mut client) => assert_eq!(client.until_gone(), b""),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    let opened = || inside.look().counters.ended(EndReason::Panicked);
    assert_eq!(eventually("it ends", || (opened() > 0).then(opened)), 1);
    open.store(false, Ordering::Release);
    closed.store(true, Ordering::Release);
    Client::acquainted(inside.address()).leave();
    bystander.round_trip("bystander");
    bystander.leave();
    let look = inside.end();
    assert_eq!(look.counters.ended(EndReason::Panicked), 1);
    assert_eq!(look.counters.ended(EndReason::Completed), 2);
}

#[test]
fn e7_a_storm_of_signals_loses_no_wake_up() {
    let mut server = Server::start(&[]);
    let mut client = Client::acquainted(server.address());
    for _ in 0..20 {
        for _ in 0..100 {
            server.signal(Signal::SIGUSR1);
        }
        client.round_trip("alice");
    }
    // Were one lost now, these would wait for ever.
    for _ in 0..20 {
        server.report();
    }
    server.signal(Signal::SIGTERM);
    for _ in 0..100 {
        server.signal(Signal::SIGUSR1);
    }
    client.expect_last(GOOD_BYE);
    drop(client);
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn e8_work_beyond_the_budget_is_finished_later() {
    let mut scene = Scene::new(&["--framing", "line"]);
    scene.freeze();
    let mut client = scene.client();
    client.send("x\n".repeat(30_000));
    scene.thaw();
    client.expect_welcome();
    client.expect(reply("x").repeat(30_000));
    scene.check_bystander();
    client.leave();
    scene.end();
}

#[test]
fn e9_input_in_time_is_answered_after_a_sleep() {
    let scene = Scene::brief(&["--name-timeout", "1s"]);
    let mut client = Client::acquainted(scene.address());
    let mut silent = scene.welcomed();
    scene.freeze();
    client.send("alice\n");
    thread::sleep(Duration::from_millis(1500));
    scene.thaw();
    client.expect(reply("alice"));
    silent.expect_last(TOO_SLOW);
    drop((client, silent));
    scene.end();
}

#[test]
fn e9_all_input_in_time_is_answered_later() {
    let scene = Scene::brief(&["--name-timeout", "6s", "--framing", "line"]);
    let mut clients: Vec<_> = (0..affordable(2000)).map(|_| scene.client()).collect();
    for client in &mut clients {
        client.expect_welcome();
    }
    scene.freeze();
    for client in &mut clients {
        client.send("alice\n");
    }
    thread::sleep(Duration::from_millis(6500));
    scene.thaw();
    for client in &mut clients {
        client.expect(reply("alice"));
    }
    drop(clients);
    scene.end();
}

#[test]
fn e9_input_before_interrupted_poll_is_in_time() {
    let plan = Shared::default();
    let greeter = Greeter::new(Config {
        name_timeout: Duration::from_secs(1),
        ..Config::default()
    });
    let inside = Inside::start(greeter, Limits::default(), plan.wrap());
    let mut client = Client::acquainted(inside.address());
    plan.change(|plan| plan.doze = Some(Duration::from_millis(1500)));
    inside.look();
    client.send("alice\n");
    client.expect(reply("alice"));
    client.leave();
    inside.end();
}

#[test]
fn e10_closed_log_pipe_does_not_end_the_server() {
    let (mut server, address) = spawn_and_read_one_line();
    drop(server.stderr.take());
    for _ in 0..20 {
        Client::acquainted(address).leave();
    }
    end_politely(&mut server);
}

#[test]
fn e10_full_disk_does_not_end_the_server() {
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("it takes no byte");
    let mut server = command()
        .stderr(full)
        .spawn()
        .expect("starting greet-server");
    let address = eventually("it listens", || listening_port(server.id()));
    for _ in 0..20 {
        Client::acquainted(address).leave();
    }
    end_politely(&mut server);
}

#[test]
fn e10_a_server_without_standard_streams_serves() {
    let mut server = Command::new("sh")
        .args([
            "-c",
            "exec \"$0\" --listen 127.0.0.1:0 <&- >&- 2>&-",
            PROGRAM,
        ])
        .spawn()
        .expect("starting greet-server");
    let address = eventually("it listens", || listening_port(server.id()));
    Client::acquainted(address).leave();
    end_politely(&mut server);
}

/// A greeter that panics on request.
#[derive(Default)]
struct Panicky {
    greeter: Greeter,
    open: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
}

impl Service for Panicky {
    type Session = Session;

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> Session {
        assert!(!self.open.load(Ordering::Acquire), "as planned");
        self.greeter.open(peer, cx)
    }

    fn step(&mut self, session: &mut Session, event: Event, cx: &mut Context<'_>) -> Next {
        assert!(!contains_panic(cx.input()), "as planned");
        self.greeter.step(session, event, cx)
    }

    fn closed(&mut self, _: Session, _: Peer, _: EndReason, _: &mut ServiceContext) {
        assert!(!self.closed.load(Ordering::Acquire), "as planned");
    }
}

fn contains_panic(input: &[u8]) -> bool {
    input.windows(5).any(|five| five == b"panic")
}

#[test]
fn idle_reactor_when_stopped_stops_at_once() {
    let inside = Inside::start(Greeter::default(), Limits::default(), |os| os);
    inside.stop();
    assert_eq!(inside.join().expect("a polite end").aborted, 0);
}

fn command() -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["--listen", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Reads one line of the log, as `head -1` does.
fn spawn_and_read_one_line() -> (Child, SocketAddr) {
    let mut server = command()
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting greet-server");
    let mut line = String::new();
    let mut reader = BufReader::with_capacity(1, server.stderr.take().expect("a pipe"));
    reader.read_line(&mut line).expect("a line");
    server.stderr = Some(reader.into_inner());
    let (_, rest) = line.split_once("(listening on ").expect("the address");
    let address = rest.trim_end().trim_end_matches(')').parse();
    (server, address.expect("an address"))
}

/// Returns the address on which a process listens, if it does yet, by the number of its socket.
fn listening_port(pid: u32) -> Option<SocketAddr> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| {
            let target = target.into_os_string().into_string().ok()?;
            Some(
                target
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        })
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let mut rows = table
        .lines()
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| {
        row.get(3) == Some(&LISTENING) && sockets.iter().any(|socket| row[9] == socket)
    })?;
    let (_, port) = row[1].split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}

#[track_caller]
fn end_politely(server: &mut Child) {
    let pid = Pid::from_raw(i32::try_from(server.id()).expect("a process id"));
    kill(pid, Signal::SIGTERM).expect("sending a signal");
    let exit = eventually("the server has ended", || {
        server.try_wait().expect("waiting")
    });
    assert_eq!(exit.code(), Some(0));
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_greet-server");
/// The state of a listening socket in the kernel's table.
const LISTENING: &str = "0A";
const EPROTO: i32 = 71;
/// EPERM, EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH, ETIMEDOUT,
/// EOPNOTSUPP.
const PASSING: [i32; 10] = [1, 4, 103, EPROTO, 100, 101, 112, 113, 110, 95];
/// EMFILE, ENFILE, ENOBUFS, ENOMEM.
const EXHAUSTED: [i32; 4] = [24, 23, 105, 12];
