use oneloop_book::lab::{Client, Program, QUESTION, eventually};

use super::{assert_mended, assert_shown};

// ANCHOR: hostile
/// Connects and is silent. Returns `true` if the server, which has nothing to do, never sleeps.
fn is_silent(variant: &str) -> bool {
    let server = Program::start("ch06", variant, &[]);
    let mut client = Client::connect(server.address());
    client.read_until(QUESTION).unwrap();
    let before = server.cpu_time();
    let mut sleeps = 0;
    eventually(
        "it sleeps ten times, or uses 50 ms of processor time",
        || {
            sleeps += usize::from(server.state() == 'S');
            let used = server.cpu_time() - before;
            (sleeps == 10 || used.as_millis() >= 50).then_some(())
        },
    );
    sleeps == 0
}
// ANCHOR_END: hostile

#[test]
fn idle_server_never_sleeps_when_it_only_asks() {
    assert_shown(|| is_silent("broken"));
}

#[test]
fn idle_server_sleeps_when_it_rests() {
    assert_mended(|| is_silent("mended"));
}

#[test]
fn three_clients_are_served_without_threads() {
    let server = Program::start("ch06", "mended", &[]);
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(server.address())).collect();
    for client in clients.iter_mut().rev() {
        client.read_until(QUESTION).unwrap();
        assert_eq!(
            client.exchange("Carol\n").unwrap(),
            "Hello Carol!\nWhat's your name?"
        );
    }
    assert_eq!(server.status("Threads"), 1);
}
