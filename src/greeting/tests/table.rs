//! Tests of every event in every state.

use super::*;

/// The output, the wait and the next state for each of [`EVENTS`].
type Row<'a> = [(&'a str, &'a str, &'a str); 7];

/// `Data` adds `Bob` to the input; the other events add nothing.
const EVENTS: [Event; 7] = [
    Event::Open,
    Event::Data,
    Event::Eof,
    Event::Flushed,
    Event::Timeout,
    Event::Wake,
    Event::Drain,
];

/// Sets up a session with `bring` and delivers each event to it.
fn walk(bring: impl Fn() -> Connection, row: Row<'_>) {
    for (event, expected) in EVENTS.into_iter().zip(row) {
        let mut connection = bring();
        connection.output();
        connection.now = connection.now + MS;
        if event == Event::Data {
            connection.buffer_input(b"Bob");
        }
        let next = connection.step(event);
        let output = connection.transcript();
        let (waits, state) = (
            describe(next, &connection),
            connection.session.state.as_str(),
        );
        assert_eq!((&*output, &*waits, state), expected, "{event:?}");
    }
}

fn describe(next: Next, connection: &Connection) -> String {
    match next {
        Next::Read { until } if until == connection.now + GAP => "gap".into(),
        Next::Read { until } if until == connection.now + NAME_TIMEOUT => "name".into(),
        Next::Read { until } if until == connection.until => "on".into(),
        Next::Read { until } => format!("read until {until:?}"),
        Next::Pause { until } => format!("pause until {until:?}"),
        Next::Flush => "flush".into(),
        Next::Close(reason) => reason.to_string(),
        other => panic!("the greeting never returns {other:?}"),
    }
}

fn replied() -> Connection {
    let mut connection = Connection::asked(Framing::Auto);
    connection.receive(b"Al").advance(GAP);
    connection
}

/// Starts a drain with room for the answer to the first of three names only.
fn owing() -> Connection {
    let mut connection = Connection::asked(Framing::Line).with_mark(27);
    connection.buffer_input(b"Al\nBo\nCy\nEve");
    assert_eq!(connection.step(Event::Drain), Next::Flush);
    connection
}

fn closed() -> Connection {
    let mut connection = Connection::asked(Framing::Line);
    connection.receive(b"exit\n");
    connection
}

#[test]
fn greeting_handles_each_event() {
    walk(
        || Connection::open(Framing::Auto),
        [
            (WELCOME, "gap", "Greeting"),
            (QUESTION, "gap", "AwaitName"),
            ("", "peer finished", "Closing"),
            ("", "gap", "Greeting"),
            (QUESTION, "name", "AwaitName"),
            ("", "gap", "Greeting"),
            (GOOD_BYE, "drained", "Closing"),
        ],
    );
}

#[test]
fn greeting_in_line_framing_asks_at_once() {
    let mut connection = Connection::accepted(Config {
        framing: Framing::Line,
        ..Config::default()
    });
    let next = connection.step(Event::Open);
    assert_eq!(connection.output(), [GREETING]);
    assert_eq!(describe(next, &connection), "name");
    assert_eq!(connection.session.state.as_str(), "AwaitName");
}

#[test]
fn await_name_without_input_handles_each_event() {
    walk(
        || Connection::asked(Framing::Auto),
        [
            ("", "on", "AwaitName"),
            ("", "gap", "AwaitName"),
            ("", "peer finished", "Closing"),
            ("", "name", "AwaitName"),
            (TOO_SLOW, "timed out", "Closing"),
            ("", "on", "AwaitName"),
            (GOOD_BYE, "drained", "Closing"),
        ],
    );
}

#[test]
fn await_name_with_partial_name_handles_each_event() {
    walk(
        || {
            let mut connection = Connection::asked(Framing::Auto);
            connection.receive(b"Al");
            connection
        },
        [
            ("", "gap", "AwaitName"),
            ("", "gap", "AwaitName"),
            (&hello("Al"), "peer finished", "Closing"),
            ("", "gap", "AwaitName"),
            (&hello("Al"), "gap", "Reply"),
            ("", "gap", "AwaitName"),
            (&(hello("Al") + GOOD_BYE), "drained", "Closing"),
        ],
    );
}

#[test]
fn await_line_without_input_handles_each_event() {
    walk(
        || Connection::asked(Framing::Line),
        [
            ("", "on", "AwaitName"),
            ("", "on", "AwaitName"),
            ("", "peer finished", "Closing"),
            ("", "name", "AwaitName"),
            (TOO_SLOW, "timed out", "Closing"),
            ("", "on", "AwaitName"),
            (GOOD_BYE, "drained", "Closing"),
        ],
    );
}

#[test]
fn await_line_with_partial_line_handles_each_event() {
    walk(
        || {
            let mut connection = Connection::asked(Framing::Auto);
            connection.receive(b"Zoe\nAl");
            connection
        },
        [
            ("", "on", "AwaitName"),
            ("", "on", "AwaitName"),
            (&hello("Al"), "peer finished", "Closing"),
            ("", "name", "AwaitName"),
            (TOO_SLOW, "timed out", "Closing"),
            ("", "on", "AwaitName"),
            (GOOD_BYE, "drained", "Closing"),
        ],
    );
}

#[test]
fn reply_handles_each_event() {
    walk(
        replied,
        [
            ("", "gap", "Reply"),
            (QUESTION, "gap", "AwaitName"),
            ("", "peer finished", "Closing"),
            ("", "gap", "Reply"),
            (QUESTION, "name", "AwaitName"),
            ("", "gap", "Reply"),
            (GOOD_BYE, "drained", "Closing"),
        ],
    );
}

#[test]
fn closing_with_pending_answers_handles_each_event() {
    walk(owing, [(&reply("Bo")[..], "flush", "Closing"); 7]);
    let mut connection = owing();
    connection.output();
    connection.deliver(Event::Flushed);
    let rest = [reply("Bo"), reply("Cy") + GOOD_BYE];
    assert_eq!(connection.output(), rest);
    assert_eq!(connection.closed, Some(CloseReason::Shutdown));
}

#[test]
fn closed_session_handles_each_event() {
    walk(closed, [("", "finished", "Closing"); 7]);
}
