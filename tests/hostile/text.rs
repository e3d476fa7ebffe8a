//! Group B: bytes and text.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::common::{
    CONTROL_CHARACTER, Client, GOOD_BYE, NOT_UTF8, QUESTION, Scene, Server, hello, reply,
};

#[test]
fn b1_character_split_across_segments_is_whole() {
    let mut scene = Scene::new(&["--framing", "line"]);
    let name = "\u{e9}\u{20ac}\u{1f600}";
    for cut in 1..name.len() {
        let mut client = scene.welcomed();
        client.send(&name.as_bytes()[..cut]);
        scene.check_bystander();
        client.send(&name.as_bytes()[cut..]);
        client.send("\n");
        client.expect(reply(name));
        client.leave();
    }
    scene.end();
}

#[test]
fn b2_invalid_utf8_is_refused_session_continues() {
    let mut scene = Scene::new(&[]);
    let ill_formed: [&[u8]; 9] = [
        b"\x80",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf5",
        b"\xff",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"a\xf0\x9f\x98",
        b"\xfe\xff",
    ];
    let mut client = scene.welcomed();
    for name in ill_formed {
        client.send([name, b"\n"].concat());
        client.expect(NOT_UTF8);
        client.expect(QUESTION);
    }
    scene.check_bystander();
    client.leave();
    scene.end();
}

#[test]
fn b2_character_truncated_by_the_end_is_not_utf8() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    client.send(b"al\xe2\x82");
    client.finish();
    client.expect_last(NOT_UTF8);
    scene.check_bystander();
    scene.end();
}

#[test]
fn b3_nul_is_refused_as_a_control_character() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    for name in ["a\0b", "\0", "\0a", "a\0"] {
        client.send(format!("{name}\nalice\n"));
        client.expect([CONTROL_CHARACTER, QUESTION].concat());
        client.expect(reply("alice"));
    }
    scene.check_bystander();
    client.leave();
    scene.end();
}

#[test]
fn b4_control_characters_never_reach_the_log() {
    let mut scene = Scene::of(Server::start(&["--log-level", "trace"]));
    let names = (0u8..0x20).chain([0x7f]).filter(|byte| *byte != b'\n');
    let names = names.map(|byte| format!("a{}b", char::from(byte)));
    let sequences = ["\x1b[2J", "\x1b]0;title\x07", "\x07", "a\x1b[31mred"].map(String::from);
    for name in names.chain(sequences) {
        let mut client = scene.welcomed();
        client.send(format!("{name}\n"));
        client.expect([CONTROL_CHARACTER, QUESTION].concat());
        client.leave();
    }
    scene.check_bystander();
    assert_log_is_printable(&scene.log().lines());
    scene.end();
}

#[test]
fn b5_c1_controls_are_refused_odd_names_are_not() {
    let mut scene = Scene::of(Server::start(&["--log-level", "trace"]));
    for refused in ["\u{9b}2J", "a\u{85}b", "\u{80}", "\u{9f}"] {
        let mut client = scene.welcomed();
        client.send(format!("{refused}\n"));
        client.expect([CONTROL_CHARACTER, QUESTION].concat());
        client.leave();
    }
    let combining = format!("Z{}", "\u{301}".repeat(200));
    let odd = [
        "a\u{2028}b",
        "\u{2029}",
        "\u{202e}drawkcab",
        "\u{2066}x\u{2069}",
        "\u{200b}",
        "\u{feff}bom",
        &combining,
        "\u{e000}",
    ];
    let mut client = scene.welcomed();
    for name in odd {
        client.round_trip(name);
        let escaped = name.as_bytes().escape_ascii().to_string();
        scene.log().wait_for(&escaped, 0);
    }
    client.leave();
    scene.check_bystander();
    assert_log_is_printable(&scene.log().lines());
    scene.end();
}

#[test]
fn b6_metacharacters_are_greeted_verbatim() {
    let mut scene = Scene::of(Server::start(&["--log-level", "trace"]));
    let mut client = scene.welcomed();
    for name in [
        "\"",
        "\\",
        "{}",
        "%s%n",
        "${jndi:ldap://x}",
        "</script>",
        "\\x1b",
        "'; DROP TABLE names;--",
        "{0:?}",
    ] {
        let before = scene.log().count(ANSWERED);
        client.round_trip(name);
        let line = scene.log().wait_for(ANSWERED, before);
        assert_eq!(logged_name(&line), name.as_bytes());
    }
    scene.check_bystander();
    client.leave();
    scene.end();
}

#[test]
fn b7_a_name_is_measured_in_bytes() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    client.round_trip(&"\u{1f600}".repeat(256));
    client.round_trip("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}");
    scene.check_bystander();
    client.send(format!("{}\n", "\u{1f600}".repeat(257)));
    client.expect_last(crate::common::too_long(1024));
    scene.end();
}

#[test]
fn log_line_of_any_name_is_ascii_and_reversible() {
    let server = Server::start(&["--log-level", "trace", "--framing", "line"]);
    let hostile = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..60),
        "\\PC{1,40}".prop_map(String::into_bytes),
        "[\\\\x0-9a-f\x1b]{1,20}".prop_map(String::into_bytes),
    ];
    let name = hostile
        .prop_map(one_line)
        .prop_filter("it is no name", |name| {
            !name.is_empty() && name != b"exit" && !name.ends_with(b"\r")
        });
    let config = Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&name, |name| {
        let expected = expected_reply(&name);
        let outcome = if expected.starts_with(b"Hello ") {
            ANSWERED
        } else {
            REFUSED
        };
        let before = server.log().count(outcome);
        let mut client = Client::welcomed(server.address());
        client.send([&name[..], b"\nexit\n"].concat());
        let reply = client.rest()?;
        prop_assert_eq!(
            reply,
            [&expected[..], QUESTION.as_bytes(), GOOD_BYE.as_bytes()].concat()
        );
        let line = server.log().wait_for(outcome, before);
        prop_assert_eq!(logged_name(&line), name);
        Ok(())
    });
    assert_log_is_printable(&server.log().lines());
    outcome.unwrap();
}

fn one_line(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().filter(|byte| *byte != b'\n').collect()
}

fn expected_reply(name: &[u8]) -> Vec<u8> {
    match str::from_utf8(name) {
        Err(_) => NOT_UTF8.into(),
        Ok(text) if text.chars().any(char::is_control) => CONTROL_CHARACTER.into(),
        Ok(text) => hello(text).into(),
    }
}

/// Returns the name in a log line about an answer or a refusal.
fn logged_name(line: &str) -> Vec<u8> {
    let found = [ANSWERED, REFUSED].map(|outcome| line.split_once(outcome));
    let (_, name) = found.into_iter().flatten().next().expect("such a line");
    unescape(name.strip_suffix('"').expect("a quoted name"))
}

/// Reverses `escape_ascii`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, byte == b'\\') {
            (byte, false) => byte,
            _ => match rest.next().expect("an escaped byte") {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let digits: String = rest.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&digits, 16).expect("two digits")
                }
                itself => itself,
            },
        });
    }
    bytes
}

#[track_caller]
fn assert_log_is_printable(lines: &[String]) {
    assert!(!lines.is_empty());
    for line in lines {
        assert!(
            line.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            "{line:?}"
        );
    }
}

const ANSWERED: &str = ": answered \"";
const REFUSED: &str = ": refused \"";
