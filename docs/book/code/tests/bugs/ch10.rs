use std::net::SocketAddr;

use oneloop_book::lab::{Client, Program, QUESTION, eventually, is_established};
use socket2::{Domain, Socket, Type};

use super::{assert_mended, assert_shown};

const NAMES: usize = 500;

// ANCHOR: hostile
/// Goes on sending after `exit`, and reads late. Returns `true` if replies or the goodbye are
/// missing.
fn sends_after_exit(variant: &str) -> bool {
    let server = Program::start("ch10", variant, &[]);
    let mut client = connect_with_small_buffer(server.address());
    client.read_until(QUESTION).unwrap();
    let mut bytes = "Alice\n".repeat(NAMES);
    bytes.push_str("exit\n");
    bytes.push_str(&"more\n".repeat(2000));
    if client.send(bytes).is_err() {
        return true; // cut off while it sends
    }
    wait_until_ended(server.address(), &client);
    let (received, _) = client.read_to_end();
    !received.ends_with(b"Good bye!\n")
}
// ANCHOR_END: hostile

/// Its kernel holds a few KiB for it; the rest of the replies waits in the server's kernel.
fn connect_with_small_buffer(address: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    Client::over(socket.into())
}

/// Waits until the socket of the server has left the state in which both sides may send.
fn wait_until_ended(server: SocketAddr, client: &Client) {
    let own = client.stream().local_addr().unwrap();
    eventually("the server has ended its side", || {
        (!is_established(server, own)).then_some(())
    });
}

#[test]
fn last_words_are_lost_when_the_socket_is_closed_at_once() {
    assert_shown(|| sends_after_exit("broken"));
}

#[test]
fn last_words_arrive_when_the_end_is_waited_for() {
    assert_mended(|| sends_after_exit("mended"));
}

#[test]
fn half_closed_client_receives_every_reply() {
    let server = Program::start("ch10", "mended", &[]);
    let mut client = Client::connect(server.address());
    client.read_until(QUESTION).unwrap();
    client.send("Alice\nBob\n").unwrap();
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    let (text, error) = client.read_to_end();
    assert_eq!(
        text,
        b"Hello Alice!\nWhat's your name?Hello Bob!\nWhat's your name?"
    );
    assert!(error.is_none(), "{error:?}");
}
