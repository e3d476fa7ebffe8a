use std::net::TcpStream;

use oneloop_book::lab::{Client, Program, QUESTION, eventually};

use super::{assert_mended, assert_shown};

const LIMIT: &str = "ulimit -n 32";

// ANCHOR: hostile
/// Opens more connections than the server has descriptors. Returns `true` if a client that was
/// there before loses its connection by that.
fn takes_all_descriptors(variant: &str) -> bool {
    let server = Program::start_limited(LIMIT, "ch11", variant);
    let mut bystander = Client::connect(server.address());
    bystander.read_until(QUESTION).unwrap();
    let crowd: Vec<_> = (0..50)
        .map_while(|_| TcpStream::connect(server.address()).ok())
        .collect();
    // Every member of the crowd is served, refused or cut off.
    let clients = crowd.into_iter().map(Client::over);
    let mut crowd: Vec<_> = clients.collect();
    for client in &mut crowd {
        let _ = client.read_until("\n");
    }
    bystander.exchange("Alice\n").is_err()
}
// ANCHOR_END: hostile

#[test]
fn server_ends_when_no_descriptor_is_left() {
    assert_shown(|| takes_all_descriptors("broken"));
}

#[test]
fn server_refuses_when_no_descriptor_is_left() {
    assert_mended(|| takes_all_descriptors("mended"));
}

#[test]
fn descriptors_of_clients_that_left_are_used_again() {
    let server = Program::start_limited(LIMIT, "ch11", "mended");
    let mut crowd: Vec<_> = (0..50).map(|_| Client::connect(server.address())).collect();
    let first_lines = crowd.iter_mut().map(|client| client.read_until("\n"));
    let refused = first_lines
        .filter(|line| line.as_ref().is_ok_and(|line| line.starts_with("Sorry")))
        .count();
    assert!(refused > 10, "{refused} refused");
    drop(crowd);
    eventually("a place is free", || {
        let mut client = Client::connect(server.address());
        client.read_until(QUESTION).ok()
    });
}
