use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

use oneloop_book::lab::{Client, Program, QUESTION};

use super::{assert_mended, assert_shown};

const REPLY: &str = "Hello Alice!\nWhat's your name?";

// ANCHOR: hostile
/// Sends names without reading until the server takes no more or 4 MiB are sent. Then reads.
/// Returns `true` if replies are missing.
fn reads_late(variant: &str) -> bool {
    let (received, expected) = replies_of_a_late_reader(variant);
    received < expected
}

/// Returns how many bytes of replies arrive, and how many should.
fn replies_of_a_late_reader(variant: &str) -> (usize, usize) {
    let server = Program::start("ch08", variant, &[]);
    let mut client = Client::connect(server.address());
    client.read_until(QUESTION).unwrap();
    let sent = send_without_reading(&mut client, 4);
    if variant == "broken" {
        client.wait_until_read(); // it reads all of it, and answers into a full socket
    }
    let received = read_all_replies(client);
    (received, sent / "Alice\n".len() * REPLY.len())
}
// ANCHOR_END: hostile

// ANCHOR: greedy
/// Sends names without reading, 4 MiB at most. Returns `true` if the server has kept more than
/// 8 MiB of replies in its memory.
fn never_reads(variant: &str) -> bool {
    let server = Program::start("ch08", variant, &[]);
    let mut client = Client::connect(server.address());
    client.read_until(QUESTION).unwrap();
    send_without_reading(&mut client, 4);
    if variant == "halfway" {
        client.wait_until_read();
    }
    server.status("VmHWM") > 8 * 1024
}
// ANCHOR_END: greedy

/// Sends whole names until the socket has taken nothing for half a second. Returns the bytes of
/// the names that are sent whole; completing the last one is left to the reader.
fn send_without_reading(client: &mut Client, mebibytes: usize) -> usize {
    use std::io::Write;
    let names = "Alice\n".repeat(1 << 14);
    let mut stream = client.stream();
    let stall = Duration::from_millis(500);
    stream.set_write_timeout(Some(stall)).unwrap();
    let mut sent = 0;
    while sent < mebibytes << 20 {
        match stream.write(&names.as_bytes()[sent % names.len()..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("sending: {error}"),
        }
    }
    sent
}

/// Reads until the server has closed, after this side has.
fn read_all_replies(mut client: Client) -> usize {
    client.stream().shutdown(Shutdown::Write).unwrap();
    client.read_to_end().0.len()
}

#[test]
fn replies_are_lost_when_a_write_is_taken_for_complete() {
    assert_shown(|| reads_late("broken"));
}

#[test]
fn most_replies_are_lost_when_a_write_is_taken_for_complete() {
    let (received, expected) = replies_of_a_late_reader("broken");
    assert!(received * 2 < expected, "{received} of {expected} bytes");
}

#[test]
fn no_reply_is_lost_with_back_pressure() {
    assert_mended(|| reads_late("mended"));
}

#[test]
fn replies_fill_the_memory_without_back_pressure() {
    assert_shown(|| never_reads("halfway"));
}

#[test]
fn memory_stays_small_with_back_pressure() {
    assert_mended(|| never_reads("mended"));
}
