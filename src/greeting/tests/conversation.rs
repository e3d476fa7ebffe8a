//! Whole conversations.

use super::*;

#[test]
fn messages_without_line_framing_are_separated_by_gap() {
    for framing in [Framing::Auto, Framing::Silence] {
        let mut connection = Connection::open(framing);
        connection
            .advance(100 * MS)
            .receive(b"Alice")
            .advance(100 * MS);
        connection
            .receive(b"Bob")
            .advance(100 * MS)
            .receive(b"exit")
            .advance(100 * MS);
        let at = |millis: u32| Time::START + millis * MS;
        assert_eq!(
            connection.output_at(),
            [
                (at(0), WELCOME.into()),
                (at(30), QUESTION.into()),
                (at(130), hello("Alice")),
                (at(160), QUESTION.into()),
                (at(230), hello("Bob")),
                (at(260), QUESTION.into()),
                (at(330), GOOD_BYE.into()),
            ]
        );
        assert_eq!(connection.closed, Some(CloseReason::Completed));
    }
}

#[test]
fn line_gets_reply_and_question_at_once() {
    for ending in ["\n", "\r\n"] {
        let mut connection = Connection::asked(Framing::Auto);
        connection.output();
        connection.receive(format!("Alice{ending}").as_bytes());
        assert_eq!(connection.output(), [reply("Alice")]);
        connection.receive(format!("Bob{ending}Eve{ending}exit{ending}").as_bytes());
        assert_eq!(
            connection.output(),
            [[&reply("Bob")[..], &reply("Eve"), GOOD_BYE].concat()]
        );
        assert_eq!(connection.closed, Some(CloseReason::Completed));
    }
}

#[test]
fn line_framing_never_waits() {
    let mut connection = Connection::open(Framing::Line);
    connection.receive(b"Alice\n").receive(b"Bob\nexit\n");
    assert_eq!(
        connection.output(),
        [GREETING, &reply("Alice"), &(reply("Bob") + GOOD_BYE),]
    );
    assert_eq!(connection.closed, Some(CloseReason::Completed));
}

#[test]
fn silence_after_partial_line_is_ignored() {
    let mut line = Connection::asked(Framing::Line);
    let mut line_peer = Connection::asked(Framing::Auto);
    line_peer.receive(b"Zoe\n");
    for connection in [&mut line, &mut line_peer] {
        connection.output();
        connection.receive(b"Al").advance(100 * GAP);
        assert_eq!(connection.output(), [""; 0]);
        connection.receive(b"ice\n");
        assert_eq!(connection.output(), [reply("Alice")]);
    }
}

#[test]
fn silence_framing_strips_only_a_final_line_feed() {
    let mut connection = Connection::asked(Framing::Silence);
    connection.receive(b"Alice\r\n").advance(GAP - MS);
    assert_eq!(connection.output(), [WELCOME, QUESTION]);
    connection.advance(MS + GAP);
    assert_eq!(connection.output(), [&hello("Alice"), QUESTION]);
    connection.receive(b"Bob\nEve\n").advance(2 * GAP);
    assert_eq!(connection.output(), [CONTROL_CHARACTER, QUESTION]);
    connection.receive(b"exit\n").advance(GAP);
    assert_eq!(connection.output(), [GOOD_BYE]);
}

#[test]
fn new_bytes_restart_the_quiet_gap() {
    let mut connection = Connection::asked(Framing::Auto);
    connection.output();
    for bytes in [b"A", b"l", b"i", b"c", b"e"] {
        connection.receive(bytes).advance(GAP - MS);
    }
    assert_eq!(connection.output(), [""; 0]);
    connection.advance(MS);
    assert_eq!(connection.output(), [hello("Alice")]);
}

#[test]
fn bytes_before_a_question_end_the_gap() {
    let mut connection = Connection::open(Framing::Auto);
    connection.advance(MS).receive(b"Alice");
    assert_eq!(connection.output(), [WELCOME, QUESTION]);
    connection.advance(GAP);
    assert_eq!(connection.output(), [hello("Alice")]);
    connection.advance(MS).receive(b"Bob");
    assert_eq!(connection.output(), [QUESTION]);
    connection.advance(GAP);
    assert_eq!(connection.output(), [hello("Bob")]);
    connection.advance(MS).receive(b"Eve\n");
    assert_eq!(connection.output(), [[QUESTION, &reply("Eve")].concat()]);
}

#[test]
fn name_is_returned_unchanged() {
    let names = [
        " ",
        " Bob  ",
        "EXIT",
        " exit",
        "exit ",
        "exit!",
        "quit",
        "名前",
        "\u{202e}eve",
        r"\n",
    ];
    for name in names {
        for framing in EVERY_FRAMING {
            let mut connection = Connection::asked(framing);
            connection.output();
            connection
                .receive(format!("{name}\n").as_bytes())
                .advance(2 * GAP);
            let expected = reply(name);
            assert_eq!(connection.transcript(), expected, "{framing}");
        }
    }
}

#[test]
fn empty_line_gets_question_without_mistake() {
    for framing in EVERY_FRAMING {
        let mut connection = Connection::asked(framing);
        connection.output();
        for _ in 0..50 {
            for line in ["\n", "\r\n"] {
                connection.receive(line.as_bytes()).advance(2 * GAP);
                assert_eq!(connection.output(), [QUESTION]);
            }
        }
        assert_eq!(connection.closed, None);
    }
}

#[test]
fn input_after_exit_is_not_answered() {
    for framing in [Framing::Auto, Framing::Line] {
        let mut connection = Connection::asked(framing);
        connection.output();
        connection.receive(b"exit\nAlice\nexit\n");
        assert_eq!(connection.output(), [GOOD_BYE]);
    }
}

#[test]
fn end_of_stream_ends_a_name_in_every_framing() {
    for framing in EVERY_FRAMING {
        for (sent, answer, reason) in [
            ("Alice", &hello("Alice")[..], CloseReason::Eof),
            ("exit", GOOD_BYE, CloseReason::Completed),
            ("", "", CloseReason::Eof),
            ("\u{7f}", CONTROL_CHARACTER, CloseReason::Eof),
        ] {
            let mut connection = Connection::asked(framing);
            connection.output();
            connection.receive(sent.as_bytes()).finish();
            assert_eq!(connection.transcript(), answer, "{framing}");
            assert_eq!(connection.closed, Some(reason));
        }
    }
}

#[test]
fn early_end_of_stream_is_answered_in_full() {
    for (framing, transcript) in [
        (
            Framing::Auto,
            &[GREETING, &reply("Alice"), &hello("Bob")].concat()[..],
        ),
        (
            Framing::Line,
            &[GREETING, &reply("Alice"), &hello("Bob")].concat()[..],
        ),
        (Framing::Silence, &[GREETING, CONTROL_CHARACTER].concat()),
    ] {
        let mut connection = Connection::open(framing);
        connection.buffer_input(b"Alice\nBob");
        connection.finish();
        assert_eq!(connection.transcript(), transcript);
        assert_eq!(connection.closed, Some(CloseReason::Eof));
    }
}

#[test]
fn end_of_stream_without_name_gets_no_question() {
    let mut connection = Connection::open(Framing::Auto);
    connection.finish();
    assert_eq!(connection.output(), [WELCOME]);
    let mut connection = Connection::asked(Framing::Auto);
    connection.receive(b"Alice").advance(GAP).finish();
    assert_eq!(connection.output(), [WELCOME, QUESTION, &hello("Alice")]);
}

#[test]
fn drain_answers_pending_names_then_good_bye() {
    for (framing, heard, unseen, transcript) in [
        (Framing::Auto, "", "", GOOD_BYE),
        (Framing::Auto, "Al", "", &(hello("Al") + GOOD_BYE)),
        (Framing::Auto, "Al", "ice", &(hello("Alice") + GOOD_BYE)),
        (Framing::Auto, "", "Al\nBo", &(reply("Al") + GOOD_BYE)),
        (Framing::Line, "Al", "", GOOD_BYE),
        (Framing::Line, "Al", "\nBob", &(reply("Al") + GOOD_BYE)),
        (Framing::Silence, "Al\n", "", &(hello("Al") + GOOD_BYE)),
    ] {
        let mut connection = Connection::asked(framing);
        connection.output();
        connection.receive(heard.as_bytes());
        connection.buffer_input(unseen.as_bytes());
        connection.drain();
        assert_eq!(
            connection.transcript(),
            transcript,
            "{framing} {heard:?} {unseen:?}"
        );
        assert_eq!(connection.closed, Some(CloseReason::Shutdown));
    }
}

#[test]
fn drain_answers_name_sent_before_its_question() {
    let mut connection = Connection::open(Framing::Auto);
    connection.buffer_input(b"Alice");
    connection.drain();
    assert_eq!(
        connection.transcript(),
        [GREETING, &hello("Alice"), GOOD_BYE].concat()
    );
    let mut connection = Connection::open(Framing::Auto);
    connection.buffer_input(b"exit");
    connection.drain();
    assert_eq!(connection.transcript(), [GREETING, GOOD_BYE].concat());
    assert_eq!(connection.closed, Some(CloseReason::Completed));
}
