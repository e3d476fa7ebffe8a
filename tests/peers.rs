//! Tests that the servers compared in benchmarks implement the same wire, byte for byte. Otherwise
//! a comparison has no meaning.

#![cfg(unix)]

mod common;

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, GOOD_BYE, PATIENCE, reply};
use oneloop_bench::peers::{Peer, Pin, Running, Unavailable};

#[test]
fn c_epoll_peer_implements_the_wire() {
    check_wire(&Peer::C_EPOLL);
}

#[test]
fn libevent_peer_implements_the_wire() {
    check_wire(&Peer::LIBEVENT);
}

#[test]
fn libuv_peer_implements_the_wire() {
    check_wire(&Peer::LIBUV);
}

#[test]
fn go_peer_implements_the_wire() {
    check_wire(&Peer::GO);
}

#[test]
fn tutorial_peer_implements_the_wire() {
    check_wire(&Peer::TUTORIAL);
}

#[test]
fn threads_peer_implements_the_wire() {
    check_wire(&Peer::THREADS);
}

#[test]
fn tokio_peer_implements_the_wire() {
    check_wire(&Peer::TOKIO);
}

#[test]
fn mio_example_peer_implements_the_wire() {
    check_wire(&Peer::MIO_EXAMPLE);
}

#[test]
fn missing_program_is_an_error_with_its_path() {
    let error = Peer::ours("/nowhere/greet-server", &[]).start(Pin::Anywhere);
    let Err(Unavailable::Failed(reason)) = error else {
        panic!("{error:?}");
    };
    assert!(reason.contains("/nowhere/greet-server"), "{reason}");
}

#[test]
fn pinned_peer_runs_on_its_core() {
    let Some(core) = allowed_cores("self").and_then(|cores| first_number(&cores)) else {
        return skip("pinning", "/proc does not list the allowed cores");
    };
    let running = Peer::THREADS.start(Pin::Core(core));
    let running = running.expect("a peer in Rust needs nothing but this package");
    if running.pinned_to().is_none() {
        return skip("pinning", "there is no `taskset`; install util-linux");
    }
    let cores = allowed_cores(&running.pid().to_string());
    assert_eq!(cores, Some(core.to_string()));
}

#[test]
fn own_server_address_is_parsed_from_log_line() {
    let script =
        "echo starting; echo 'INFO Waiting for connection... (listening on 127.0.0.1:61)' >&2; cat";
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join("prints-its-address.sh");
    std::fs::write(&program, script).expect("the target folder can be written to");
    let peer = Peer::program("script", "sh", &[&program.display().to_string()]);
    let running = start(&peer).expect("every Unix has a shell");
    assert_eq!(running.address(), SocketAddr::from(([127, 0, 0, 1], 61)));
}

fn check_wire(peer: &Peer) {
    let Some(running) = start(peer) else { return };
    let address = running.address();
    answers_a_name_in_two_parts(address);
    takes_off_one_carriage_return(address);
    answers_pipelined_names_in_order(address);
    answers_earlier_names_before_good_bye(address);
    answers_names_before_end_of_stream(address);
    survives_a_peer_that_resets(address);
    keeps_replies_that_are_not_read(address);
    measures(&running);
    assert!(
        running.ends_with_its_stdin(),
        "{} does not end",
        peer.name()
    );
}

fn answers_a_name_in_two_parts(address: SocketAddr) {
    let mut client = Client::welcomed(address);
    let cut = "Zoë".len() - 1;
    client.send(&"Zoë".as_bytes()[..cut]);
    // An exchange on another connection: by then a single-threaded server has read the first part.
    let mut other = Client::welcomed(address);
    other.send(b"Ann\n");
    other.expect(reply("Ann"));
    client.send(&"Zoë".as_bytes()[cut..]);
    client.send(b"\nBo");
    client.expect(reply("Zoë"));
    client.send(b"b\n");
    client.expect(reply("Bob"));
}

fn takes_off_one_carriage_return(address: SocketAddr) {
    let mut client = Client::welcomed(address);
    client.send(b"Ann\r\nBob\r\r\nC\rarol\n");
    client.expect(reply("Ann"));
    client.expect(reply("Bob\r"));
    client.expect(reply("C\rarol"));
    client.send(b"Dan\r");
    client.send(b"\n");
    client.expect(reply("Dan"));
}

fn answers_pipelined_names_in_order(address: SocketAddr) {
    let mut client = Client::welcomed(address);
    let (asked, answered) = conversation(50);
    client.send(asked.as_bytes());
    client.expect(&answered);
    let long = "n".repeat(1000);
    client.send(format!("{long}\n").as_bytes());
    client.expect(reply(&long));
}

fn answers_earlier_names_before_good_bye(address: SocketAddr) {
    let mut client = Client::welcomed(address);
    client.send(b"Ann\nexits\nexit\r\n");
    client.expect(reply("Ann"));
    client.expect(reply("exits") + GOOD_BYE);
    client.expect_end();
}

fn answers_names_before_end_of_stream(address: SocketAddr) {
    let mut client = Client::welcomed(address);
    client.send(b"Ann\nBob\n");
    client.finish();
    client.expect(reply("Ann") + &reply("Bob"));
    client.expect_end();
    let mut silent = Client::welcomed(address);
    silent.finish();
    silent.expect_end();
}

fn survives_a_peer_that_resets(address: SocketAddr) {
    let resetting = TcpStream::connect(address).expect("it listens");
    let mut bystander = Client::welcomed(address);
    // Unread input at close makes the kernel send a reset.
    resetting.peek(&mut [0]).expect("the welcome comes");
    drop(resetting);
    bystander.send(b"Ann\n");
    bystander.expect(reply("Ann"));
    Client::welcomed(address).send(b"half a na");
    bystander.send(b"Bob\n");
    bystander.expect(reply("Bob"));
}

/// Sends until the server stops reading or all is sent, and only then reads.
///
/// The replies exceed the kernel's buffers, so every peer handles a short write.
fn keeps_replies_that_are_not_read(address: SocketAddr) {
    let mut client = Client::welcomed(address);
    let (asked, answered) = conversation(300_000);
    let sent = send_until_it_stalls(&client, asked.as_bytes());
    let mut reader = Client(client.0.try_clone().expect("a free descriptor"));
    let rest = thread::spawn(move || {
        client.send(&asked.as_bytes()[sent..]);
        client.send(b"exit\n");
    });
    reader.expect(&answered);
    reader.expect(GOOD_BYE);
    reader.expect_end();
    rest.join().expect("all could be sent");
}

fn measures(running: &Running) {
    if !cfg!(target_os = "linux") {
        return;
    }
    let memory = running.memory().expect("it runs");
    assert!(memory.anonymous > 0 && memory.anonymous <= memory.resident);
    let before = running.cpu_time().expect("it runs");
    let (asked, answered) = conversation(1000);
    let mut client = Client::welcomed(running.address());
    let started = Instant::now();
    while running.cpu_time().expect("it runs") == before {
        assert!(started.elapsed() < PATIENCE, "work takes no time");
        client.send(asked.as_bytes());
        client.expect(&answered);
    }
}

/// Starts a peer. Prints a message if it is not available here.
fn start(peer: &Peer) -> Option<Running> {
    match peer.start(Pin::Anywhere) {
        Ok(running) => Some(running),
        Err(Unavailable::Skipped(reason)) => {
            skip(peer.name(), &reason);
            None
        }
        Err(Unavailable::Failed(reason)) => panic!("{}: {reason}", peer.name()),
    }
}

fn skip(what: &str, reason: &str) {
    // The test harness captures `eprintln!`.
    let _ = writeln!(io::stderr(), "{what} skipped: {reason}");
}

fn allowed_cores(process: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let cores = |line: &str| line.strip_prefix("Cpus_allowed_list:").map(str::to_owned);
    status
        .lines()
        .find_map(cores)
        .map(|cores| cores.trim().to_owned())
}

fn first_number(list: &str) -> Option<usize> {
    list.split([',', '-']).next()?.parse().ok()
}

/// Returns the input for that many different names, and the expected output.
fn conversation(names: usize) -> (String, String) {
    let asked = (0..names).map(|n| format!("name-{n}\n")).collect();
    let answer = |n| reply(&format!("name-{n}"));
    (asked, (0..names).map(answer).collect())
}

/// Sends until the server takes nothing for a while, and returns how many bytes it took.
fn send_until_it_stalls(client: &Client, bytes: &[u8]) -> usize {
    let mut stream = &client.0;
    stream.set_write_timeout(Some(STALL)).expect("not zero");
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("cannot send: {error}"),
        }
    }
    stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
    sent
}

/// How long a server must accept no bytes to count as stalled. A slow server passes the same
/// checks, which then prove less.
const STALL: Duration = Duration::from_millis(300);
