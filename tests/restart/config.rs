//! The configuration file, and reading it again on SIGHUP.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use nix::sys::signal::Signal;

use super::folder::Folder;
use super::notify::{self, Manager};
use crate::common::{Client, FULL, GOOD_BYE, Server, TOO_SLOW, server};

/// A configuration file.
struct Config {
    folder: Folder,
}

impl Config {
    fn new(test: &str, text: &str) -> Self {
        let config = Self {
            folder: Folder::new(test),
        };
        config.write(text);
        config
    }

    fn path(&self) -> PathBuf {
        self.folder.path("greet.conf")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).expect("room for a file");
    }

    fn start(&self) -> Server {
        Server::start(&["--config", self.path().to_str().expect("text")])
    }

    /// Checks the file as an operator does, with further flags.
    fn check(&self, flags: &[&str]) -> Output {
        let path = self.path();
        let config = ["--check-config", "--config", path.to_str().expect("text")];
        let mut command = server::command(&[&config, flags].concat());
        command.output().expect("starting greet-server")
    }
}

/// Has the server read its configuration again, and returns the line of the log.
#[track_caller]
fn reload(server: &Server, line: &str) -> String {
    let seen = server.log().count(line);
    server.signal(Signal::SIGHUP);
    server.log().wait_for(line, seen)
}

const READ_AGAIN: &str = "the configuration was read again";
const KEPT: &str = "the configuration stays as it was";

#[test]
fn options_come_from_the_file_unless_they_are_given() {
    let config = Config::new("options", "# few\nmax-connections = 1\n");
    let server = config.start();
    let _inside = Client::acquainted(server.address());
    Client::connect(server.address()).expect_last(FULL);
    let path = config.path();
    let flags = [
        "--config",
        path.to_str().expect("text"),
        "--max-connections",
        "2",
    ];
    let server = Server::start(&flags);
    let _inside = [(); 2].map(|()| Client::acquainted(server.address()));
    Client::connect(server.address()).expect_last(FULL);
}

#[test]
fn check_exits_with_0_or_2() {
    let config = Config::new("check", "drain = 5s\nlisten = localhost:7000, fd://main\n");
    let output = config.check(&[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for (text, problem) in [
        (
            "drain = 5s\ndrian = 5s\n",
            "line 2: there is no option drian",
        ),
        ("drain = long\n", "line 1: invalid value 'long'"),
        ("write-timeout = 0s\n", "write_timeout must be at least 1ms"),
    ] {
        config.write(text);
        let output = config.check(&[]);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{log}");
        assert!(log.contains(problem), "{log}");
    }
    config.write("");
    assert_eq!(config.check(&["--max-per-ip", "0"]).status.code(), Some(2));
    // There is no such file, or no TLS in this build.
    let tls = ["--tls-cert", "/no/such/file", "--tls-key", "/no/such/file"];
    assert_eq!(config.check(&tls).status.code(), Some(2));
}

#[test]
fn wrong_file_does_not_start() {
    let config = Config::new("wrong", "drain = long\n");
    let path = config.path();
    let flags = ["--config", path.to_str().expect("text")];
    let mut command: Command = server::command(&flags);
    let output = command.output().expect("starting greet-server");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn hangup_changes_limits_and_ends_no_connection() {
    let config = Config::new("limits", "max-connections = 2\n");
    let server = config.start();
    let mut inside = [(); 2].map(|()| Client::acquainted(server.address()));
    config.write("max-connections = 1\n");
    let line = reload(&server, READ_AGAIN);
    assert!(line.ends_with("changed: max-connections"), "{line}");
    for client in &mut inside {
        client.round_trip("Ada");
    }
    let [one, other] = inside;
    one.leave();
    Client::connect(server.address()).expect_last(FULL);
    other.leave();
    config.write("max-connections = 3\n");
    reload(&server, READ_AGAIN);
    let _inside = [(); 3].map(|()| Client::acquainted(server.address()));
    let line = reload(&server, READ_AGAIN);
    assert!(line.ends_with("nothing has changed"), "{line}");
}

#[test]
fn hangup_changes_timeouts_of_the_service() {
    let config = Config::new("timeouts", "");
    let server = config.start();
    let _bystander = Client::acquainted(server.address());
    config.write("name-timeout = 50ms\n");
    reload(&server, READ_AGAIN);
    let mut slow = Client::connect(server.address());
    slow.expect_welcome();
    slow.expect_last(TOO_SLOW);
}

#[test]
fn hangup_changes_the_log_level() {
    let config = Config::new("level", "log-level = warn\n");
    let server = config.start();
    let accepts = || server.log().count("Accept new connection");
    Client::acquainted(server.address()).leave();
    assert_eq!(accepts(), 0);
    config.write("log-level = info\n");
    reload(&server, READ_AGAIN);
    Client::acquainted(server.address()).leave();
    server.log().wait_for("is closed", 0);
    assert_eq!(accepts(), 1);
}

#[test]
fn hangup_with_an_error_changes_nothing() {
    let config = Config::new("error", "max-connections = 1\n");
    let mut server = config.start();
    let _inside = Client::acquainted(server.address());
    for (text, problem) in [
        (
            "max-connections = 2\ndrain = long\n",
            "line 2: invalid value",
        ),
        (
            "max-connections = 2\nframing = line\n",
            "framing cannot change",
        ),
        (
            "max-connections = 2\nwrite-timeout = 0s\n",
            "write_timeout must be",
        ),
        ("max-connections = 2\nnonsense\n", "line 2: expected"),
    ] {
        config.write(text);
        let line = reload(&server, KEPT);
        assert!(line.contains(problem), "{line}");
        Client::connect(server.address()).expect_last(FULL);
    }
    fs::remove_file(config.path()).expect("our own file");
    reload(&server, KEPT);
    assert!(server.is_running());
}

#[test]
fn manager_learns_of_a_reload() {
    let folder = Folder::new("reload");
    let manager = Manager::at(&folder);
    let mut server = notify::start(&folder, &[]);
    manager.next_with("READY=1");
    server.signal(Signal::SIGHUP);
    let (reloading, _) = manager.next_with("RELOADING=1");
    let (first, time) = reloading.split_once('\n').expect("both in one");
    assert_eq!(first, "RELOADING=1");
    let time = time.strip_prefix("MONOTONIC_USEC=").expect("the time");
    assert!(time.parse::<u64>().is_ok_and(|micros| micros > 0), "{time}");
    manager.next_with("READY=1");
    let mut client = Client::acquainted(server.address());
    server.signal(Signal::SIGTERM);
    client.expect_last(GOOD_BYE);
    drop(client);
    assert_eq!(server.exit().code(), Some(0));
}
