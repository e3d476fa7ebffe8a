use oneloop_book::lab::{Client, Program, QUESTION};

use super::{assert_mended, assert_shown};

// ANCHOR: hostile
/// Holds a conversation of three names. Returns `true` if a second client, which connected
/// before the first name, has received nothing after the last reply.
fn occupies_the_server(variant: &str) -> bool {
    let server = Program::start("ch03", variant, &[]);
    let mut first = Client::connect(server.address());
    first.read_until(QUESTION).unwrap();
    let mut second = Client::connect(server.address());
    if variant == "mended" {
        second.read_until(QUESTION).unwrap();
        return false;
    }
    for _ in 0..3 {
        first.exchange("Alice").unwrap();
    }
    let is_waiting = second.arrived().is_empty();
    drop(first);
    second.read_until(QUESTION).unwrap(); // its turn comes when the first has left
    is_waiting
}
// ANCHOR_END: hostile

#[test]
fn second_client_waits_without_threads() {
    assert_shown(|| occupies_the_server("broken"));
}

#[test]
fn second_client_is_served_with_threads() {
    assert_mended(|| occupies_the_server("mended"));
}

#[test]
fn three_clients_are_served_at_once_with_threads() {
    let server = Program::start("ch03", "mended", &[]);
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(server.address())).collect();
    for client in &mut clients {
        client.read_until(QUESTION).unwrap();
    }
    for client in clients.iter_mut().rev() {
        assert_eq!(
            client.exchange("Bob").unwrap(),
            "Hello Bob!\nWhat's your name?"
        );
    }
}
