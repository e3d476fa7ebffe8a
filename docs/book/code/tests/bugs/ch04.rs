use std::net::TcpStream;

use oneloop_book::lab::{Client, Program, QUESTION};

use super::{assert_mended, assert_shown};

/// A limit on address space, in KiB. The stack of a thread takes 2 MiB of it. With one arena, the
/// allocator takes none for each thread.
const LIMIT: &str = "export MALLOC_ARENA_MAX=1; ulimit -v 200000";

// ANCHOR: hostile
/// Opens 150 connections and is silent. Returns `true` if a client that was there before loses
/// its connection by that.
fn takes_all_threads(variant: &str) -> bool {
    let server = Program::start_limited(LIMIT, "ch04", variant);
    let mut bystander = Client::connect(server.address());
    bystander.read_until(QUESTION).unwrap();
    // Once the server has ended, connecting fails.
    let silent = (0..150).map_while(|_| TcpStream::connect(server.address()).ok());
    let mut silent: Vec<_> = silent.map(Client::over).collect();
    // After the last one is served or cut off, the server has seen them all.
    let _ = silent.last_mut().unwrap().read_until("\n");
    (0..200).any(|_| bystander.exchange("Alice").is_err())
}
// ANCHOR_END: hostile

#[test]
fn server_ends_when_a_thread_cannot_be_made() {
    assert_shown(|| takes_all_threads("broken"));
}

#[test]
fn server_refuses_when_its_threads_are_in_use() {
    assert_mended(|| takes_all_threads("mended"));
}

#[test]
fn seat_is_given_back_when_a_client_leaves() {
    let server = Program::start("ch04", "mended", &[]);
    let mut seated: Vec<_> = (0..32).map(|_| Client::connect(server.address())).collect();
    for client in &mut seated {
        client.read_until(QUESTION).unwrap();
    }
    let mut refused = Client::connect(server.address());
    let (text, _) = refused.read_to_end();
    assert!(text.starts_with(b"Sorry, the server is full."), "{text:?}");
    drop(seated);
    oneloop_book::lab::eventually("a seat is free", || {
        let mut client = Client::connect(server.address());
        client.read_until(QUESTION).ok()
    });
}
