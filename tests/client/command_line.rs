//! Flags, their variables in the environment, help, and misuse.

use std::process::Stdio;

use oneloop_client::wire::{GOOD_BYE, GREETING, reply};

use crate::program::{Outcome, Running, client, finish, run};
use crate::standin::{Delivery, Standin, read_once, say, staller, tutorial};

/// Checks for clap's error message, with code 2.
#[track_caller]
fn expect_misuse(outcome: &Outcome, words: &[&str]) {
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} in {outcome:?}");
    }
}

#[test]
fn misuse_is_code_2_and_says_what_would_be_right() {
    let cases: [(&[&str], &str); 11] = [
        (&["host:port"], "1 to 65535"),
        (&["host:0"], "1 to 65535"),
        (&["fe80::1%lo:6000"], "brackets"),
        (&["--timeout", "0s"], "from 1ms to 1day"),
        (&["--timeout", "10"], "250ms or 10s"),
        (&["--name", ""], "cannot be empty"),
        (&["--name", "Alice\nBob"], "once for each name"),
        (
            &["--framing", "tabs"],
            "possible values: auto, line, silence",
        ),
        (&["--nmae", "Alice"], "--name"),
        (&["here", "there"], "1 to 65535"),
        (&["here", "6000", "there"], "unexpected value"),
    ];
    for (args, words) in cases {
        expect_misuse(&run(&mut client(args)), &[words]);
    }
}

#[test]
fn every_flag_can_be_given_in_the_environment() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, GREETING);
        read_once(&mut peer)
    });
    let mut command = client(&[]);
    command
        .env("GREET_ADDR", server.address())
        .env("GREET_NAME", "Alice")
        .env("GREET_FRAMING", "line")
        .env("GREET_TIMEOUT", "10s");
    // Without a reply: the connection ends after the first name.
    run(&mut command).expect_failed(5, &["did not ask for another name"]);
    assert_eq!(server.result(), b"Alice\n");

    let server = staller("");
    let mut command = client(&[&server.address()]);
    run(command.env("GREET_TIMEOUT", "150ms")).expect_failed(4, &["within 150ms"]);

    expect_misuse(
        &run(client(&[]).env("GREET_TIMEOUT", "soon")),
        &["--timeout"],
    );
    expect_misuse(
        &run(client(&[]).env("GREET_FRAMING", "tabs")),
        &["--framing"],
    );
}

#[test]
fn framing_values_are_those_of_the_server() {
    for framing in ["auto", "line", "silence"] {
        let server = greeted_lines();
        let mut command = client(&[&server.address(), "--name", "Alice"]);
        let outcome = run(command.env("GREET_FRAMING", framing));
        assert_eq!(outcome.code, Some(0), "{framing}: {outcome:?}");
    }
}

/// Starts a server that takes one read for one name, with a line ending or without.
fn greeted_lines() -> Standin<()> {
    Standin::start(|mut peer| {
        say(&mut peer, GREETING);
        read_once(&mut peer);
        say(&mut peer, reply("Alice"));
        read_once(&mut peer);
        say(&mut peer, GOOD_BYE);
    })
}

#[test]
fn an_address_may_be_typed_in_every_form() {
    for form in [
        "127.0.0.1:PORT",
        "127.0.0.1 PORT",
        ":PORT",
        "PORT",
        "localhost PORT",
    ] {
        let server = tutorial(Delivery::Segments);
        let address = server.address();
        let (_, port) = address.rsplit_once(':').expect("an address has a port");
        let form = form.replace("PORT", port);
        let apart: Vec<&str> = form.split(' ').collect();
        let outcome = run(&mut client(&apart));
        assert_eq!(outcome.code, Some(0), "{form}: {outcome:?}");
        assert_eq!(server.result(), [b"exit"], "{form}");
    }
    let server = tutorial(Delivery::Segments);
    let in_the_environment = server.address().replace(':', " ");
    let outcome = run(client(&[]).env("GREET_ADDR", in_the_environment));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[test]
fn an_ipv6_address_may_be_typed_in_every_form() {
    for form in ["[::1]:PORT", "::1 PORT", "[::1] PORT"] {
        let Some(server) = Standin::try_start_at("[::1]:0", |mut peer| {
            say(&mut peer, GREETING);
            read_once(&mut peer);
            say(&mut peer, GOOD_BYE);
        }) else {
            println!("skipped: there is no IPv6");
            return;
        };
        let address = server.address();
        let (_, port) = address.rsplit_once(':').expect("an address has a port");
        let form = form.replace("PORT", port);
        let apart: Vec<&str> = form.split(' ').collect();
        let outcome = run(&mut client(&apart));
        assert_eq!(outcome.code, Some(0), "{form}: {outcome:?}");
    }
}

#[test]
fn the_addresses_of_a_name_are_tried_in_turn() {
    // Only one of the addresses of localhost answers.
    let server = tutorial(Delivery::Segments);
    let address = server.address();
    let (_, port) = address.rsplit_once(':').expect("an address has a port");
    let outcome = run(&mut client(&["localhost", port, "--verbose"]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let connected = format!("connected to {address}");
    assert!(outcome.stderr.contains(&connected), "{outcome:?}");
    if outcome.stderr.contains("[::1]") {
        let refused = format!("no connection to [::1]:{port}: ");
        assert!(outcome.stderr.contains(&refused), "{outcome:?}");
    }
}

#[test]
fn a_flag_beats_its_variable() {
    let server = tutorial(Delivery::Segments);
    let mut command = client(&[&server.address(), "--name", "Alice"]);
    command
        .env("GREET_ADDR", "127.0.0.1:1")
        .env("GREET_NAME", "Bob");
    assert_eq!(run(&mut command).code, Some(0));
    assert_eq!(server.result(), [&b"Alice"[..], b"exit"]);
}

#[test]
fn a_port_alone_is_a_port_of_this_host() {
    let server = tutorial(Delivery::Segments);
    let address = server.address();
    let port = address
        .strip_prefix("127.0.0.1")
        .expect("stand-ins listen on loopback");
    assert_eq!(run(&mut client(&[port])).code, Some(0));
    assert_eq!(server.result(), [b"exit"]);
}

#[test]
fn help_has_examples_first_and_exit_codes_last() {
    let outcome = run(&mut client(&["--help"]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let help = String::from_utf8(outcome.stdout).expect("help is text");
    assert!(help.starts_with("Examples:\n  greet-client "), "{help}");
    let (_, codes) = help.split_once("Exit codes:\n").expect("codes are listed");
    let listed: Vec<&str> = codes.lines().take(7).map(|line| &line[..4]).collect();
    let expected = ["  0 ", "  1 ", "  2 ", "  3 ", "  4 ", "  5 ", "  6 "];
    assert_eq!(listed, expected);
    assert!(codes.contains("\n  130  Ctrl-C\n"), "{codes}");
    for word in ["GREET_ADDR", "GREET_NAME", "GREET_FRAMING", "GREET_TIMEOUT"] {
        assert!(help.contains(word), "{word} in {help}");
    }
    assert!(!help.contains('\x1b'), "a pipe gets no colours");
}

#[test]
fn help_that_nobody_reads_is_no_failure() {
    let (reader, writer) = std::io::pipe().expect("pipes can be made");
    drop(reader);
    let mut command = client(&["--help"]);
    command.stdout(writer).stderr(Stdio::piped());
    finish(Running::start_as_is(&mut command)).expect_done("");
}
