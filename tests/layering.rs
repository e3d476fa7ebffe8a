//! Tests of the layers inside a crate, and of what the server alone depends on. Cargo enforces those
//! between crates: see docs/architecture.md.
//!
//! The tests search the words of the sources, without comments.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn contract_and_services_above_it_name_no_socket_clock_or_loop() {
    for module in ["service", "layer", "proxy", "admin", "tls"] {
        assert_names_none_of(
            &format!("src/oneloop/{module}"),
            &[SOCKETS, CLOCKS, &["reactor", "Reactor", "crate net"]],
        );
    }
}

#[test]
fn rustls_is_named_by_one_file_of_the_library() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/oneloop");
    let named = sources(&library).into_iter().filter(|file| {
        let source = fs::read_to_string(file).expect("a source");
        names(&words(&source), "rustls")
    });
    let named: Vec<_> = named.collect();
    assert_eq!(named, [library.join("tls/engine.rs")]);
}

#[test]
fn framing_names_no_other_module() {
    let rest = ["service", "net", "reactor", "layer", "Service", "Reactor"];
    assert_names_none_of("src/oneloop/framing", &[SOCKETS, CLOCKS, &rest]);
}

#[test]
fn loop_names_no_socket_of_its_own() {
    assert_names_none_of("src/oneloop/reactor", &[SOCKETS, CLOCKS]);
}

#[test]
fn network_names_no_loop() {
    assert_names_none_of("src/oneloop/net", &[&["reactor", "Reactor"]]);
}

#[test]
fn greeting_names_no_socket_clock_or_loop() {
    assert_names_none_of(
        "src/greeting",
        &[SOCKETS, CLOCKS, &["reactor", "Reactor", "oneloop net"]],
    );
}

#[test]
fn client_names_no_crate_of_ours() {
    assert_names_none_of("src/bin/greet-client", &[&["oneloop", "mio"]]);
    assert_names_none_of("src/bin/support", &[&["oneloop", "mio"]]);
}

#[test]
fn server_alone_is_built_without_charts_editor_and_manual() {
    let tree = |arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.args([
            "tree",
            "--package",
            "oneloop-programs",
            "--offline",
            "--locked",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ]);
        let output = cargo.args(arguments).output().expect("cargo runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let (all, server) = (
        tree(&[]),
        tree(&["--no-default-features", "--features", "server"]),
    );
    // Its cryptography needs a C compiler.
    for tree in [&all, &server] {
        assert!(!tree.contains("rustls ") && !tree.contains("ring "));
    }
    for package in [
        "plotters",
        "rustyline",
        "clap_mangen",
        "clap_complete",
        "oneloop-load",
    ] {
        let is_in = |tree: &str| {
            tree.lines()
                .any(|line| line.starts_with(&format!("{package} ")))
        };
        assert!(is_in(&all), "{package} is needed by nothing");
        assert!(!is_in(&server), "{package} is built for the server");
    }
}

#[test]
fn forbidden_name_is_found() {
    let source = "//! mio\nuse crate::{net::Os, x}; // reactor\nlet mio_like = super::net();\n";
    let words = words(source);
    assert!(names(&words, "crate net") && names(&words, "Os"));
    assert!(!names(&words, "mio") && !names(&words, "reactor"));
}

#[track_caller]
fn assert_names_none_of(place: &str, forbidden: &[&[&str]]) {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(place));
    assert!(!files.is_empty(), "there is nothing at {place}");
    for file in files {
        let words = words(&fs::read_to_string(&file).expect("a source"));
        for phrase in forbidden.iter().copied().flatten() {
            let path = file.display();
            assert!(
                !names(&words, phrase),
                "{path} names `{phrase}`: see docs/architecture.md"
            );
        }
    }
}

/// Returns the sources under a path, except tests.
fn sources(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else {
        return if path.is_file() {
            vec![path.into()]
        } else {
            Vec::new()
        };
    };
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    paths
        .flat_map(|path| sources(&path))
        .filter(|path| is_source(path))
        .collect()
}

fn is_source(path: &Path) -> bool {
    // Relative to the crate: a folder above it may be called `tests`.
    let inside = path
        .strip_prefix(env!("CARGO_MANIFEST_DIR"))
        .expect("a source of ours");
    inside
        .extension()
        .is_some_and(|extension| extension == "rs")
        && !inside.ends_with("tests.rs")
        && !inside.components().any(|part| part.as_os_str() == "tests")
}

/// Returns the identifiers of a source in order, without comments and strings.
fn words(source: &str) -> Vec<String> {
    let without_strings = |line: &str| line.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let code = source
        .lines()
        .map(|line| without_strings(line.split("//").next().unwrap_or("")));
    let code: Vec<_> = code.collect();
    code.iter()
        .flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .filter(|word| !word.is_empty())
        .map(String::from)
        .collect()
}

/// Returns true if `words` contain `phrase` as consecutive words.
fn names(words: &[String], phrase: &str) -> bool {
    let phrase: Vec<&str> = phrase.split(' ').collect();
    words.windows(phrase.len()).any(|window| window == phrase)
}

const SOCKETS: &[&str] = &[
    "mio",
    "socket2",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
];
const CLOCKS: &[&str] = &["Instant", "SystemTime", "UNIX_EPOCH"];
