//! Conversations that end well, for all kinds of segments and of input files.

use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use oneloop_client::wire::{GOOD_BYE, GREETING, QUESTION, TOO_SLOW, WELCOME, reply};

use crate::program::{Outcome, Running, client, client_as_installed, finish, run, run_with_input};
use crate::standin::{DELIVERIES, Delivery, PATIENCE, Standin, read_once, say, tutorial};

const ALICE_AND_BOB: &str = "\
Welcome!
What's your name?
Hello Alice!
What's your name?
Hello Bob!
What's your name?
Good bye!
";

const NOBODY: &str = "\
Welcome!
What's your name?
Good bye!
";

/// Runs a client with `input` in a pipe against the tutorial's server. Returns the outcome and the
/// server's reads.
#[track_caller]
fn pipe(input: impl Into<Vec<u8>>) -> (Outcome, Vec<Vec<u8>>) {
    let server = tutorial(Delivery::Segments);
    let outcome = run_with_input(&mut client(&[&server.address()]), input);
    (outcome, server.result())
}

#[test]
fn listed_names_are_greeted_then_exit_is_sent() {
    let server = tutorial(Delivery::Segments);
    let address = server.address();
    let outcome = run(&mut client(&[&address, "--name", "Alice", "--name", "Bob"]));
    outcome.expect_done(ALICE_AND_BOB);
    assert_eq!(server.result(), [&b"Alice"[..], b"Bob", b"exit"]);
}

#[test]
fn piped_names_are_greeted_without_a_prompt() {
    let (outcome, names) = pipe("Alice\nBob\n");
    outcome.expect_done(ALICE_AND_BOB);
    assert_eq!(names, [&b"Alice"[..], b"Bob", b"exit"]);
}

#[test]
fn listed_names_leave_standard_input_alone() {
    let server = tutorial(Delivery::Segments);
    let address = server.address();
    let mut command = client(&[&address, "--name", "Alice", "--name", "Bob"]);
    run_with_input(&mut command, "Carol\n").expect_done(ALICE_AND_BOB);
}

#[test]
fn the_last_name_needs_no_newline() {
    pipe("Alice\nBob").0.expect_done(ALICE_AND_BOB);
}

#[test]
fn empty_lines_are_no_names() {
    let (outcome, names) = pipe("\nAlice\n\r\n\nBob\n\n");
    outcome.expect_done(ALICE_AND_BOB);
    assert_eq!(names.len(), 3);
}

#[test]
fn crlf_is_not_part_of_a_name() {
    let (outcome, names) = pipe("Alice\r\nBob\r\n");
    outcome.expect_done(ALICE_AND_BOB);
    assert_eq!(names, [&b"Alice"[..], b"Bob", b"exit"]);
}

#[test]
fn no_names_at_all_is_a_polite_exit() {
    let (outcome, names) = pipe("");
    outcome.expect_done(NOBODY);
    assert_eq!(names, [b"exit"]);
}

#[test]
fn exit_ends_the_conversation_before_other_names() {
    let (outcome, names) = pipe("Alice\nBob\nexit\nCarol\n");
    outcome.expect_done(ALICE_AND_BOB);
    assert_eq!(names, [&b"Alice"[..], b"Bob", b"exit"]);

    let server = tutorial(Delivery::Segments);
    let address = server.address();
    let outcome = run(&mut client(&[
        &address, "--name", "exit", "--name", "Carol",
    ]));
    outcome.expect_done(NOBODY);
}

#[test]
fn a_name_goes_out_byte_for_byte() {
    let (outcome, names) = pipe("  Zo\u{eb} \t\x1b\r x\n");
    assert_eq!(outcome.code, Some(0));
    assert_eq!(names[0], "  Zo\u{eb} \t\x1b\r x".as_bytes());
}

#[test]
fn messages_reach_a_pipe_byte_for_byte() {
    let server = Standin::start(move |mut peer| {
        say(&mut peer, "\x1b[31mWelcome!\x07\r\nWhat's your name?");
        read_once(&mut peer);
        say(&mut peer, "\u{9b}Good bye\nGood bye!\n");
    });
    let outcome = run(&mut client(&[&server.address()]));
    outcome.expect_done("\x1b[31mWelcome!\x07\r\nWhat's your name?\n\u{9b}Good bye\nGood bye!\n");
}

#[test]
fn name_that_equals_the_question_is_a_name() {
    for delivery in DELIVERIES {
        let server = tutorial(delivery);
        let outcome = run_with_input(
            &mut client(&[&server.address()]),
            "What's your name?\nBob\n",
        );
        outcome.expect_done(
            "Welcome!\nWhat's your name?\nHello What's your name?!\nWhat's your name?\n\
             Hello Bob!\nWhat's your name?\nGood bye!\n",
        );
        assert_eq!(server.result().len(), 3);
    }
}

#[test]
fn hundred_conversations_end_well() {
    for round in 0..100 {
        let delivery = DELIVERIES[round % DELIVERIES.len()];
        let server = tutorial(delivery);
        let outcome = run_with_input(&mut client(&[&server.address()]), "Alice\nBob\n");
        assert_eq!(
            outcome.code,
            Some(0),
            "round {round}, {delivery:?}: {outcome:?}"
        );
        outcome.expect_done(ALICE_AND_BOB);
        assert_eq!(server.result(), [&b"Alice"[..], b"Bob", b"exit"]);
    }
}

#[test]
fn no_name_goes_out_before_it_is_asked_for() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, WELCOME);
        let mut early = vec![has_more(&peer)];
        say(&mut peer, QUESTION);
        read_once(&mut peer);
        say(&mut peer, "Hello Alice!\nWhat's your nam");
        early.push(has_more(&peer));
        say(&mut peer, "e?");
        read_once(&mut peer);
        say(&mut peer, GOOD_BYE);
        early
    });
    let outcome = run_with_input(&mut client(&[&server.address()]), "Alice\n");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(server.result(), [false, false]);
}

/// Returns `true` if the client sends a byte within a tenth of a second.
fn has_more(peer: &TcpStream) -> bool {
    peer.set_read_timeout(Some(Duration::from_millis(100)))
        .expect("the wait is not zero");
    let more = peer.peek(&mut [0]).is_ok();
    peer.set_read_timeout(Some(PATIENCE))
        .expect("the wait is not zero");
    more
}

#[test]
fn refusal_is_shown_and_the_next_name_is_sent() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, GREETING);
        read_once(&mut peer);
        say(&mut peer, "Sorry, a name has no control characters.\n");
        say(&mut peer, QUESTION);
        let farewell = read_once(&mut peer);
        say(&mut peer, GOOD_BYE);
        farewell
    });
    let outcome = run_with_input(&mut client(&[&server.address()]), "\x07\n");
    outcome.expect_done(
        "Welcome!\nWhat's your name?\nSorry, a name has no control characters.\n\
         What's your name?\nGood bye!\n",
    );
    assert_eq!(server.result(), b"exit");
}

#[test]
fn names_are_lines_where_there_is_no_terminal() {
    for names in [&["--name", "Alice"][..], &[]] {
        let server = Standin::start(|mut peer| {
            say(&mut peer, GREETING);
            let name = read_once(&mut peer);
            say(&mut peer, reply("Alice"));
            let farewell = read_once(&mut peer);
            say(&mut peer, GOOD_BYE);
            [name, farewell]
        });
        let address = server.address();
        let mut command = client_as_installed(&[&[&*address], names].concat());
        let outcome = run_with_input(&mut command, "Alice\n");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(server.result(), [b"Alice\n", &b"exit\n"[..]]);
    }
}

#[test]
fn messages_are_shown_while_waiting_for_input() {
    let (show, may_show) = std::sync::mpsc::channel();
    let server = Standin::start(move |mut peer| {
        say(&mut peer, GREETING);
        may_show.recv_timeout(PATIENCE).expect("the test goes on");
        say(&mut peer, TOO_SLOW);
    });
    let mut running = Running::start(client(&[&server.address()]).stdin(Stdio::piped()));
    // Open, and without a name.
    let _stdin = running.0.stdin.take().expect("standard input is a pipe");
    show.send(()).expect("the stand-in waits");
    let outcome = finish(running);
    outcome.expect_failed(5, &["ended the conversation"]);
    outcome.expect_shown("Welcome!\nWhat's your name?\nYou took too long. Good bye!\n");
}

#[test]
fn line_framing_ends_every_name_with_a_newline() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, GREETING);
        let name = read_once(&mut peer);
        say(&mut peer, reply("Alice"));
        let farewell = read_once(&mut peer);
        say(&mut peer, GOOD_BYE);
        [name, farewell]
    });
    let address = server.address();
    let outcome = run(&mut client(&[
        &address,
        "--framing",
        "line",
        "--name",
        "Alice",
    ]));
    outcome
        .expect_done("Welcome!\nWhat's your name?\nHello Alice!\nWhat's your name?\nGood bye!\n");
    assert_eq!(server.result(), [b"Alice\n", &b"exit\n"[..]]);
}

#[test]
fn server_without_a_close_is_not_waited_for() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, GREETING);
        read_once(&mut peer);
        say(&mut peer, GOOD_BYE);
        read_once(&mut peer)
    });
    run(&mut client(&[&server.address()])).expect_done(NOBODY);
    assert_eq!(server.result(), b"", "the client closes");
}

#[test]
fn name_that_is_not_utf8_is_sent_as_it_is() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, GREETING);
        let name = read_once(&mut peer);
        say(
            &mut peer,
            "Sorry, that name is not valid UTF-8.\nWhat's your name?",
        );
        read_once(&mut peer);
        say(&mut peer, GOOD_BYE);
        name
    });
    let outcome = run_with_input(&mut client(&[&server.address()]), b"\xff\xfe\n");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(server.result(), b"\xff\xfe");
}
