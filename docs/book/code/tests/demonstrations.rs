//! The tutorial's two demonstrations, played in terminals, and compared with the page.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::pty::openpty;
use oneloop_book::lab::{Program, greet_program};
use oneloop_book::pages::pages;

/// Held by each test: a terminal that a program of another test has inherited does not end.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const PROMPT: &str = "Please input your name: ";

#[test]
fn demonstration_with_one_client_is_as_printed() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut server = Program::greet_server(&[]);
    play(&server, &["one client"]);
    compare_log(&mut server, "one server");
}

#[test]
fn demonstration_with_three_clients_is_as_printed() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut server = Program::greet_server(&[]);
    let clients = ["Client1", "Client2", "Client3"].map(|name| format!("three client {name}"));
    let clients: Vec<&str> = clients.iter().map(String::as_str).collect();
    play(&server, &clients);
    compare_log(&mut server, "three server");
}

/// Returns the block of the page with this marker.
fn printed(marker: &str) -> String {
    let pages = pages("en");
    let page = pages
        .iter()
        .find(|page| page.name() == "14-demonstrations.md");
    let blocks = page.expect("the page").blocks();
    let marker = format!("demo: {marker}");
    let block = blocks
        .into_iter()
        .find(|block| block.marker.as_deref() == Some(&marker));
    block.expect("the block").text
}

/// Plays the sessions of the page, all clients at once: each is at its first prompt before the
/// first one types, and they end one after the other.
fn play(server: &Program, markers: &[&str]) {
    let mut terminals = Vec::new();
    for number in 1..=markers.len() {
        let mut terminal = Terminal::open(server.address());
        terminal.wait_for_prompts(1);
        server
            .output()
            .wait_for_count("Accept new connection", number);
        terminals.push(terminal);
    }
    let sessions: Vec<String> = markers.iter().map(|marker| printed(marker)).collect();
    for (terminal, session) in terminals.iter_mut().zip(&sessions) {
        let typed: Vec<&str> = session
            .lines()
            .filter_map(|line| line.strip_prefix(PROMPT))
            .collect();
        let (exit, names) = typed.split_last().expect("names");
        assert_eq!(*exit, "exit");
        for (number, name) in names.iter().enumerate() {
            terminal.type_line(name);
            terminal.wait_for_prompts(number + 2);
        }
    }
    for (number, (mut terminal, session)) in terminals.into_iter().zip(&sessions).enumerate() {
        terminal.type_line("exit");
        let shown = terminal.read_to_end();
        let command = "$ greet-client\n";
        assert_eq!(format!("{command}{shown}"), *session);
        server.output().wait_for_count("is closed", number + 1);
    }
}

/// Compares the log with the page: all but dates and numbers.
fn compare_log(server: &mut Program, marker: &str) {
    let page = printed(marker);
    let printed: Vec<String> = page.lines().skip(1).map(without_numbers).collect();
    let logged = server.output().lines();
    let logged: Vec<String> = logged.iter().map(|line| without_numbers(line)).collect();
    assert_eq!(logged.len(), printed.len(), "{logged:#?}");
    for (logged, printed) in logged.iter().zip(&printed) {
        assert!(
            matches(logged, printed),
            "logged {logged:?}, printed {printed:?}"
        );
    }
    assert!(server.is_running(), "the server goes on listening");
}

/// Compares a line with a pattern, in which `…` stands for any text.
fn matches(line: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else {
        return line == pattern;
    };
    let Some(line) = line.strip_prefix(start) else {
        return false;
    };
    let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    ends.into_iter().any(|at| matches(&line[at..], rest))
}

#[test]
fn pattern_matches_any_text_between() {
    assert!(matches("INFO  [a::b] one (x)", "INFO  […] one …"));
    assert!(!matches("INFO  [a::b] two (x)", "INFO  […] one …"));
    assert!(!matches("INFO  [a] one", "INFO  […] on"));
}

fn without_numbers(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        match c.is_ascii_digit() {
            true if text.ends_with('0') => {}
            true => text.push('0'),
            false => text.push(c),
        }
    }
    text
}

/// The client on a pseudo terminal.
struct Terminal {
    child: Child,
    screen: File,
    shown: Vec<u8>,
}

impl Terminal {
    fn open(server: SocketAddr) -> Self {
        let pty = openpty(None, None).expect("a pseudo terminal");
        let side = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let mut command = Command::new(greet_program("greet-client"));
        command.env_clear().arg(server.to_string());
        command.stdin(side()).stdout(side()).stderr(side());
        let child = command.spawn().expect("starting greet-client");
        Self {
            child,
            screen: pty.master.into(),
            shown: Vec::new(),
        }
    }

    fn type_line(&mut self, line: &str) {
        self.screen.write_all(line.as_bytes()).expect("typing");
        self.screen.write_all(b"\n").expect("typing");
    }

    fn wait_for_prompts(&mut self, count: usize) {
        while self.text().matches(PROMPT).count() < count {
            assert!(self.read(), "the client has ended: {}", self.text());
        }
    }

    fn read_to_end(&mut self) -> String {
        while self.read() {}
        assert!(self.child.wait().expect("waiting").success());
        self.text()
    }

    /// Reads what has been shown. Returns `false` at the end, which Linux reports as an error.
    fn read(&mut self) -> bool {
        let mut chunk = [0; 1024];
        match self.screen.read(&mut chunk) {
            Ok(count) if count > 0 => {
                self.shown.extend_from_slice(&chunk[..count]);
                true
            }
            _ => false,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown).replace("\r\n", "\n")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
