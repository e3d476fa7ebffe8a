use std::thread;
use std::time::{Duration, Instant};

use oneloop_book::lab::{Client, Program, QUESTION};

use super::{RUNS, assert_mended, assert_shown};

/// The deadline of the server under test.
const DEADLINE_MS: u64 = 1000;

// ANCHOR: hostile
/// Sends a byte of a name now and then, and never a line feed. Returns `true` if it is still
/// connected after three deadlines.
fn drips(server: &Program) -> bool {
    let mut client = Client::connect(server.address());
    client.read_until(QUESTION).unwrap();
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(3 * DEADLINE_MS) {
        let ended = client.send("x").is_err() || !client.arrived().is_empty();
        if ended {
            return false;
        }
        thread::sleep(Duration::from_millis(20)); // the pace of the attack
    }
    true
}
// ANCHOR_END: hostile

/// Runs twenty hostile clients against one server at the same time.
fn twenty_drip(variant: &str) -> Vec<bool> {
    let server = Program::start("ch09", variant, &[&DEADLINE_MS.to_string()]);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..RUNS).map(|_| scope.spawn(|| drips(&server))).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    })
}

#[test]
fn dripping_bytes_put_off_the_deadline() {
    let mut runs = twenty_drip("broken").into_iter();
    assert_shown(|| runs.next().unwrap());
}

#[test]
fn dripping_bytes_do_not_put_off_the_deadline_of_a_name() {
    let mut runs = twenty_drip("mended").into_iter();
    assert_mended(|| runs.next().unwrap());
}

#[test]
fn silent_client_is_told_why_it_is_closed() {
    let server = Program::start("ch09", "mended", &["50"]);
    let mut client = Client::connect(server.address());
    client.read_until(QUESTION).unwrap();
    let (text, error) = client.read_to_end();
    assert_eq!(text, b"You took too long. Good bye!\n");
    assert!(error.is_none(), "{error:?}");
}
