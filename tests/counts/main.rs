//! Costs of the server that are counted, not timed, and so do not depend on the machine's load. The
//! bounds are in `thresholds.rs`.
//!
//! A tool that counts for a whole process runs two servers that differ only in the number of
//! exchanges. The difference is divided by that number, so startup, connects and shutdown cancel out.

#![cfg(target_os = "linux")]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use oneloop::{Limits, Reactor, Turn};
use oneloop_greeting::{Config, Framing, Greeter};

mod drip;
mod examples;
mod layers;
mod thresholds;

use oneloop_bench::fleet::{Fleet, Work};
use oneloop_bench::peers::{Peer, Pin, Running, connections_max};

#[test]
fn exchange_takes_two_system_calls_and_part_of_a_poll() {
    system_calls_at_most(
        "system calls per exchange",
        thresholds::SYSTEM_CALLS_PER_EXCHANGE,
        |server, rounds| exchange(server, 100, Work::rounds(100, 1, rounds)).map(drop),
        (10, 60, 100),
    );
}

#[test]
fn pipelined_names_share_system_calls() {
    system_calls_at_most(
        "system calls per pipelined exchange",
        thresholds::SYSTEM_CALLS_PER_PIPELINED_EXCHANGE,
        |server, rounds| exchange(server, 50, Work::rounds(50, 50, rounds)).map(drop),
        (10, 60, 50 * 50),
    );
}

#[test]
fn connection_takes_ten_system_calls() {
    system_calls_at_most(
        "system calls per connection",
        thresholds::SYSTEM_CALLS_PER_CONNECTION,
        |server, count| Fleet::to(server)?.converse(count, AT_ONCE).map(drop),
        (100, 1_100, 1),
    );
}

#[test]
fn connection_with_one_write_takes_nine_system_calls() {
    system_calls_at_most(
        "system calls per hurried connection",
        thresholds::SYSTEM_CALLS_PER_HURRIED_CONNECTION,
        |server, count| Fleet::to(server)?.blurt(count, AT_ONCE).map(drop),
        (100, 1_100, 1),
    );
}

#[test]
fn exchange_takes_few_instructions() {
    if let Some(reason) = lacks_release_build().or_else(|| lacks("valgrind")) {
        return skip("instructions per exchange", &reason);
    }
    let instructions = |rounds| {
        let folder = env!("CARGO_TARGET_TMPDIR");
        let out = format!("--callgrind-out-file={folder}/callgrind.%p");
        let peer = Peer::ours_under("valgrind", &["--tool=callgrind", &out], SERVER);
        let work = |server| exchange(server, 50, Work::rounds(50, 1, rounds)).map(drop);
        let output = output_during(&peer, work);
        let collected = output
            .iter()
            .find_map(|line| line.split_once("Collected :"));
        let (_, number) = collected.expect("callgrind prints its total");
        number.trim().parse::<f64>().expect("a number")
    };
    at_most_in_one_of_several(
        "instructions per exchange",
        thresholds::INSTRUCTIONS_PER_EXCHANGE,
        || (instructions(120) - instructions(20)) / 5_000.0,
    );
}

#[test]
fn exchange_allocates_nothing() {
    let mut reactor = greeting_reactor();
    let server = reactor
        .listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .expect("a free port");
    let stopper = reactor.stopper();
    let clients = thread::spawn(move || {
        // One step opens each connection. The warm-up precedes the counted steps, which end before
        // the clients do.
        let exchanged = exchange(server, 50, Work::rounds(50, 1, 1_000)).map(drop);
        stopper.stop();
        exchanged
    });
    turn_until_stepped(&mut reactor, 10_000);
    let counted = allocation_counter::measure(|| turn_until_stepped(&mut reactor, 20_000));
    let steps = reactor.counters().steps();
    reactor.run().expect("the loop runs to its end");
    clients.join().expect("no panic").expect("all answers came");
    assert!(steps >= 20_000, "only {steps} steps were counted");
    at_most(
        "allocations in 10,000 exchanges",
        counted.count_total as f64,
        thresholds::ALLOCATIONS as f64,
    );
}

#[test]
fn idle_connection_holds_only_its_slot() {
    if let Some(reason) = lacks_release_build() {
        return skip("bytes per idle connection", &reason);
    }
    // With fewer connections the slots are in the allocator's heap. When they move to a mapping of
    // their own, the freed heap would be counted for later connections.
    let (few, many) = (2_500, connections_max().min(9_000));
    if many < 2 * few {
        return skip(
            "bytes per idle connection",
            "files are limited: see `ulimit -n`",
        );
    }
    let server = start(&Peer::ours(SERVER, &[]));
    let mut fleet = Fleet::to(server.address()).expect("a poller");
    let mut occupied_by = |connections| {
        fleet.grow_and_exchange(connections)?;
        server.memory()
    };
    let before = occupied_by(few).expect("all are greeted").anonymous;
    let after = occupied_by(many).expect("all are greeted").anonymous;
    // Memory is counted in pages, and the last one is begun only.
    let added = after.saturating_sub(before).saturating_sub(PAGE);
    at_most(
        "bytes per idle connection",
        added as f64 / (many - few) as f64,
        thresholds::BYTES_PER_IDLE_CONNECTION,
    );
}

#[test]
fn silent_clients_do_not_wake_the_server() {
    let server = start(&Peer::ours(SERVER, &[]));
    let many = 5_000.min(connections_max());
    let _silent = Fleet::open(server.address(), many).expect("all are greeted");
    let before = server.waits().expect("it runs");
    // No synchronisation: nothing must happen within this time.
    thread::sleep(Duration::from_secs(2));
    let waits = server.waits().expect("it runs") - before;
    at_most(
        "wake-ups in two idle seconds",
        waits as f64,
        thresholds::WAKE_UPS_WHILE_IDLE as f64,
    );
}

/// Opens connections and performs `work` on them.
fn exchange(server: SocketAddr, connections: usize, work: Work) -> io::Result<Fleet> {
    let mut fleet = Fleet::open(server, connections)?;
    fleet.exchange(work)?;
    Ok(fleet)
}

/// Asserts the system calls per unit of work.
///
/// Runs `work` `less` and `more` times and divides the difference by the `units` of each. Prints a
/// message if system calls cannot be counted.
fn system_calls_at_most(
    what: &str,
    bound: f64,
    work: impl Fn(SocketAddr, u64) -> io::Result<()>,
    (less, more, units): (u64, u64, u64),
) {
    if let Some(reason) = lacks("strace").or_else(strace_is_forbidden) {
        return skip(what, &reason);
    }
    let peer = Peer::ours_under("strace", &["-f", "-c", "--"], SERVER);
    let calls = |times| total_calls(&output_during(&peer, |server| work(server, times)));
    at_most_in_one_of_several(what, bound, || {
        (calls(more) - calls(less)) / ((more - less) * units) as f64
    });
}

/// Sums the fourth column of `strace -c`, without its total line.
fn total_calls(summary: &[String]) -> f64 {
    let calls = |line: &String| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (share, name) = (fields.first()?, fields.last()?);
        let is_call = share.parse::<f64>().is_ok() && !NOT_COUNTED.contains(name);
        is_call.then(|| fields.get(3)?.parse::<f64>().ok())?
    };
    let total: f64 = summary.iter().filter_map(calls).sum();
    assert!(total > 0.0, "no summary in {summary:?}");
    total
}

/// Runs a server during `work` and returns the output of the server and of its tool at shutdown.
fn output_during(peer: &Peer, work: impl FnOnce(SocketAddr) -> io::Result<()>) -> Vec<String> {
    let server = start(peer);
    work(server.address()).expect("all answers come");
    server.terminate().expect("it stops on request")
}

fn start(peer: &Peer) -> Running {
    peer.start(Pin::Anywhere).expect("it has been built")
}

fn greeting_reactor() -> Reactor<Greeter> {
    let config = Config {
        framing: Framing::Line,
        ..Config::default()
    };
    Reactor::new(Greeter::new(config), Limits::default()).expect("a poller")
}

fn turn_until_stepped(reactor: &mut Reactor<Greeter>, steps: u64) {
    while reactor.counters().steps() < steps {
        if reactor.turn().expect("the loop turns") != Turn::Running {
            return;
        }
    }
}

fn at_most(what: &str, counted: f64, bound: f64) {
    print(&format!("{what}: {counted:.3} (at most {bound})"));
    assert!(counted <= bound, "{what}: {counted}, more than {bound}");
}

/// Asserts that the least of several counts is within `bound`.
///
/// The scheduler decides how many events a poll returns, which can only add to the cost of the
/// code.
fn at_most_in_one_of_several(what: &str, bound: f64, count: impl Fn() -> f64) {
    let mut least = count();
    for _ in 1..ATTEMPTS {
        if least > bound {
            least = least.min(count());
        }
    }
    at_most(what, least, bound);
}

fn lacks(tool: &str) -> Option<String> {
    let there = oneloop_bench::peers::is_on_path(tool);
    (!there).then(|| format!("there is no `{tool}`; on Debian `apt-get install {tool}`"))
}

/// Returns an explanation if strace does not work, as in many containers.
fn strace_is_forbidden() -> Option<String> {
    let traced = std::process::Command::new("strace")
        .args(["-c", "true"])
        .output();
    let works = traced.is_ok_and(|output| output.status.success());
    (!works).then(|| "this system forbids tracing".to_owned())
}

/// Returns an explanation in a debug build, where this figure is not meaningful.
fn lacks_release_build() -> Option<String> {
    cfg!(debug_assertions)
        .then(|| "this is a debug build; run `cargo test --release --test counts`".to_owned())
}

fn skip(what: &str, reason: &str) {
    print(&format!("{what} skipped: {reason}"));
}

/// Prints a line. The test harness captures `eprintln!`.
fn print(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// In bytes. Where pages are larger, a server's memory is not counted more closely.
const PAGE: u64 = 4096;
const SERVER: &str = env!("CARGO_BIN_EXE_greet-server");
const AT_ONCE: u64 = 50;
const ATTEMPTS: usize = 3;
/// The total line, and fcntl, which std calls only in debug builds before it closes a descriptor.
const NOT_COUNTED: &[&str] = if cfg!(debug_assertions) {
    &["total", "fcntl"]
} else {
    &["total"]
};
