//! Chapters 0, 3, 5 and 14: the programs in Python are what the pages claim about the tutorial's.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oneloop_book::figures;
use oneloop_book::lab::{Client, Program, QUESTION, is_installed, repository};
use oneloop_book::pages::book;

fn script(name: &str) -> String {
    let path = repository().join("docs/book/code/python").join(name);
    path.to_string_lossy().into_owned()
}

/// Starts the server in Python, or explains why not.
fn server() -> Option<Program> {
    if !is_installed("python3") {
        println!("skipped: python3 is not installed");
        return None;
    }
    let mut server = Command::new("python3");
    server.args([&script("server.py"), "0"]);
    Some(Program::spawn(server))
}

#[test]
fn server_in_python_holds_the_conversation() {
    let Some(server) = server() else { return };
    let mut client = Client::connect(server.address());
    assert_eq!(
        client.read_until(QUESTION).unwrap(),
        "Welcome!\nWhat's your name?"
    );
    assert_eq!(
        client.exchange("Alice").unwrap(),
        "Hello Alice!\nWhat's your name?"
    );
    client.send("exit").unwrap();
    assert_eq!(client.read_to_end().0, b"Good bye!\n");
}

#[test]
fn server_in_python_does_not_know_line_feeds() {
    let Some(server) = server() else { return };
    let mut client = Client::connect(server.address());
    client.read_until(QUESTION).unwrap();
    client.send("exit\n").unwrap();
    assert_eq!(client.read_until("!\n").unwrap(), "Hello exit\n!\n");
}

#[test]
fn pair_in_python_hangs_now_and_then() {
    let Some(server) = server() else { return };
    let hangs = (0..60).any(|_| hangs_once(&server));
    assert!(hangs, "sixty runs without a deadlock");
}

/// Runs the client in Python. A run that has not ended after five seconds hangs.
fn hangs_once(server: &Program) -> bool {
    let mut client = Command::new("python3")
        .args([&script("client.py"), &server.address().port().to_string()])
        .args(["Alice", "exit"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while client.try_wait().unwrap().is_none() {
        if started.elapsed() > Duration::from_secs(5) {
            client.kill().unwrap();
            client.wait().unwrap();
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// The measurement that chapter 5 prints: most runs of the pair hang.
#[test]
fn measurement_of_the_pair_has_most_runs_hang() {
    let text = std::fs::read_to_string(book().join("code/data/hangs.txt")).unwrap();
    let (hung, rest) = text.split_once(" of 60 runs").unwrap();
    assert_eq!(rest, " of the tutorial's own pair hang\n");
    assert!((30..=60).contains(&hung.parse::<u32>().unwrap()));
    assert!(!figures::table("pressure.txt").is_empty());
}
