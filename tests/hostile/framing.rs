//! Group A: framing.

use std::time::Duration;

use crate::common::{Client, GOOD_BYE, QUESTION, Scene, TOO_SLOW, WELCOME, hello, reply, too_long};

#[test]
fn a1_line_ends_with_lf_or_crlf() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    client.send("alice\n");
    client.expect(reply("alice"));
    client.send("alice\r\n");
    client.expect(reply("alice"));
    scene.check_bystander();
    client.leave();
    scene.end();
}

#[test]
fn a2_cr_inside_a_name_does_not_end_it() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    client.send("alice\rbob\n");
    client.expect(crate::common::CONTROL_CHARACTER);
    client.expect(QUESTION);
    scene.check_bystander();
    client.leave();
    scene.end();
}

#[test]
fn a3_empty_line_asks_again_blanks_are_a_name() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    for empty in ["\n", "\r\n"].repeat(20) {
        client.send(empty);
        client.expect(QUESTION);
    }
    client.send("   \n");
    client.expect(reply("   "));
    scene.check_bystander();
    client.leave();
    scene.end();
}

#[test]
fn a4_blanks_around_a_name_are_part_of_it() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    client.round_trip("  alice ");
    scene.check_bystander();
    client.leave();
    scene.end();
}

#[test]
fn a5_longest_name_is_greeted_longer_is_refused() {
    let mut scene = Scene::new(&["--framing", "line"]);
    for length in [1023, 1024] {
        for ending in ["\n", "\r\n"] {
            let name = "x".repeat(length);
            let mut client = scene.welcomed();
            client.send(format!("{name}{ending}"));
            client.expect(reply(&name));
            client.leave();
        }
    }
    for ending in ["", "\n", "\r\n"] {
        let mut client = scene.welcomed();
        client.send(format!("{}{ending}", "x".repeat(1025)));
        client.expect_last(too_long(1024));
    }
    scene.check_bystander();
    scene.end();
}

#[test]
fn a5_line_ending_may_straddle_the_longest_name() {
    let mut scene = Scene::new(&["--framing", "line"]);
    let name = "x".repeat(1024);
    let mut client = scene.welcomed();
    client.send(&name);
    scene.check_bystander();
    client.send("\r");
    scene.check_bystander();
    client.send("\n");
    client.expect(reply(&name));
    client.leave();
    scene.end();
}

#[test]
fn a6_endless_line_is_refused_without_memory() {
    let mut scene = Scene::new(&[]);
    let before = scene.resident_kib();
    let mut client = scene.welcomed();
    let chunk = vec![b'x'; 1 << 20];
    let sent = client.send_all_it_takes(&chunk, 100 << 20);
    scene.check_bystander();
    assert!(sent < 50 << 20, "{sent} bytes were taken");
    client.expect_before_any_end(too_long(1024));
    let grown = scene.resident_kib().saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB more");
    let report = scene.end();
    assert_eq!(report.ended("misbehaved"), 1);
    // One full share of a turn may be read before the end is noticed.
    assert!(report.count("bytes in") < 300 << 10, "{report:?}");
}

#[test]
fn a7_fragment_at_the_end_of_stream_is_a_name() {
    for framing in ["auto", "line", "silence"] {
        let mut scene = Scene::brief(&["--framing", framing]);
        let mut client = scene.client();
        client.expect(WELCOME);
        client.expect(QUESTION);
        client.send("alice");
        client.finish();
        client.expect_last(hello("alice"));
        if framing != "silence" {
            scene.check_bystander();
        }
        assert_eq!(scene.wait_for_baseline().ended("peer finished"), 1);
    }
}

#[test]
fn a8_one_byte_segments_read_the_same() {
    let mut scene = Scene::new(&["--framing", "line"]);
    let mut client = scene.welcomed();
    client.send_bytewise("alice\nb\u{f6}b\r\n\nexit\n");
    client.expect_last(
        [
            reply("alice"),
            reply("b\u{f6}b"),
            QUESTION.into(),
            GOOD_BYE.into(),
        ]
        .concat(),
    );
    scene.check_bystander();
    scene.end();
}

#[test]
fn a9_conversation_cut_in_two_reads_the_same() {
    let conversation = "al\r\n\n\u{e9}\nexit\n".as_bytes();
    let mut scene = Scene::new(&["--framing", "line"]);
    for cut in 1..conversation.len() {
        let mut client = scene.welcomed();
        client.send(&conversation[..cut]);
        scene.check_bystander();
        client.send(&conversation[cut..]);
        client.expect_last(
            [
                reply("al"),
                QUESTION.into(),
                reply("\u{e9}"),
                GOOD_BYE.into(),
            ]
            .concat(),
        );
    }
    scene.end();
}

#[test]
fn a10_name_and_exit_in_one_segment_are_answered() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    client.send("alice\nexit\n");
    client.expect_last(reply("alice") + GOOD_BYE);
    scene.check_bystander();
    scene.end();
}

#[test]
fn a11_ten_thousand_pipelined_names_keep_order() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    let names: String = (0..10_000)
        .map(|number| format!("name {number}\n"))
        .collect();
    let mut sender = Client(client.0.try_clone().unwrap());
    let sending = std::thread::spawn(move || sender.send(names));
    for number in 0..10_000 {
        client.expect(reply(&format!("name {number}")));
        if number % 1000 == 0 {
            scene.check_bystander();
        }
    }
    sending.join().unwrap();
    client.leave();
    scene.end();
}

#[test]
fn a12_input_after_exit_is_ignored() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    client.send(format!("exit\n{}", "and more\n".repeat(2000)));
    client.expect_last(GOOD_BYE);
    scene.check_bystander();
    client.send("still there?\n");
    drop(client);
    assert_eq!(scene.end().ended("finished"), 1);
}

#[test]
fn a13_early_input_is_answered_after_greeting() {
    let mut scene = Scene::new(&[]);
    scene.freeze();
    let mut client = scene.client();
    client.send("alice\n");
    scene.thaw();
    client.expect(WELCOME);
    client.expect(QUESTION);
    client.expect(reply("alice"));
    scene.check_bystander();
    client.leave();
    scene.end();
}

#[test]
fn a14_only_the_exact_word_exit_ends() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    for name in [
        "EXIT",
        "Exit",
        "exit ",
        " exit",
        "\u{ff45}\u{ff58}\u{ff49}\u{ff54}",
        "exit!",
        "exi",
    ] {
        client.round_trip(name);
    }
    client.send("exit\0\n");
    client.expect(crate::common::CONTROL_CHARACTER);
    client.expect(QUESTION);
    scene.check_bystander();
    client.leave();
    scene.end();
}

#[test]
fn a15_bare_names_are_answered_after_silence() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    for name in ["alice", "bob"] {
        client.send(name);
        client.expect(hello(name));
        client.expect(QUESTION);
    }
    scene.check_bystander();
    client.send("exit");
    client.expect_last(GOOD_BYE);
    scene.end();
}

#[test]
fn a15_bare_name_in_line_mode_times_out() {
    let mut scene = Scene::brief(&["--framing", "line", "--name-timeout", "300ms"]);
    let mut client = scene.welcomed();
    client.send("alice");
    client.expect_last(TOO_SLOW);
    scene.check_bystander();
    drop(client);
    assert_eq!(scene.end().ended("timed out"), 1);
}

/// Longer than the default quiet gap, by a wide margin.
pub(crate) const LONGER_THAN_THE_GAP: Duration = Duration::from_millis(100);
