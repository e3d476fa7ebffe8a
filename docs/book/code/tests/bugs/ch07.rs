use oneloop_book::lab::{Client, Program, QUESTION};

use super::{assert_mended, assert_shown};

const NAMES: usize = 500;
const REPLY: &str = "Hello Alice!\nWhat's your name?";

// ANCHOR: hostile
/// Sends 500 names in one write: more than one read of the server takes. Returns `true` if the
/// last reply does not come although the server has answered another client meanwhile.
fn sends_more_than_one_read(variant: &str) -> bool {
    let server = Program::start("ch07", variant, &[]);
    let mut client = Client::connect(server.address());
    let mut bystander = Client::connect(server.address());
    client.read_until(QUESTION).unwrap();
    bystander.read_until(QUESTION).unwrap();
    client.send("Alice\n".repeat(NAMES)).unwrap();
    for _ in 0..100 {
        bystander.exchange("Bob\n").unwrap();
    }
    match variant {
        "broken" => client.arrived().len() < NAMES * REPLY.len(),
        _ => (0..NAMES).any(|_| client.read_until(QUESTION).is_err()),
    }
}
// ANCHOR_END: hostile

#[test]
fn names_are_left_in_the_socket_when_it_is_read_once() {
    assert_shown(|| sends_more_than_one_read("broken"));
}

#[test]
fn all_names_are_answered_when_the_socket_is_drained() {
    assert_mended(|| sends_more_than_one_read("mended"));
}

#[test]
fn one_more_byte_brings_the_next_edge() {
    let server = Program::start("ch07", "broken", &[]);
    let mut client = Client::connect(server.address());
    client.read_until(QUESTION).unwrap();
    client.send("Alice\n".repeat(NAMES)).unwrap();
    let mut edges = 1;
    let mut replies = 0;
    while replies < NAMES {
        let in_reach = (1024 * edges / "Alice\n".len()).min(NAMES + edges - 1);
        while replies < in_reach {
            client.read_until(QUESTION).unwrap();
            replies += 1;
        }
        client.send("Alice\n").unwrap();
        edges += 1;
    }
    assert!(edges > 2, "{edges} edges");
}
