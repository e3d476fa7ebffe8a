//! The page, and the files in general.

use std::fs;

use crate::load::program::{File, SHORT, greet_load, output, text};
use crate::load::standin::Standin;

fn page(more: &[&str]) -> String {
    let html = File::new("html");
    output(&[&SHORT[..], more, &["--html", html.path()]].concat(), 0);
    html.read()
}

#[test]
fn page_names_the_command_and_the_machine() {
    let page = page(&["-n", "7"]);
    assert!(page.contains("-n 7 --html"), "{page}");
    let machine = oneloop_load::Machine::this();
    assert!(page.contains(&machine.system), "{}", machine.system);
    assert!(page.contains(&machine.cpu.unwrap_or_default()));
}

#[test]
fn page_has_a_histogram_and_a_percentile_curve() {
    let page = page(&[]);
    for title in ["Latency distribution", "Latency by percentile"] {
        assert!(page.contains(title), "{title}");
    }
    for axis in [
        "share in %",
        "percentile",
        "latency",
        "per second",
        "seconds",
    ] {
        assert!(page.contains(axis), "{axis}");
    }
}

#[test]
fn page_passes_only_what_was_demanded() {
    let body = |page: String| page.split_once("</style>").expect("a body").1.to_owned();
    assert!(!body(page(&[])).contains("passed"));
    assert!(body(page(&["--fail-if", "errors>0"])).contains("✓ passed"));
}

#[test]
fn every_table_of_the_page_scrolls_by_itself() {
    let page = page(&["--sweep", "1,2"]);
    let tables = page.matches("<table>").count();
    assert!(tables >= 3);
    assert_eq!(
        page.matches("<div class=\"wide\" tabindex=\"0\"><table>")
            .count(),
        tables
    );
    assert!(page.contains(".wide { overflow-x: auto;"));
}

#[test]
fn unwritable_path_is_refused_before_measuring() {
    let standin = Standin::start(|peer| {
        peer.welcome();
        peer.serve();
    });
    let address = standin.address.to_string();
    let directory = env!("CARGO_TARGET_TMPDIR");
    for option in ["--html", "--json"] {
        for path in ["/nowhere/report", directory] {
            let output = output(&[&address, option, path], 2);
            let message = text(&output.stderr);
            assert!(message.contains("cannot write"), "{message}");
            assert!(message.contains(path), "{message}");
        }
    }
    assert_eq!(standin.served(), 0);
}

#[test]
fn files_of_a_run_that_failed_are_as_they_were() {
    let (new, old) = (File::new("html"), File::new("json"));
    fs::write(old.path(), "old").expect("a temporary file");
    let arguments = [
        "--html",
        new.path(),
        "--json",
        old.path(),
        "--sources",
        "127.0.0.1",
    ];
    // Its server cannot be started: there is no room for its descriptors.
    let status = std::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -n 7 && exec \"$0\" \"$@\"",
            env!("CARGO_BIN_EXE_greet-load"),
        ])
        .args(arguments)
        .status()
        .expect("there is a shell");
    assert_eq!(status.code(), Some(2));
    assert!(!fs::exists(new.path()).expect("a path"));
    assert_eq!(old.read(), "old");
}

#[test]
fn file_that_was_there_is_replaced_as_a_whole() {
    let json = File::new("json");
    fs::write(json.path(), "x".repeat(1 << 20)).expect("a temporary file");
    let status = greet_load(&[&SHORT[..], &["--json", json.path()]].concat())
        .output()
        .expect("it starts");
    assert!(status.status.success());
    assert_eq!(json.json()["tool"]["name"], "greet-load");
}
