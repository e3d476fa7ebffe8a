//! Every event in every state.

use super::*;

/// What is said, what is waited for, and the state that follows, for each of [`EVENTS`].
type Row = [(&'static str, &'static str, &'static str); 7];

/// `Data` brings `Bob`; at the other events there is nothing new.
const EVENTS: [Event; 7] = [
    Event::Open,
    Event::Data,
    Event::Eof,
    Event::Flushed,
    Event::Timeout,
    Event::Wake,
    Event::Drain,
];

/// Brings a session into the state that `row` is about, then lets each event happen to it.
fn walk(bring: impl Fn() -> Wire, row: Row) {
    for (event, expected) in EVENTS.into_iter().zip(row) {
        let mut wire = bring();
        wire.said();
        wire.now = wire.now + MS;
        if event == Event::Data {
            wire.put(b"Bob");
        }
        let next = wire.step(event);
        let said = wire.transcript();
        let (waits, state) = (describe(next, &wire), wire.session.state.as_str());
        assert_eq!((&*said, &*waits, state), expected, "{event:?}");
    }
}

fn describe(next: Next, wire: &Wire) -> String {
    match next {
        Next::Read { until } if until == wire.now + GAP => "gap".into(),
        Next::Read { until } if until == wire.now + NAME_TIMEOUT => "name".into(),
        Next::Read { until } if until == wire.until => "on".into(),
        Next::Read { until } => format!("read until {until:?}"),
        Next::Pause { until } => format!("pause until {until:?}"),
        Next::Flush => "flush".into(),
        Next::Close(why) => why.to_string(),
    }
}

fn replied() -> Wire {
    let mut wire = Wire::asked(Framing::Auto);
    wire.hear(b"Al").wait(GAP);
    wire
}

/// The drain has begun; there was room for the answer to the first of three names only.
fn owing() -> Wire {
    let mut wire = Wire::asked(Framing::Line).with_mark(27);
    wire.put(b"Al\nBo\nCy\nEve");
    assert_eq!(wire.step(Event::Drain), Next::Flush);
    wire
}

fn ended() -> Wire {
    let mut wire = Wire::asked(Framing::Line);
    wire.hear(b"exit\n");
    wire
}

#[test]
fn greeting() {
    walk(
        || Wire::open(Framing::Auto),
        [
            ("Welcome!\n", "gap", "Greeting"),
            ("What's your name?", "gap", "AwaitName"),
            ("", "peer finished", "Closing"),
            ("", "gap", "Greeting"),
            ("What's your name?", "name", "AwaitName"),
            ("", "gap", "Greeting"),
            ("Good bye!\n", "drained", "Closing"),
        ],
    );
}

#[test]
fn greeting_a_peer_of_the_line_framing() {
    let mut wire = Wire::accepted(Config {
        framing: Framing::Line,
        ..Config::default()
    });
    let next = wire.step(Event::Open);
    assert_eq!(wire.said(), ["Welcome!\nWhat's your name?"]);
    assert_eq!(describe(next, &wire), "name");
    assert_eq!(wire.session.state.as_str(), "AwaitName");
}

#[test]
fn awaiting_a_name_of_which_nothing_has_come() {
    walk(
        || Wire::asked(Framing::Auto),
        [
            ("", "on", "AwaitName"),
            ("", "gap", "AwaitName"),
            ("", "peer finished", "Closing"),
            ("", "name", "AwaitName"),
            ("You took too long. Good bye!\n", "timed out", "Closing"),
            ("", "on", "AwaitName"),
            ("Good bye!\n", "drained", "Closing"),
        ],
    );
}

#[test]
fn awaiting_the_rest_of_a_name() {
    walk(
        || {
            let mut wire = Wire::asked(Framing::Auto);
            wire.hear(b"Al");
            wire
        },
        [
            ("", "gap", "AwaitName"),
            ("", "gap", "AwaitName"),
            ("Hello Al!\n", "peer finished", "Closing"),
            ("", "gap", "AwaitName"),
            ("Hello Al!\n", "gap", "Reply"),
            ("", "gap", "AwaitName"),
            ("Hello Al!\nGood bye!\n", "drained", "Closing"),
        ],
    );
}

#[test]
fn awaiting_a_line_of_which_nothing_has_come() {
    walk(
        || Wire::asked(Framing::Line),
        [
            ("", "on", "AwaitName"),
            ("", "on", "AwaitName"),
            ("", "peer finished", "Closing"),
            ("", "name", "AwaitName"),
            ("You took too long. Good bye!\n", "timed out", "Closing"),
            ("", "on", "AwaitName"),
            ("Good bye!\n", "drained", "Closing"),
        ],
    );
}

#[test]
fn awaiting_the_rest_of_a_line() {
    walk(
        || {
            let mut wire = Wire::asked(Framing::Auto);
            wire.hear(b"Zoe\nAl");
            wire
        },
        [
            ("", "on", "AwaitName"),
            ("", "on", "AwaitName"),
            ("Hello Al!\n", "peer finished", "Closing"),
            ("", "name", "AwaitName"),
            ("You took too long. Good bye!\n", "timed out", "Closing"),
            ("", "on", "AwaitName"),
            ("Good bye!\n", "drained", "Closing"),
        ],
    );
}

#[test]
fn having_replied() {
    walk(
        replied,
        [
            ("", "gap", "Reply"),
            ("What's your name?", "gap", "AwaitName"),
            ("", "peer finished", "Closing"),
            ("", "gap", "Reply"),
            ("What's your name?", "name", "AwaitName"),
            ("", "gap", "Reply"),
            ("Good bye!\n", "drained", "Closing"),
        ],
    );
}

#[test]
fn closing_with_answers_owed() {
    const REST: (&str, &str, &str) = ("Hello Bo!\nWhat's your name?", "flush", "Closing");
    walk(owing, [REST; 7]);
    let mut wire = owing();
    wire.said();
    wire.offer(Event::Flushed);
    let rest = [
        "Hello Bo!\nWhat's your name?",
        "Hello Cy!\nWhat's your name?Good bye!\n",
    ];
    assert_eq!(wire.said(), rest);
    assert_eq!(wire.ended, Some(CloseReason::Shutdown));
}

#[test]
fn closing_with_the_last_word_said() {
    walk(ended, [("", "finished", "Closing"); 7]);
}
