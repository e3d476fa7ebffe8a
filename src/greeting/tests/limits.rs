//! Invalid names, timeouts and backpressure.

use proptest::prelude::*;

use super::*;

/// Asserts the answer to `bytes` as one name in each framing.
fn assert_answer(bytes: &[u8], answer: &str) {
    for framing in EVERY_FRAMING {
        let mut connection = Connection::asked(framing);
        connection.output();
        connection.receive(bytes).receive(b"\n").advance(2 * GAP);
        assert_eq!(connection.transcript(), answer, "{framing} {bytes:?}");
    }
}

#[test]
fn name_that_is_not_utf8_is_rejected() {
    for bytes in [
        &b"\xff"[..],
        b"Zo\xc3",
        b"\xc3(",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"Alice\x80Alice",
    ] {
        assert_answer(bytes, &[NOT_UTF8, QUESTION].concat());
    }
}

#[test]
fn name_with_control_character_is_rejected() {
    for name in [
        "\0",
        "a\0b",
        "\x1b[31mred",
        "\t",
        "a\rb",
        "\u{7f}",
        "\u{80}",
        "\u{9b}31m",
        "\u{9f}",
    ] {
        assert_answer(name.as_bytes(), &[CONTROL_CHARACTER, QUESTION].concat());
    }
}

#[test]
fn tenth_mistake_ends_the_session() {
    for framing in EVERY_FRAMING {
        let mut connection = Connection::asked(framing);
        connection.output();
        for mistake in 1..=9 {
            let bytes: &[u8] = if mistake % 2 == 0 { b"\0\n" } else { b"\xff\n" };
            connection.receive(bytes).advance(2 * GAP);
            assert!(connection.transcript().ends_with(QUESTION));
            connection.receive(b"Alice\n").advance(2 * GAP);
            assert_eq!(
                connection.transcript(),
                [&hello("Alice"), QUESTION].concat()
            );
        }
        connection.receive(b"\0\n").advance(GAP);
        assert_eq!(connection.output(), [TOO_MANY_MISTAKES]);
        assert_eq!(connection.closed, Some(CloseReason::ProtocolError));
    }
}

#[test]
fn mistake_that_waited_for_room_is_counted_once() {
    let config = Config {
        framing: Framing::Line,
        ..Config::default()
    };
    let mut connection = Connection::open_with(config).with_mark(64);
    connection.output();
    connection.receive(&b"\0\n".repeat(9));
    assert_eq!(
        connection.transcript(),
        [CONTROL_CHARACTER, QUESTION].concat().repeat(9)
    );
    assert_eq!(connection.closed, None);
}

#[test]
fn name_beyond_limit_ends_the_session() {
    for framing in EVERY_FRAMING {
        for ending in ["\n", "\r\n"] {
            for length in [1023, 1024, 1025] {
                let name = "x".repeat(length);
                let mut connection = Connection::asked(framing);
                connection.output();
                connection
                    .receive(format!("{name}{ending}").as_bytes())
                    .advance(2 * GAP);
                let (answer, closed) = if length > 1024 {
                    (too_long(1024), Some(CloseReason::ProtocolError))
                } else {
                    (reply(&name), None)
                };
                assert_eq!(
                    (connection.transcript(), connection.closed),
                    (answer, closed)
                );
            }
        }
    }
}

#[test]
fn partial_name_beyond_limit_ends_the_session() {
    for framing in EVERY_FRAMING {
        let mut connection = Connection::asked(framing);
        connection.output();
        for _ in 0..1024 {
            connection.receive(b"x");
            assert_eq!(connection.output(), [""; 0]);
        }
        connection.receive(b"x");
        assert_eq!(connection.output(), [too_long(1024)]);
        assert_eq!(connection.closed, Some(CloseReason::ProtocolError));
    }
}

#[test]
fn split_line_ending_does_not_count_as_name() {
    for framing in EVERY_FRAMING {
        let name = "x".repeat(1024);
        let mut connection = Connection::asked(framing);
        connection.output();
        connection
            .receive(name.as_bytes())
            .receive(b"\r")
            .receive(b"\n")
            .advance(2 * GAP);
        assert_eq!(connection.transcript(), reply(&name));
    }
    let mut connection = Connection::asked(Framing::Auto);
    connection.output();
    connection
        .receive("x".repeat(1024).as_bytes())
        .receive(b"\r")
        .advance(GAP);
    assert_eq!(
        connection.output(),
        [too_long(1024)],
        "a lone CR is not a line ending"
    );
}

#[test]
fn name_length_is_counted_in_bytes() {
    let longest = "é".repeat(512);
    assert_answer(longest.as_bytes(), &reply(&longest));
    assert_answer(format!("{longest}x").as_bytes(), &too_long(1024));
}

#[test]
fn too_long_reply_contains_configured_limit() {
    let mut connection = Connection::open_with(Config {
        framing: Framing::Line,
        name_bytes_max: 3,
        ..Config::default()
    });
    connection.output();
    connection.receive(b"Bob\nAlice\n");
    assert_eq!(
        connection.transcript(),
        [reply("Bob"), too_long(3)].concat()
    );
}

#[test]
fn refused_connection_gets_full_message() {
    use oneloop::Service;
    let peer = oneloop::testing::Harness::new().peer();
    let listener = peer.listener.expect("an accepted connection");
    for reason in [
        oneloop::EndReason::ServerFull,
        oneloop::EndReason::AddressLimit,
    ] {
        assert_eq!(
            Greeter::default().refusal_message(listener, reason),
            FULL.as_bytes()
        );
    }
}

#[test]
fn late_name_ends_the_session_with_timeout() {
    for framing in EVERY_FRAMING {
        let mut connection = Connection::asked(framing);
        connection.output();
        let asked_at = connection.now;
        connection.advance(2 * NAME_TIMEOUT);
        assert_eq!(
            connection.output_at(),
            [(asked_at + NAME_TIMEOUT, TOO_SLOW.into())]
        );
        assert_eq!(connection.closed, Some(CloseReason::Timeout));
    }
}

#[test]
fn partial_input_does_not_extend_name_timeout() {
    for framing in EVERY_FRAMING {
        let mut connection = Connection::open_with(Config {
            framing,
            name_bytes_max: 4096,
            ..Config::default()
        });
        connection.advance(GAP).output();
        let asked_at = connection.now;
        while connection.closed.is_none() {
            connection.receive(b"x").advance(20 * MS);
        }
        let deadline = match framing {
            Framing::Line => Time::START + NAME_TIMEOUT,
            Framing::Auto | Framing::Silence => asked_at + NAME_TIMEOUT,
        };
        assert_eq!(connection.output_at(), [(deadline, TOO_SLOW.into())]);
        assert_eq!(connection.closed, Some(CloseReason::Timeout));
    }
}

#[test]
fn each_question_restarts_name_timeout() {
    for framing in EVERY_FRAMING {
        let mut connection = Connection::asked(framing);
        for _ in 0..5 {
            connection
                .advance(NAME_TIMEOUT - 4 * GAP)
                .receive(b"Alice\n")
                .advance(2 * GAP);
        }
        assert_eq!(connection.closed, None);
        connection.output();
        connection.advance(NAME_TIMEOUT);
        assert_eq!(connection.output(), [TOO_SLOW]);
    }
}

#[test]
fn early_deadline_keeps_its_meaning() {
    let mut idle = Connection::asked(Framing::Auto);
    idle.output();
    idle.deliver(Event::Timeout);
    assert_eq!(idle.output(), [TOO_SLOW]);

    let mut line = Connection::asked(Framing::Line);
    line.output();
    line.receive(b"Al").deliver(Event::Timeout);
    assert_eq!(line.output(), [TOO_SLOW]);

    let mut partial = Connection::asked(Framing::Auto);
    partial.output();
    partial.receive(b"Al").deliver(Event::Timeout);
    assert_eq!(partial.output(), [hello("Al")]);
}

#[test]
fn pipelined_names_through_small_output_keep_order() {
    let config = Config {
        framing: Framing::Line,
        ..Config::default()
    };
    let names: Vec<String> = (0..10_000).map(|number| format!("name {number}")).collect();
    let expected: String = names.iter().map(|name| reply(name)).collect();
    for finish in [false, true] {
        let mut connection = Connection::open_with(config.clone()).with_mark(2048);
        connection.output();
        connection.buffer_input(names.join("\n").as_bytes());
        connection.buffer_input(b"\n");
        connection.deliver(if finish { Event::Eof } else { Event::Data });
        assert_eq!(connection.transcript(), expected);
        assert!(
            connection.steps <= expected.len() / 2048 + 3,
            "{} steps",
            connection.steps
        );
        assert_eq!(connection.closed, finish.then_some(CloseReason::Eof));
    }
}

#[test]
fn pending_name_is_answered_through_smallest_output() {
    let longest = "x".repeat(1024);
    for event in [Event::Eof, Event::Drain] {
        for framing in EVERY_FRAMING {
            let mut connection = Connection::open(framing).with_mark(1024 + 25);
            connection.buffer_input(longest.as_bytes());
            connection.deliver(event);
            let bye = if event == Event::Drain { GOOD_BYE } else { "" };
            let hello = if (event, framing) == (Event::Drain, Framing::Line) {
                String::new()
            } else {
                hello(&longest)
            };
            assert_eq!(connection.transcript(), format!("{GREETING}{hello}{bye}"));
        }
    }
}

proptest! {
    #[test]
    fn output_room_does_not_change_transcript(
        names in proptest::collection::vec("(exit|[a-z]{0,12}|\u{7f}|é)\r?\n", 0..40),
        room in 60_usize..200,
        event in prop::sample::select(vec![Event::Data, Event::Eof, Event::Drain]),
        framing in prop::sample::select(vec![Framing::Auto, Framing::Line]),
    ) {
        let converse_once = |room| {
            let mut connection = Connection::open(framing).with_mark(room);
            connection.buffer_input(names.concat().as_bytes());
            connection.deliver(event);
            (connection.transcript(), connection.closed)
        };
        prop_assert_eq!(converse_once(room), converse_once(1 << 20));
    }
}
