//! The manual pages and completions in `docs/man`: made from the command lines' own definitions,
//! and not out of date.
//!
//! `ONELOOP_BLESS=1 cargo test --test manual` writes them.

#![cfg(all(
    feature = "client",
    feature = "load",
    feature = "manual",
    feature = "server"
))]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Programs that can write their manual, each with its path.
const PROGRAMS: [(&str, &str); 3] = [
    ("greet-server", env!("CARGO_BIN_EXE_greet-server")),
    ("greet-client", env!("CARGO_BIN_EXE_greet-client")),
    ("greet-load", env!("CARGO_BIN_EXE_greet-load")),
];

#[test]
fn the_manual_is_what_the_programs_write() {
    for (name, path) in PROGRAMS {
        for (what, file) in [
            ("man", format!("{name}.1")),
            ("bash", format!("completions/{name}.bash")),
            ("zsh", format!("completions/_{name}")),
            ("fish", format!("completions/{name}.fish")),
        ] {
            let text = generated(path, what);
            let file = docs().join(file);
            if env::var_os("ONELOOP_BLESS").is_some() {
                fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
                fs::write(&file, &text).expect("writing the manual");
            }
            let written = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                written == text,
                "{} is out of date: ONELOOP_BLESS=1 cargo test --test manual",
                file.display()
            );
        }
    }
}

#[test]
fn the_manual_names_every_flag_and_exit_code() {
    for (name, path) in PROGRAMS {
        let manual = generated(path, "man").replace("\\-", "-");
        let help = output(path, &["--help"]);
        let flags = help
            .split_whitespace()
            .filter(|word| word.starts_with("--"));
        for flag in flags {
            // The value of an option may be optional, as in `--option[=<VALUE>]`.
            let flag = flag.split('[').next().unwrap_or(flag);
            let flag = flag.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            assert!(manual.contains(flag), "{flag} in the manual of {name}");
        }
        for section in [".SH EXAMPLES", ".SH \"EXIT CODES\""] {
            assert!(
                manual.contains(section),
                "{section} in the manual of {name}"
            );
        }
    }
}

#[test]
fn the_manual_is_a_page_that_man_can_show() {
    if Command::new("groff").arg("--version").output().is_err() {
        println!("skipped: there is no groff");
        return;
    }
    for (name, _) in PROGRAMS {
        let page = docs().join(format!("{name}.1"));
        let shown = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .arg(page)
            .output()
            .expect("groff runs");
        assert!(shown.status.success());
        assert_eq!(String::from_utf8_lossy(&shown.stderr), "", "{name}");
    }
}

#[test]
fn the_manual_is_clean_for_mandoc() {
    for (name, _) in PROGRAMS {
        let page = docs().join(format!("{name}.1"));
        let mandoc = Command::new("mandoc")
            .args(["-T", "lint"])
            .arg(page)
            .output();
        let Ok(checked) = mandoc else {
            return println!("skipped: there is no mandoc");
        };
        assert_eq!(String::from_utf8_lossy(&checked.stdout), "", "{name}");
    }
}

#[test]
fn the_version_has_the_commit_and_the_target() {
    for (name, path) in PROGRAMS {
        for flag in ["-V", "--version"] {
            let version = output(path, &[flag]);
            let start = format!("{name} {} (", env!("CARGO_PKG_VERSION"));
            let rest = version.strip_prefix(&start).expect(&version);
            let (commit, target) = rest.trim().split_once(", ").expect(&version);
            assert!(
                !commit.is_empty() && commit != "unknown commit",
                "{version}"
            );
            assert!(target.contains(env::consts::ARCH), "{version}");
        }
    }
}

#[test]
fn released_programs_have_no_symbols() {
    if !cfg!(target_os = "linux") || cfg!(debug_assertions) {
        println!("skipped: this needs cargo test --release on Linux");
        return;
    }
    for (name, path) in PROGRAMS {
        let program = fs::read(path).expect("it was built");
        let mut names = program.windows(b".symtab\0".len());
        assert!(
            !names.any(|name| name == b".symtab\0"),
            "{name} is not stripped"
        );
    }
}

#[test]
fn examples_and_exit_codes_fit_80_columns() {
    for (name, path) in PROGRAMS {
        let help = |columns: &str| {
            let mut command = Command::new(path);
            let output = command.arg("--help").env("COLUMNS", columns).output();
            String::from_utf8(output.expect("starting it").stdout).expect("text")
        };
        let (narrow, wide) = (help("80"), help("200"));
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 80),
            "{narrow}"
        );
        for heading in ["Examples:\n", "Exit codes:\n"] {
            let block = |help: &str| {
                let (_, rest) = help.split_once(heading).expect(heading);
                rest.split("\n\n").next().map(str::to_owned)
            };
            assert_eq!(block(&narrow), block(&wide), "{name}");
        }
    }
}

fn generated(program: &str, what: &str) -> String {
    output(program, &["--generate", what])
}

fn output(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    for (variable, _) in env::vars_os() {
        if variable.to_string_lossy().starts_with("GREET_") {
            command.env_remove(variable);
        }
    }
    let output = command.args(arguments).output().expect("starting it");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man")
}
