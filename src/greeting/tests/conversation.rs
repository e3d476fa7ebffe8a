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
                (at(0), "Welcome!\n".into()),
                (at(30), "What's your name?".into()),
                (at(130), "Hello Alice!\n".into()),
                (at(160), "What's your name?".into()),
                (at(230), "Hello Bob!\n".into()),
                (at(260), "What's your name?".into()),
                (at(330), "Good bye!\n".into()),
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
        assert_eq!(connection.output(), ["Hello Alice!\nWhat's your name?"]);
        connection.receive(format!("Bob{ending}Eve{ending}exit{ending}").as_bytes());
        assert_eq!(
            connection.output(),
            ["Hello Bob!\nWhat's your name?Hello Eve!\nWhat's your name?Good bye!\n"]
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
        [
            "Welcome!\nWhat's your name?",
            "Hello Alice!\nWhat's your name?",
            "Hello Bob!\nWhat's your name?Good bye!\n",
        ]
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
        assert_eq!(connection.output(), ["Hello Alice!\nWhat's your name?"]);
    }
}

#[test]
fn silence_framing_strips_only_a_final_line_feed() {
    let mut connection = Connection::asked(Framing::Silence);
    connection.receive(b"Alice\r\n").advance(GAP - MS);
    assert_eq!(connection.output(), ["Welcome!\n", "What's your name?"]);
    connection.advance(MS + GAP);
    assert_eq!(connection.output(), ["Hello Alice!\n", "What's your name?"]);
    connection.receive(b"Bob\nEve\n").advance(2 * GAP);
    assert_eq!(
        connection.output(),
        [
            "Sorry, a name has no control characters.\n",
            "What's your name?"
        ]
    );
    connection.receive(b"exit\n").advance(GAP);
    assert_eq!(connection.output(), ["Good bye!\n"]);
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
    assert_eq!(connection.output(), ["Hello Alice!\n"]);
}

#[test]
fn bytes_before_a_question_end_the_gap() {
    let mut connection = Connection::open(Framing::Auto);
    connection.advance(MS).receive(b"Alice");
    assert_eq!(connection.output(), ["Welcome!\n", "What's your name?"]);
    connection.advance(GAP);
    assert_eq!(connection.output(), ["Hello Alice!\n"]);
    connection.advance(MS).receive(b"Bob");
    assert_eq!(connection.output(), ["What's your name?"]);
    connection.advance(GAP);
    assert_eq!(connection.output(), ["Hello Bob!\n"]);
    connection.advance(MS).receive(b"Eve\n");
    assert_eq!(
        connection.output(),
        ["What's your name?Hello Eve!\nWhat's your name?"]
    );
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
            let expected = format!("Hello {name}!\nWhat's your name?");
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
                assert_eq!(connection.output(), ["What's your name?"]);
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
        assert_eq!(connection.output(), ["Good bye!\n"]);
    }
}

#[test]
fn end_of_stream_ends_a_name_in_every_framing() {
    for framing in EVERY_FRAMING {
        for (sent, answer, reason) in [
            ("Alice", "Hello Alice!\n", CloseReason::Eof),
            ("exit", "Good bye!\n", CloseReason::Completed),
            ("", "", CloseReason::Eof),
            (
                "\u{7f}",
                "Sorry, a name has no control characters.\n",
                CloseReason::Eof,
            ),
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
            "Welcome!\nWhat's your name?Hello Alice!\nWhat's your name?Hello Bob!\n",
        ),
        (
            Framing::Line,
            "Welcome!\nWhat's your name?Hello Alice!\nWhat's your name?Hello Bob!\n",
        ),
        (
            Framing::Silence,
            "Welcome!\nWhat's your name?Sorry, a name has no control characters.\n",
        ),
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
    assert_eq!(connection.output(), ["Welcome!\n"]);
    let mut connection = Connection::asked(Framing::Auto);
    connection.receive(b"Alice").advance(GAP).finish();
    assert_eq!(
        connection.output(),
        ["Welcome!\n", "What's your name?", "Hello Alice!\n"]
    );
}

#[test]
fn drain_answers_pending_names_then_good_bye() {
    for (framing, heard, unseen, transcript) in [
        (Framing::Auto, "", "", "Good bye!\n"),
        (Framing::Auto, "Al", "", "Hello Al!\nGood bye!\n"),
        (Framing::Auto, "Al", "ice", "Hello Alice!\nGood bye!\n"),
        (
            Framing::Auto,
            "",
            "Al\nBo",
            "Hello Al!\nWhat's your name?Good bye!\n",
        ),
        (Framing::Line, "Al", "", "Good bye!\n"),
        (
            Framing::Line,
            "Al",
            "\nBob",
            "Hello Al!\nWhat's your name?Good bye!\n",
        ),
        (Framing::Silence, "Al\n", "", "Hello Al!\nGood bye!\n"),
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
        "Welcome!\nWhat's your name?Hello Alice!\nGood bye!\n"
    );
    let mut connection = Connection::open(Framing::Auto);
    connection.buffer_input(b"exit");
    connection.drain();
    assert_eq!(
        connection.transcript(),
        "Welcome!\nWhat's your name?Good bye!\n"
    );
    assert_eq!(connection.closed, Some(CloseReason::Completed));
}
