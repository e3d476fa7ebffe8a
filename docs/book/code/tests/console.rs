//! Runs the shell blocks of the pages, and compares what the sessions print.
//!
//! A block runs in a `bash` of its own, with the programs of this build on its path and a server
//! that has just been started. `cargo` is a script there: it runs what this build has made instead
//! of building again. The port 6000 of the pages becomes the server's port.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oneloop_book::lab::{Program, eventually, greet_program, is_installed, programs, repository};
use oneloop_book::pages::{Block, pages};
use oneloop_book::sniff;

/// Separates the outputs of two commands.
const SEPARATOR: char = '\u{1e}';

#[test]
fn sessions_print_what_the_pages_show() {
    let mut count = 0;
    for (page, block) in blocks("console") {
        if let Some(obstacle) = obstacle(&block) {
            println!("skipped in {page}: {obstacle}");
            continue;
        }
        count += 1;
        let (commands, expected) = commands_and_outputs(&block.text);
        let room = Room::new(&format!("console-{count}"), &block);
        let outputs = room.run(&commands);
        for ((command, expected), output) in commands.iter().zip(expected).zip(outputs) {
            let is_equal = match options(&block).contains(&"numbers") {
                true => without_numbers(&output) == without_numbers(&expected),
                false => output == expected,
            };
            assert!(
                is_equal,
                "{page}: {command}\nprints {output:?}\nshown {expected:?}"
            );
        }
    }
    println!("{count} sessions were run");
}

#[test]
fn shell_blocks_succeed() {
    let mut count = 0;
    for (page, block) in blocks("sh") {
        if let Some(obstacle) = obstacle(&block) {
            println!("skipped in {page}: {obstacle}");
            continue;
        }
        count += 1;
        let commands: Vec<String> = block.text.lines().map(str::to_owned).collect();
        let room = Room::new(&format!("sh-{count}"), &block);
        for command in commands {
            let outputs = room.run(&[format!("{command}\necho \"ends with $?\"")]);
            assert!(
                outputs[0].ends_with("ends with 0"),
                "{page}: {command}: {outputs:?}"
            );
        }
    }
    assert!(count >= 5, "{count} blocks were run");
}

/// Returns the blocks of a language, and the names of their pages. The blocks of the other edition
/// are the same.
fn blocks(language: &str) -> Vec<(String, Block)> {
    let all = pages("en").into_iter().flat_map(|page| {
        let name = page.name();
        page.blocks()
            .into_iter()
            .map(move |block| (name.clone(), block))
    });
    all.filter(|(_, block)| {
        let marker = block.marker.as_deref().unwrap_or_default();
        block.language == language && marker.starts_with("run:")
    })
    .collect()
}

fn options(block: &Block) -> Vec<&str> {
    let marker = block.marker.as_deref().unwrap_or_default();
    marker.split_whitespace().skip(1).collect()
}

/// Returns why the block cannot be run here, or `None` if it can.
fn obstacle(block: &Block) -> Option<String> {
    let needs = options(block)
        .into_iter()
        .find_map(|option| option.strip_prefix("needs="));
    let tools = needs.into_iter().flat_map(|tools| tools.split(','));
    for tool in tools.chain(["bash"]) {
        if !is_installed(tool) {
            return Some(format!("{tool} is not installed"));
        }
        if tool == "tcpdump"
            && let Some(obstacle) = sniff::obstacle()
        {
            return Some(obstacle.to_owned());
        }
        if tool == "strace" && !may_trace() {
            return Some("strace may not trace".to_owned());
        }
    }
    None
}

/// Returns `true` if strace can attach to a process that is not its child. Some systems allow that
/// only to the superuser.
fn may_trace() -> bool {
    let mut target = Command::new("sleep").arg("60").spawn().expect("sleep");
    let pid = target.id();
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "-p", &pid.to_string()]);
    let mut strace = strace.stderr(Stdio::null()).spawn().expect("strace");
    let is_attached = eventually("strace attaches or ends", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let is_traced = status.lines().any(|line| {
            let tracer = line.strip_prefix("TracerPid:");
            tracer.is_some_and(|tracer| tracer.trim() != "0")
        });
        let has_ended = strace.try_wait().expect("waiting").is_some();
        (is_traced || has_ended).then_some(is_traced)
    });
    for child in [&mut strace, &mut target] {
        let _ = child.kill();
        let _ = child.wait();
    }
    is_attached
}

/// Splits a session into its commands and what each prints.
fn commands_and_outputs(text: &str) -> (Vec<String>, Vec<String>) {
    let mut commands = Vec::new();
    let mut outputs: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), outputs.last_mut()) {
            (Some(command), _) => {
                commands.push(command.to_owned());
                outputs.push(String::new());
            }
            (None, Some(output)) => {
                output.push_str(line);
                output.push('\n');
            }
            (None, None) => panic!("a session begins with a command: {line}"),
        }
    }
    let trimmed = outputs.iter().map(|output| output.trim_end().to_owned());
    (commands, trimmed.collect())
}

fn without_numbers(text: &str) -> String {
    let mut result = String::new();
    for c in text.chars() {
        match c.is_ascii_digit() {
            true if result.ends_with('0') => {}
            true => result.push('0'),
            false => result.push(c),
        }
    }
    result
}

/// A folder, a server and a path, for one block.
struct Room {
    folder: PathBuf,
    server: Program,
}

impl Room {
    /// The server answers to lines at once, unless the block is marked `auto`.
    fn new(name: &str, block: &Block) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("bin")).expect("a folder");
        let server = match options(block).contains(&"auto") {
            true => Program::greet_server(&[]),
            false => Program::greet_server(&["--framing", "line"]),
        };
        for program in ["greet-server", "greet-client", "greet-load"] {
            let link = folder.join("bin").join(program);
            symlink(greet_program(program), link).expect("a link");
        }
        let room = Self { folder, server };
        room.script("pidof", &format!("echo {}\n", room.server.pid()));
        room.script("cargo", include_str!("cargo.sh"));
        room
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.folder.join("bin").join(name);
        fs::write(&path, format!("#!/usr/bin/env bash\n{text}")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
    }

    /// Runs the commands in one shell, and returns what each has printed.
    fn run(&self, commands: &[String]) -> Vec<String> {
        let port = self.server.address().port().to_string();
        let mut script = "exec 2>&1\n".to_owned();
        for command in commands {
            script.push_str(&command.replace("6000", &port));
            script.push_str("\nprintf '\\036'\n");
        }
        let path = std::env::var("PATH").expect("a path");
        let output = Command::new("timeout")
            .args(["100", "bash", "-c", &script])
            .current_dir(&self.folder)
            .env(
                "PATH",
                format!("{}:{path}", self.folder.join("bin").display()),
            )
            .env("PROGRAMS", programs())
            .env("REPOSITORY", repository())
            .env(
                "REAL_CARGO",
                std::env::var_os("CARGO").unwrap_or("cargo".into()),
            )
            .env("GREET_ADDR", self.server.address().to_string())
            .env_remove("GREET_LISTEN")
            .stdin(Stdio::null())
            .output()
            .expect("running bash");
        let text = String::from_utf8_lossy(&output.stdout).replace(&port, "6000");
        let mut outputs: Vec<String> = text
            .split(SEPARATOR)
            .map(|one| one.trim_end().to_owned())
            .collect();
        let rest = outputs.pop();
        assert_eq!(
            outputs.len(),
            commands.len(),
            "{commands:?} ends early: {rest:?} {outputs:?}"
        );
        outputs
    }
}
