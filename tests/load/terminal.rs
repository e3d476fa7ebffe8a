//! The program at a terminal of 80 columns and 24 lines.

use std::fs::File;
use std::io::Read;
use std::process::Command;

use nix::pty::{OpenptyResult, Winsize, openpty};

use crate::common::Process;
use crate::load::program::{SHORT, greet_load, output, text};

/// Runs a command on a terminal of its own, and returns its output.
fn on_terminal(mut command: Command) -> String {
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let OpenptyResult { master, slave } = openpty(Some(&size), None).expect("a terminal is free");
    let clone = || slave.try_clone().expect("the terminal is open");
    command.stdin(clone()).stdout(clone()).stderr(clone());
    command.env_remove("NO_COLOR").env("TERM", "xterm-256color");
    let mut child = Process::spawn(&mut command);
    // Ours close here, so that the terminal ends with the program.
    drop((command, slave));
    let mut written = Vec::new();
    let mut master = File::from(master);
    let mut bytes = [0; 4096];
    // At the end a terminal is not at its end, but broken.
    while let Ok(count @ 1..) = master.read(&mut bytes) {
        written.extend_from_slice(&bytes[..count]);
    }
    child.wait().expect("it is ours");
    String::from_utf8(written).expect("text")
}

/// Returns the part of the output that stays when the live view is cleared.
fn report_of(written: &str) -> String {
    let (_, report) = written
        .rsplit_once("\x1b[J")
        .expect("the live view is cleared");
    report.replace("\r\n", "\n")
}

/// Returns the text without its colours.
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    for (place, part) in text.split("\x1b[").enumerate() {
        plain += match place {
            0 => part,
            _ => part.split_once('m').expect("only colours").1,
        };
    }
    plain
}

#[track_caller]
fn assert_fits(report: &str) {
    let lines: Vec<_> = report.trim_end().lines().collect();
    // One is for the prompt.
    assert!(lines.len() <= 23, "{} lines:\n{report}", lines.len());
    let longest = lines.iter().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{longest:?} columns:\n{report}");
}

#[test]
fn report_fits_a_terminal_headline_first() {
    for more in [
        &[][..],
        &["--rate", "500"],
        &["--scenario", "churn"],
        &["--scenario", "mixed", "-n", "50"],
        &["--scenario", "idle", "-n", "50"],
        &["--fail-if", "p99>1h,errors>5,max>1h"],
        &["--framing", "silence", "-n", "20"],
    ] {
        let written = on_terminal(greet_load(&[&SHORT[..], more].concat()));
        let report = without_colours(&report_of(&written));
        assert_fits(&report);
        let headline = report.lines().next().expect("a report");
        for figure in ["p50 ", "p99 ", "no errors"] {
            assert!(headline.contains(figure), "{more:?}: {report}");
        }
        assert!(report.contains("p99.99"), "{more:?}: {report}");
    }
}

#[test]
fn sweep_fits_a_terminal_with_whole_words() {
    let steps = ["--sweep", "1,2,3,10,100,1k"];
    let written = on_terminal(greet_load(&[&SHORT[..], &steps].concat()));
    let report = without_colours(&report_of(&written));
    assert_fits(&report);
    for word in ["exchanges/s at most", "conns", "throughput", "errors"] {
        assert!(report.contains(word), "{word}: {report}");
    }
    for step in ["1", "2", "3", "10", "100", "1,000"] {
        let mut firsts = report.lines().map(|line| line.split_whitespace().next());
        assert!(firsts.any(|first| first == Some(step)), "{step}: {report}");
    }
    assert!(report.contains('█'), "{report}");
}

#[test]
fn ramp_and_comparison_fit_a_terminal() {
    let ramp = [
        "--ramp-rate=500",
        "-d",
        "50ms",
        "--until",
        "throughput>3000",
    ];
    let report = without_colours(&report_of(&on_terminal(greet_load(&ramp))));
    assert_fits(&report);
    assert!(report.starts_with("knee at "), "{report}");

    let server = crate::common::Server::start(&["--framing", "line"]);
    let address = server.address().to_string();
    let compare = ["--compare", &address, "-d", "50ms", "-n", "5"];
    let report = without_colours(&report_of(&on_terminal(greet_load(&compare))));
    assert_fits(&report);
    assert!(report.contains("control A / A"), "{report}");
}

#[test]
fn colours_need_a_terminal_and_respect_no_color() {
    let coloured = on_terminal(greet_load(&SHORT));
    assert!(
        report_of(&coloured).contains("\x1b[32mno errors"),
        "{coloured:?}"
    );
    let mut command = Command::new("env");
    command.args(["NO_COLOR=1", env!("CARGO_BIN_EXE_greet-load")]);
    command.args(SHORT);
    let plain = report_of(&on_terminal(command));
    assert!(!plain.contains('\x1b'), "{plain:?}");
    let piped = text(&output(&SHORT, 0).stdout);
    assert!(!piped.contains('\x1b'), "{piped:?}");
}

#[test]
fn live_view_does_not_flicker() {
    let arguments = ["-d", "1s", "--warm-up", "100ms", "--timeout", "20s"];
    let written = on_terminal(greet_load(&arguments));
    let pictures: Vec<_> = written.split("\x1b[?2026h").skip(1).collect();
    assert!(pictures.len() >= 3, "{written:?}");
    for picture in &pictures {
        let (picture, _) = picture.split_once("\x1b[?2026l").expect("it ends");
        assert!(picture.contains("measuring") || picture.contains(" open"));
        // The terminal makes a carriage return of its own of each line feed.
        for line in picture.split("\r\r\n") {
            // Erased behind the text, never before it.
            let (line, rest) = line.split_once("\x1b[K").expect("its rest is erased");
            assert!(matches!(rest, "" | "\x1b[J"), "{rest:?}");
            let line = line
                .trim_start_matches("\r\x1b[1A")
                .trim_start_matches('\r');
            assert!(line.chars().count() < 80, "{line:?}");
            assert!(!line.contains('\x1b'), "{line:?}");
        }
    }
    assert!(
        pictures
            .iter()
            .any(|picture| picture.contains("exchanges/s, p99 "))
    );
}

#[test]
fn quiet_has_no_live_view() {
    let written = on_terminal(greet_load(&[&SHORT[..], &["--quiet"]].concat()));
    assert!(!written.contains("\x1b[?2026h"), "{written:?}");
}

#[test]
fn help_fits_80_columns() {
    let help = on_terminal(greet_load(&["--help"]));
    let help = without_colours(&help.replace("\r\n", "\n"));
    let longest = help.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{longest:?} columns:\n{help}");
    assert!(help.starts_with("Examples:"), "{help}");
}
