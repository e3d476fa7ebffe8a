//! Conversations that fail: the messages are shown, one sentence explains the failure to the user,
//! and one code to a script.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use oneloop_client::wire::{GOOD_BYE, GREETING, QUESTION, TOO_MANY_MISTAKES, TOO_SLOW, WELCOME};
use socket2::{Domain, Socket, Type};

use crate::program::{Outcome, Running, client, finish, run, run_with_input};
use crate::standin::{
    Delivery, PATIENCE, Standin, read_once, read_to_end, say, speaker, staller, tutorial,
};

/// Long enough for a stand-in on a busy machine to send its messages, short enough to wait for.
const SHORT: &str = "1s";

/// Runs a client that sends `Alice` to a server, with a short time limit.
#[track_caller]
fn greet<T: Send + 'static>(server: &Standin<T>, timeout: &str) -> Outcome {
    let address = server.address();
    run(&mut client(&[
        &address,
        "--name",
        "Alice",
        "--timeout",
        timeout,
    ]))
}

#[test]
fn no_server_is_code_3_and_says_how_to_start_one() {
    // Bound, so that no other program gets the port, and not listening.
    let (_socket, address) = bound_socket();
    let address = address.to_string();
    let sentence = format!("Connection refused by {address}: is the server running?");
    run(&mut client(&[&address])).expect_failed(3, &[&sentence, "cargo run --release"]);
}

#[test]
fn an_unknown_host_is_code_3() {
    // Too long for a name, so that the resolver refuses it without a query.
    let host = "x".repeat(300);
    let outcome = run(&mut client(&[&host]));
    outcome.expect_failed(3, &[&host, "check the address"]);
}

#[cfg(target_os = "linux")]
#[test]
fn silent_host_is_code_3_within_the_timeout() {
    // A listener without room drops further connections, as a firewall does.
    let (listener, address) = bound_socket();
    listener.listen(0).expect("the socket is bound");
    let patience = Duration::from_millis(300);
    let fill = std::iter::repeat_with(|| TcpStream::connect_timeout(&address, patience));
    let room: Vec<_> = fill.take(64).map_while(Result::ok).collect();
    assert!(room.len() < 64, "the listener is full");

    let outcome = run(&mut client(&[&address.to_string(), "--timeout", SHORT]));
    outcome.expect_failed(3, &[&address.to_string(), "in time", "--timeout"]);
}

/// Makes a socket with a port that does not listen, which std cannot.
fn bound_socket() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("sockets can be made");
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any_port.into()).expect("a port is free");
    let address = socket.local_addr().ok().and_then(|it| it.as_socket());
    (socket, address.expect("a bound socket has an address"))
}

#[test]
fn a_server_that_says_nothing_is_code_4() {
    let server = staller("");
    let outcome = greet(&server, SHORT);
    let sentence = format!("{} did not ask for a name within 1s", server.address());
    outcome.expect_failed(4, &[&sentence, "greeting server?"]);
    outcome.expect_shown("");
}

#[test]
fn stall_in_the_question_is_code_4() {
    let server = staller("Welcome!\nWhat's yo");
    let outcome = greet(&server, SHORT);
    outcome.expect_failed(4, &["did not ask for a name within 1s"]);
    outcome.expect_shown("Welcome!\nWhat's yo\n");
}

#[test]
fn stall_after_a_name_suggests_the_other_framing() {
    let server = staller(GREETING);
    let outcome = greet(&server, SHORT);
    outcome.expect_failed(4, &["did not ask for another name", "--framing line"]);
    outcome.expect_shown("Welcome!\nWhat's your name?\n");
}

#[test]
fn stall_after_exit_is_code_4() {
    let server = tutorial(Delivery::Segments);
    let address = server.address();
    let outcome = run(&mut client(&[
        &address,
        "--framing",
        "line",
        "--timeout",
        SHORT,
    ]));
    outcome.expect_failed(4, &["did not say good bye", "--framing silence"]);
    outcome.expect_shown("Welcome!\nWhat's your name?\nHello exit\n!\nWhat's your name?\n");
}

#[test]
fn dripping_bytes_do_not_extend_the_timeout() {
    let server = Standin::start(|mut peer| {
        // Paces the bytes: each is well within the time limit, and all of them are not.
        while peer.write_all(b".").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let outcome = greet(&server, SHORT);
    outcome.expect_failed(4, &["did not ask for a name within 1s"]);
    assert!(outcome.stdout.starts_with(b".."), "{outcome:?}");
    server.result();
}

#[test]
fn a_server_that_closes_at_once_is_code_5() {
    let server = speaker("");
    let outcome = greet(&server, "10s");
    let sentence = format!("{} closed the connection", server.address());
    outcome.expect_failed(5, &[&sentence, "did not ask for a name", "try again later"]);
    outcome.expect_shown("");
}

#[test]
fn full_server_is_code_5_and_its_reason_is_shown() {
    let full = "Sorry, the server is full. Please try again later.\n";
    let outcome = greet(&speaker(full), "10s");
    outcome.expect_failed(5, &["did not ask for a name"]);
    outcome.expect_shown(full);
}

#[test]
fn close_in_the_question_is_code_5() {
    let outcome = greet(&speaker("Welcome!\nWhat's your na"), "10s");
    outcome.expect_failed(5, &["did not ask for a name"]);
    outcome.expect_shown("Welcome!\nWhat's your na\n");
}

#[test]
fn unasked_goodbye_is_code_5() {
    for farewell in [GOOD_BYE, TOO_SLOW] {
        let server = Standin::start(move |mut peer| {
            say(&mut peer, GREETING);
            read_once(&mut peer);
            say(&mut peer, ["Hello Alice!\n", farewell].concat());
        });
        let outcome = greet(&server, "10s");
        outcome.expect_failed(5, &["closed the connection", "another name"]);
        let shown = ["Welcome!\nWhat's your name?\nHello Alice!\n", farewell].concat();
        outcome.expect_shown(&shown);
    }
}

#[test]
fn last_line_of_a_closed_connection_is_shown() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, GREETING);
        say(&mut peer, TOO_SLOW);
    });
    let mut running = Running::start(client(&[&server.address()]).stdin(Stdio::piped()));
    let mut stdin = running.0.stdin.take().expect("standard input is a pipe");
    let address = server.address();
    // The server has ended before the client gets a name to send; the client may have, too.
    server.result();
    let _ = stdin.write_all(b"Alice\n");
    let outcome = finish(running);
    outcome.expect_failed(5, &[&address]);
    outcome.expect_shown("Welcome!\nWhat's your name?\nYou took too long. Good bye!\n");
}

#[test]
fn last_line_of_a_reset_connection_is_shown() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, GREETING);
        // To close with the name unread is to reset the connection.
        peer.peek(&mut [0]).expect("the client says a name");
        say(&mut peer, [QUESTION, TOO_MANY_MISTAKES].concat());
    });
    let address = server.address();
    let mut running = Running::start(client(&[&address]).stdin(Stdio::piped()));
    let mut stdin = running.0.stdin.take().expect("standard input is a pipe");
    stdin.write_all(b"Alice\n").expect("the client reads");
    server.result();
    // This one cannot even be sent.
    let _ = stdin.write_all(b"Bob\n");
    let outcome = finish(running);
    outcome.expect_failed(5, &[&address]);
    outcome.expect_shown(
        "Welcome!\nWhat's your name?\nWhat's your name?\nToo many mistakes. Good bye!\n",
    );
}

#[test]
fn close_without_a_goodbye_is_code_5() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, GREETING);
        read_once(&mut peer)
    });
    let outcome = run(&mut client(&[&server.address()]));
    outcome.expect_failed(5, &["closed the connection and did not say good bye"]);
    assert_eq!(server.result(), b"exit");
}

#[test]
fn a_connection_that_breaks_is_code_5() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, GREETING);
        // To close with the name unread is to reset the connection.
        peer.peek(&mut [0]).expect("the client says a name");
    });
    let outcome = greet(&server, "10s");
    outcome.expect_failed(5, &[&server.address(), "try again"]);
    outcome.expect_shown("Welcome!\nWhat's your name?\n");
}

#[test]
fn endless_line_is_code_6_and_not_read() {
    let total = 100 << 20;
    let server = Standin::start(move |mut peer| flood(&mut peer, &[b'x'; 1 << 16], total));
    let outcome = greet(&server, "10s");
    outcome.expect_failed(6, &["65536 bytes", "greeting server?", "Check the address"]);
    outcome.expect_shown("");
    assert!(server.result() < total);
}

#[test]
fn lines_without_end_are_code_6_and_not_read() {
    let total = 100 << 20;
    let lines = b"again and again\n".repeat(1 << 12);
    let server = Standin::start(move |mut peer| flood(&mut peer, &lines, total));
    let outcome = greet(&server, "10s");
    outcome.expect_failed(6, &["65536 bytes", "greeting server?"]);
    assert!(outcome.stdout.len() <= 65536, "{}", outcome.stdout.len());
    assert!(server.result() < total);
}

/// Sends `total` bytes if the client takes them. Ends with how many it took.
fn flood(peer: &mut TcpStream, chunk: &[u8], total: usize) -> usize {
    let mut sent = 0;
    while sent < total && peer.write_all(chunk).is_ok() {
        sent += chunk.len();
    }
    sent
}

#[test]
fn invalid_utf8_is_code_6_and_shown_raw() {
    let outcome = greet(&speaker(b"Welcome!\n\xff\xfe\nmore\n"), "10s");
    outcome.expect_failed(6, &["not valid UTF-8", "Check the address"]);
    assert_eq!(outcome.stdout, b"Welcome!\n\xff\xfe\n");
}

#[test]
fn a_line_of_input_that_can_be_no_name_is_code_2() {
    let server = tutorial(Delivery::Segments);
    let input = "x".repeat(1 << 20);
    let outcome = run_with_input(&mut client(&[&server.address()]), input);
    outcome.expect_failed(2, &["longer than 16384 bytes", "one name a line"]);
    assert_eq!(server.result(), [b""], "nothing was sent");
}

#[cfg(unix)]
#[test]
fn input_that_cannot_be_read_is_code_1() {
    let server = tutorial(Delivery::Segments);
    let folder = std::fs::File::open("/").expect("there is a root");
    let outcome = run(client(&[&server.address()]).stdin(folder));
    outcome.expect_failed(1, &["standard input", "--name"]);
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_code_1() {
    let server = tutorial(Delivery::Segments);
    let full = std::fs::File::create("/dev/full").expect("Linux has a full device");
    let mut command = client(&[&server.address()]);
    command.stdout(full).stderr(Stdio::piped());
    let outcome = finish(Running::start_as_is(&mut command));
    outcome.expect_failed(1, &["standard output", "redirected"]);
}

#[test]
fn output_closed_before_the_first_line_is_code_0() {
    let server = tutorial(Delivery::Segments);
    let (reader, writer) = io::pipe().expect("pipes can be made");
    drop(reader);
    let mut command = client(&[&server.address()]);
    command.stdout(writer).stderr(Stdio::piped());
    finish(Running::start_as_is(&mut command)).expect_done("");
}

#[test]
fn output_closed_after_the_first_line_is_code_0() {
    let (go_on, may_go_on) = mpsc::channel();
    let server = Standin::start(move |mut peer| {
        say(&mut peer, WELCOME);
        may_go_on
            .recv_timeout(PATIENCE)
            .expect("the test reads a line");
        // More than one, because a process that another test is just starting can hold the other
        // end of the pipe for a moment. Paced, because the client takes only so much.
        while peer.write_all(b"More!\n").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
        read_to_end(&mut peer)
    });
    let mut running = Running::start(&mut client(&[&server.address()]));
    let head = running.0.stdout.take().expect("standard output is a pipe");
    assert_eq!(read_line(head), WELCOME);
    go_on.send(()).expect("the stand-in waits");
    finish(running).expect_done("");
    assert_eq!(server.result(), b"", "nothing was said any more");
}

/// Reads a line and lets go of the stream, as `head -1` does.
fn read_line(mut stream: impl io::Read) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") {
        stream.read_exact(&mut byte).expect("a line comes");
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("the line is text")
}

#[test]
fn closed_standard_error_leaves_the_code() {
    for verbose in [false, true] {
        let (reader, writer) = io::pipe().expect("pipes can be made");
        drop(reader);
        let server = speaker("");
        let mut command = client(&[&server.address()]);
        command.args(verbose.then_some("--verbose"));
        command.stdout(Stdio::piped()).stderr(writer);
        assert_eq!(finish(Running::start_as_is(&mut command)).code, Some(5));
    }
}

#[test]
fn a_short_timeout_is_short() {
    let server = staller("");
    let start = Instant::now();
    greet(&server, "1ms").expect_failed(4, &["within 1ms"]);
    // The default is 10 s, and so is nothing else that could end the wait.
    assert!(start.elapsed() < Duration::from_secs(9));
}
