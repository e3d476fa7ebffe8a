use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use oneloop_book::lab::{self, Client, PATIENCE, Program, QUESTION, eventually, programs};

use super::{assert_mended, assert_shown};

// ANCHOR: hostile
/// Sends one name in two pieces, with an answer of the server's kernel in between. Returns `true`
/// if the server takes them for two names.
fn cuts_a_name(variant: &str) -> bool {
    let server = Program::start("ch05", variant, &["5000"]);
    let mut client = Client::connect(server.address());
    client.read_until(QUESTION).unwrap();
    client.send("Ali").unwrap();
    client.wait_until_read();
    client.send("ce\n").unwrap();
    let reply = client.read_until("\n").unwrap();
    reply != "Hello Alice!\n"
}
// ANCHOR_END: hostile

// ANCHOR: hostile-server
/// Sends the welcome and the question in one write. Returns `true` if a client that wants to say
/// one name never sends it.
fn merges_messages(variant: &str) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = Command::new(programs().join("ch05-client"))
        .args([variant, &listener.local_addr().unwrap().to_string(), "exit"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"Welcome!\nWhat's your name?").unwrap();
    let hangs = waits_for_more(&stream, client.id());
    drop(stream);
    client.wait().unwrap();
    hangs
}
// ANCHOR_END: hostile-server

/// Waits for what the client does next. Returns `true` if it has read everything and sleeps in
/// another read.
fn waits_for_more(stream: &TcpStream, client: u32) -> bool {
    stream.set_nonblocking(true).unwrap();
    eventually("the client sends or waits", || {
        if stream.peek(&mut [0]).is_ok() {
            return Some(false);
        }
        let has_read = !lab::has_unread(stream.peer_addr().unwrap(), stream.local_addr().unwrap());
        let stat = std::fs::read_to_string(format!("/proc/{client}/stat")).unwrap();
        let sleeps = stat.rsplit_once(") ").unwrap().1.starts_with('S');
        // It sends before it sleeps if it sends at all, so what it has sent is here by now.
        (has_read && sleeps).then(|| stream.peek(&mut [0]).is_err())
    })
}

#[test]
fn name_in_two_pieces_is_two_names_without_framing() {
    assert_shown(|| cuts_a_name("broken"));
}

#[test]
fn name_in_two_pieces_is_one_name_with_framing() {
    assert_mended(|| cuts_a_name("mended"));
}

#[test]
fn client_hangs_when_messages_arrive_together() {
    assert_shown(|| merges_messages("broken"));
}

#[test]
fn framing_client_does_not_hang_when_messages_arrive_together() {
    assert_mended(|| merges_messages("mended"));
}

#[test]
fn silence_ends_a_name_without_line_feed() {
    let server = Program::start("ch05", "mended", &["30"]);
    let mut client = Client::connect(server.address());
    client.read_until(QUESTION).unwrap();
    assert_eq!(
        client.exchange("Alice").unwrap(),
        "Hello Alice!\nWhat's your name?"
    );
    client.send("Bob\r\nexit\n").unwrap();
    assert_eq!(
        client.read_until(QUESTION).unwrap(),
        "Hello Bob!\nWhat's your name?"
    );
    assert_eq!(client.read_to_end().0, b"Good bye!\n");
}

#[test]
fn framing_client_understands_single_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        for byte in b"Welcome!\nWhat's your name?Good bye!\n" {
            stream.write_all(&[*byte]).unwrap();
        }
    });
    let output = Command::new(programs().join("ch05-client"))
        .args(["mended", &address.to_string(), "exit"])
        .output()
        .unwrap();
    server.join().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "Welcome!\nWhat's your name?\nGood bye!\n"
    );
}
