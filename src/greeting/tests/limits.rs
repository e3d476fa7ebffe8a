//! Refusals, deadlines and back-pressure.

use proptest::prelude::*;

use super::*;

const TOO_LONG: &str = "Sorry, that name is longer than 1024 bytes. Good bye!\n";
const TOO_SLOW: &str = "You took too long. Good bye!\n";
const NOT_UTF8: &str = "Sorry, that name is not valid UTF-8.\n";
const CONTROL: &str = "Sorry, a name has no control characters.\n";
const QUESTION: &str = "What's your name?";

/// The answer to `bytes` as one name, whatever ends it, in each framing.
fn assert_answer(bytes: &[u8], answer: &str) {
    for framing in EVERY_FRAMING {
        let mut wire = Wire::asked(framing);
        wire.said();
        wire.hear(bytes).hear(b"\n").wait(2 * GAP);
        assert_eq!(wire.transcript(), answer, "{framing} {bytes:?}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
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
fn control_characters_are_refused() {
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
        assert_answer(name.as_bytes(), &[CONTROL, QUESTION].concat());
    }
}

#[test]
fn the_tenth_mistake_ends_the_session_with_one_line() {
    for framing in EVERY_FRAMING {
        let mut wire = Wire::asked(framing);
        wire.said();
        for mistake in 1..=9 {
            let bytes: &[u8] = if mistake % 2 == 0 { b"\0\n" } else { b"\xff\n" };
            wire.hear(bytes).wait(2 * GAP);
            assert!(wire.transcript().ends_with(QUESTION));
            wire.hear(b"Alice\n").wait(2 * GAP);
            assert_eq!(wire.transcript(), ["Hello Alice!\n", QUESTION].concat());
        }
        wire.hear(b"\0\n").wait(GAP);
        assert_eq!(wire.said(), ["Too many mistakes. Good bye!\n"]);
        assert_eq!(wire.ended, Some(CloseReason::ProtocolError));
    }
}

#[test]
fn mistake_that_waited_for_room_is_counted_once() {
    let config = Config {
        framing: Framing::Line,
        ..Config::default()
    };
    let mut wire = Wire::open_with(config).with_mark(64);
    wire.said();
    wire.hear(&b"\0\n".repeat(9));
    assert_eq!(wire.transcript(), [CONTROL, QUESTION].concat().repeat(9));
    assert_eq!(wire.ended, None);
}

#[test]
fn the_longest_name_is_answered_and_a_longer_one_ends_the_session() {
    for framing in EVERY_FRAMING {
        for ending in ["\n", "\r\n"] {
            for length in [1023, 1024, 1025] {
                let name = "x".repeat(length);
                let mut wire = Wire::asked(framing);
                wire.said();
                wire.hear(format!("{name}{ending}").as_bytes())
                    .wait(2 * GAP);
                let (answer, ended) = if length > 1024 {
                    (TOO_LONG.to_owned(), Some(CloseReason::ProtocolError))
                } else {
                    (format!("Hello {name}!\n{QUESTION}"), None)
                };
                assert_eq!((wire.transcript(), wire.ended), (answer, ended));
            }
        }
    }
}

#[test]
fn a_name_is_refused_as_soon_as_it_is_certainly_too_long() {
    for framing in EVERY_FRAMING {
        let mut wire = Wire::asked(framing);
        wire.said();
        for _ in 0..1024 {
            wire.hear(b"x");
            assert_eq!(wire.said(), [""; 0]);
        }
        wire.hear(b"x");
        assert_eq!(wire.said(), [TOO_LONG]);
        assert_eq!(wire.ended, Some(CloseReason::ProtocolError));
    }
}

#[test]
fn a_line_ending_in_two_reads_does_not_make_a_name_too_long() {
    for framing in EVERY_FRAMING {
        let name = "x".repeat(1024);
        let mut wire = Wire::asked(framing);
        wire.said();
        wire.hear(name.as_bytes())
            .hear(b"\r")
            .hear(b"\n")
            .wait(2 * GAP);
        assert_eq!(wire.transcript(), format!("Hello {name}!\n{QUESTION}"));
    }
    let mut wire = Wire::asked(Framing::Auto);
    wire.said();
    wire.hear("x".repeat(1024).as_bytes()).hear(b"\r").wait(GAP);
    assert_eq!(wire.said(), [TOO_LONG], "a CR alone is no line ending");
}

#[test]
fn the_length_is_counted_in_bytes() {
    let longest = "é".repeat(512);
    assert_answer(longest.as_bytes(), &format!("Hello {longest}!\n{QUESTION}"));
    assert_answer(format!("{longest}x").as_bytes(), TOO_LONG);
}

#[test]
fn the_refusal_names_the_length_that_is_set() {
    let mut wire = Wire::open_with(Config {
        framing: Framing::Line,
        name_bytes_max: 3,
        ..Config::default()
    });
    wire.said();
    wire.hear(b"Bob\nAlice\n");
    assert_eq!(
        wire.transcript(),
        "Hello Bob!\nWhat's your name?Sorry, that name is longer than 3 bytes. Good bye!\n"
    );
}

#[test]
fn whoever_is_turned_away_is_told_so() {
    use oneloop::Service;
    for why in [
        oneloop::service::EndReason::ServerFull,
        oneloop::service::EndReason::AddressLimit,
    ] {
        assert_eq!(
            Greeter::default().refusal_message(why),
            b"Sorry, the server is full. Please try again later.\n"
        );
    }
}

#[test]
fn who_sends_no_name_in_time_is_told_so() {
    for framing in EVERY_FRAMING {
        let mut wire = Wire::asked(framing);
        wire.said();
        let asked_at = wire.now;
        wire.wait(2 * NAME_TIMEOUT);
        assert_eq!(wire.said_at(), [(asked_at + NAME_TIMEOUT, TOO_SLOW.into())]);
        assert_eq!(wire.ended, Some(CloseReason::Timeout));
    }
}

#[test]
fn bytes_that_drip_in_do_not_extend_the_time_for_a_name() {
    for framing in EVERY_FRAMING {
        let mut wire = Wire::open_with(Config {
            framing,
            name_bytes_max: 4096,
            ..Config::default()
        });
        wire.wait(GAP).said();
        let asked_at = wire.now;
        while wire.ended.is_none() {
            wire.hear(b"x").wait(20 * MS);
        }
        let deadline = match framing {
            Framing::Line => Time::START + NAME_TIMEOUT,
            Framing::Auto | Framing::Silence => asked_at + NAME_TIMEOUT,
        };
        assert_eq!(wire.said_at(), [(deadline, TOO_SLOW.into())]);
        assert_eq!(wire.ended, Some(CloseReason::Timeout));
    }
}

#[test]
fn every_question_gives_the_whole_time_again() {
    for framing in EVERY_FRAMING {
        let mut wire = Wire::asked(framing);
        for _ in 0..5 {
            wire.wait(NAME_TIMEOUT - 4 * GAP)
                .hear(b"Alice\n")
                .wait(2 * GAP);
        }
        assert_eq!(wire.ended, None);
        wire.said();
        wire.wait(NAME_TIMEOUT);
        assert_eq!(wire.said(), [TOO_SLOW]);
    }
}

#[test]
fn a_deadline_that_comes_early_means_what_it_was_set_for() {
    let mut idle = Wire::asked(Framing::Auto);
    idle.said();
    idle.offer(Event::Timeout);
    assert_eq!(idle.said(), [TOO_SLOW]);

    let mut line = Wire::asked(Framing::Line);
    line.said();
    line.hear(b"Al").offer(Event::Timeout);
    assert_eq!(line.said(), [TOO_SLOW]);

    let mut partial = Wire::asked(Framing::Auto);
    partial.said();
    partial.hear(b"Al").offer(Event::Timeout);
    assert_eq!(partial.said(), ["Hello Al!\n"]);
}

#[test]
fn ten_thousand_pipelined_names_are_answered_in_order_through_a_small_output() {
    let config = Config {
        framing: Framing::Line,
        ..Config::default()
    };
    let names: Vec<String> = (0..10_000).map(|number| format!("name {number}")).collect();
    let expected: String = names
        .iter()
        .map(|name| format!("Hello {name}!\n{QUESTION}"))
        .collect();
    for finish in [false, true] {
        let mut wire = Wire::open_with(config.clone()).with_mark(2048);
        wire.said();
        wire.put(names.join("\n").as_bytes());
        wire.put(b"\n");
        wire.offer(if finish { Event::Eof } else { Event::Data });
        assert_eq!(wire.transcript(), expected);
        assert!(
            wire.steps <= expected.len() / 2048 + 3,
            "{} steps",
            wire.steps
        );
        assert_eq!(wire.ended, finish.then_some(CloseReason::Eof));
    }
}

#[test]
fn what_is_owed_is_answered_through_the_smallest_output_whatever_ends_the_session() {
    let longest = "x".repeat(1024);
    for event in [Event::Eof, Event::Drain] {
        for framing in EVERY_FRAMING {
            let mut wire = Wire::open(framing).with_mark(1024 + 25);
            wire.put(longest.as_bytes());
            wire.offer(event);
            let bye = if event == Event::Drain {
                "Good bye!\n"
            } else {
                ""
            };
            let hello = if (event, framing) == (Event::Drain, Framing::Line) {
                String::new()
            } else {
                format!("Hello {longest}!\n")
            };
            assert_eq!(
                wire.transcript(),
                format!("Welcome!\n{QUESTION}{hello}{bye}")
            );
        }
    }
}

proptest! {
    #[test]
    fn the_room_for_output_changes_nothing_but_the_number_of_writes(
        names in proptest::collection::vec("(exit|[a-z]{0,12}|\u{7f}|é)\r?\n", 0..40),
        room in 60_usize..200,
        event in prop::sample::select(vec![Event::Data, Event::Eof, Event::Drain]),
        framing in prop::sample::select(vec![Framing::Auto, Framing::Line]),
    ) {
        let talk = |room| {
            let mut wire = Wire::open(framing).with_mark(room);
            wire.put(names.concat().as_bytes());
            wire.offer(event);
            (wire.transcript(), wire.ended)
        };
        prop_assert_eq!(talk(room), talk(1 << 20));
    }
}
