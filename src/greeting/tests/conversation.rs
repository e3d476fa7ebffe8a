//! Whole conversations.

use super::*;

#[test]
fn a_peer_that_takes_one_read_for_one_message_gets_each_message_alone() {
    for framing in [Framing::Auto, Framing::Silence] {
        let mut wire = Wire::open(framing);
        wire.wait(100 * MS).hear(b"Alice").wait(100 * MS);
        wire.hear(b"Bob")
            .wait(100 * MS)
            .hear(b"exit")
            .wait(100 * MS);
        let at = |millis: u32| Time::START + millis * MS;
        assert_eq!(
            wire.said_at(),
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
        assert_eq!(wire.ended, Some(CloseReason::Completed));
    }
}

#[test]
fn a_peer_that_sends_lines_gets_reply_and_question_at_once() {
    for ending in ["\n", "\r\n"] {
        let mut wire = Wire::asked(Framing::Auto);
        wire.said();
        wire.hear(format!("Alice{ending}").as_bytes());
        assert_eq!(wire.said(), ["Hello Alice!\nWhat's your name?"]);
        wire.hear(format!("Bob{ending}Eve{ending}exit{ending}").as_bytes());
        assert_eq!(
            wire.said(),
            ["Hello Bob!\nWhat's your name?Hello Eve!\nWhat's your name?Good bye!\n"]
        );
        assert_eq!(wire.ended, Some(CloseReason::Completed));
    }
}

#[test]
fn line_framing_never_waits() {
    let mut wire = Wire::open(Framing::Line);
    wire.hear(b"Alice\n").hear(b"Bob\nexit\n");
    assert_eq!(
        wire.said(),
        [
            "Welcome!\nWhat's your name?",
            "Hello Alice!\nWhat's your name?",
            "Hello Bob!\nWhat's your name?Good bye!\n",
        ]
    );
    assert_eq!(wire.ended, Some(CloseReason::Completed));
}

#[test]
fn silence_does_not_end_a_line() {
    let mut line = Wire::asked(Framing::Line);
    let mut line_peer = Wire::asked(Framing::Auto);
    line_peer.hear(b"Zoe\n");
    for wire in [&mut line, &mut line_peer] {
        wire.said();
        wire.hear(b"Al").wait(100 * GAP);
        assert_eq!(wire.said(), [""; 0]);
        wire.hear(b"ice\n");
        assert_eq!(wire.said(), ["Hello Alice!\nWhat's your name?"]);
    }
}

#[test]
fn silence_framing_gives_a_line_feed_no_meaning_but_at_the_end() {
    let mut wire = Wire::asked(Framing::Silence);
    wire.hear(b"Alice\r\n").wait(GAP - MS);
    assert_eq!(wire.said(), ["Welcome!\n", "What's your name?"]);
    wire.wait(MS + GAP);
    assert_eq!(wire.said(), ["Hello Alice!\n", "What's your name?"]);
    wire.hear(b"Bob\nEve\n").wait(2 * GAP);
    assert_eq!(
        wire.said(),
        [
            "Sorry, a name has no control characters.\n",
            "What's your name?"
        ]
    );
    wire.hear(b"exit\n").wait(GAP);
    assert_eq!(wire.said(), ["Good bye!\n"]);
}

#[test]
fn new_bytes_begin_the_quiet_gap_anew() {
    let mut wire = Wire::asked(Framing::Auto);
    wire.said();
    for bytes in [b"A", b"l", b"i", b"c", b"e"] {
        wire.hear(bytes).wait(GAP - MS);
    }
    assert_eq!(wire.said(), [""; 0]);
    wire.wait(MS);
    assert_eq!(wire.said(), ["Hello Alice!\n"]);
}

#[test]
fn bytes_end_the_pause_before_a_question_at_once() {
    let mut wire = Wire::open(Framing::Auto);
    wire.wait(MS).hear(b"Alice");
    assert_eq!(wire.said(), ["Welcome!\n", "What's your name?"]);
    wire.wait(GAP);
    assert_eq!(wire.said(), ["Hello Alice!\n"]);
    wire.wait(MS).hear(b"Bob");
    assert_eq!(wire.said(), ["What's your name?"]);
    wire.wait(GAP);
    assert_eq!(wire.said(), ["Hello Bob!\n"]);
    wire.wait(MS).hear(b"Eve\n");
    assert_eq!(
        wire.said(),
        ["What's your name?Hello Eve!\nWhat's your name?"]
    );
}

#[test]
fn names_go_out_as_they_came() {
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
            let mut wire = Wire::asked(framing);
            wire.said();
            wire.hear(format!("{name}\n").as_bytes()).wait(2 * GAP);
            let expected = format!("Hello {name}!\nWhat's your name?");
            assert_eq!(wire.transcript(), expected, "{framing}");
        }
    }
}

#[test]
fn an_empty_line_gets_the_question_and_is_no_mistake() {
    for framing in EVERY_FRAMING {
        let mut wire = Wire::asked(framing);
        wire.said();
        for _ in 0..50 {
            for line in ["\n", "\r\n"] {
                wire.hear(line.as_bytes()).wait(2 * GAP);
                assert_eq!(wire.said(), ["What's your name?"]);
            }
        }
        assert_eq!(wire.ended, None);
    }
}

#[test]
fn nothing_is_answered_after_exit() {
    for framing in [Framing::Auto, Framing::Line] {
        let mut wire = Wire::asked(framing);
        wire.said();
        wire.hear(b"exit\nAlice\nexit\n");
        assert_eq!(wire.said(), ["Good bye!\n"]);
    }
}

#[test]
fn the_end_of_the_stream_ends_a_name_in_every_framing() {
    for framing in EVERY_FRAMING {
        for (sent, answer, why) in [
            ("Alice", "Hello Alice!\n", CloseReason::Eof),
            ("exit", "Good bye!\n", CloseReason::Completed),
            ("", "", CloseReason::Eof),
            (
                "\u{7f}",
                "Sorry, a name has no control characters.\n",
                CloseReason::Eof,
            ),
        ] {
            let mut wire = Wire::asked(framing);
            wire.said();
            wire.hear(sent.as_bytes()).finish();
            assert_eq!(wire.transcript(), answer, "{framing}");
            assert_eq!(wire.ended, Some(why));
        }
    }
}

#[test]
fn a_peer_that_sends_everything_and_finishes_at_once_is_answered_in_full() {
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
        let mut wire = Wire::open(framing);
        wire.put(b"Alice\nBob");
        wire.finish();
        assert_eq!(wire.transcript(), transcript);
        assert_eq!(wire.ended, Some(CloseReason::Eof));
    }
}

#[test]
fn a_peer_that_sends_nothing_and_finishes_is_asked_no_more() {
    let mut wire = Wire::open(Framing::Auto);
    wire.finish();
    assert_eq!(wire.said(), ["Welcome!\n"]);
    let mut wire = Wire::asked(Framing::Auto);
    wire.hear(b"Alice").wait(GAP).finish();
    assert_eq!(
        wire.said(),
        ["Welcome!\n", "What's your name?", "Hello Alice!\n"]
    );
}

#[test]
fn draining_answers_what_is_owed_and_says_good_bye() {
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
        let mut wire = Wire::asked(framing);
        wire.said();
        wire.hear(heard.as_bytes());
        wire.put(unseen.as_bytes());
        wire.drain();
        assert_eq!(
            wire.transcript(),
            transcript,
            "{framing} {heard:?} {unseen:?}"
        );
        assert_eq!(wire.ended, Some(CloseReason::Shutdown));
    }
}

#[test]
fn draining_answers_a_name_that_comes_before_its_question() {
    let mut wire = Wire::open(Framing::Auto);
    wire.put(b"Alice");
    wire.drain();
    assert_eq!(
        wire.transcript(),
        "Welcome!\nWhat's your name?Hello Alice!\nGood bye!\n"
    );
    let mut wire = Wire::open(Framing::Auto);
    wire.put(b"exit");
    wire.drain();
    assert_eq!(wire.transcript(), "Welcome!\nWhat's your name?Good bye!\n");
    assert_eq!(wire.ended, Some(CloseReason::Completed));
}
