//! Successors that SIGUSR2 starts, good ones and bad ones.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::folder::Folder;
use super::load::Load;
use super::notify::Manager;
use super::passing::{free_port, passing};
use crate::common::{Client, PATIENCE, Server, eventually, server};

/// A server that is restarted: the first process, and the present one.
pub(crate) struct Lineage {
    first: Server,
    /// The last successor, once there is one.
    last: Option<Process>,
    /// The one before, while it may still run.
    before: Option<Process>,
    restarts: usize,
}

/// A successor, which is a child of a process that has ended. It is killed when dropped.
struct Process(Pid);

impl Process {
    fn signal(&self, signal: Signal) {
        kill(self.0, signal).expect("it runs");
    }

    /// Waits for the end, and returns the exit code.
    #[track_caller]
    fn exit(&self) -> i32 {
        eventually("the successor has ended", || {
            match waitpid(self.0, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => Some(code),
                Ok(WaitStatus::StillAlive) => None,
                // Its parent has not ended yet.
                Err(nix::errno::Errno::ECHILD) => None,
                other => panic!("{other:?}"),
            }
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

impl Lineage {
    pub(crate) fn new(command: Command) -> Self {
        Self::of(command, 1)
    }

    fn of(mut command: Command, listeners: usize) -> Self {
        // So that successors are children of this process once their parents have ended.
        set_child_subreaper(true).expect("Linux has it");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self::run(command, listeners)
    }

    fn run(command: Command, listeners: usize) -> Self {
        set_child_subreaper(true).expect("Linux has it");
        Self {
            first: Server::run(command, listeners),
            last: None,
            before: None,
            restarts: 0,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.first.address()
    }

    fn pid(&self) -> Pid {
        let first = Pid::from_raw(self.first.pid().cast_signed());
        self.last.as_ref().map_or(first, |last| last.0)
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// Asks for a successor, and returns its process id.
    #[track_caller]
    fn ask(&self) -> Pid {
        let seen = self.first.log().count(STARTING);
        self.signal(Signal::SIGUSR2);
        pid_in(&self.first.log().wait_for(STARTING, seen))
    }

    /// Starts a successor, and waits until it serves.
    #[track_caller]
    pub(crate) fn succeed(&mut self) {
        let successor = Process(self.ask());
        self.first.log().wait_for(SERVES, self.restarts);
        self.restarts += 1;
        self.before = self.last.replace(successor);
    }

    /// Waits until the process before the present one has ended, well.
    #[track_caller]
    pub(crate) fn expect_end_of_predecessor(&mut self) {
        match self.before.take() {
            Some(before) => assert_eq!(before.exit(), 0),
            None => eventually("the first process has ended", || {
                (!self.first.is_running()).then_some(())
            }),
        }
    }

    /// Starts a successor, and waits until the process before it has ended.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.succeed();
        self.expect_end_of_predecessor();
    }

    /// Stops the last process, which must end well.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.signal(Signal::SIGTERM);
        let last = self.last.as_ref().expect("it was restarted");
        assert_eq!(last.exit(), 0);
    }
}

fn pid_in(line: &str) -> Pid {
    let (_, rest) = line.split_once("(pid ").expect("a process id");
    let (pid, _) = rest.split_once(')').expect("its end");
    Pid::from_raw(pid.parse().expect("a number"))
}

/// Returns the command of a server whose program can be replaced.
fn replaceable(program: &Path, flags: &[&str]) -> Command {
    let plain = server::command(&[&["--framing", "line", "--log-level", "warn"], flags].concat());
    let mut command = Command::new(program);
    command.args(plain.get_args());
    for (variable, _) in plain.get_envs() {
        command.env_remove(variable);
    }
    command
}

/// Lets a server under load start a successor by `script`, which fails as the log has it in
/// `parts`. Nothing may happen to the clients.
#[track_caller]
fn failing(test: &str, script: &str, parts: &[&str], meanwhile: impl FnOnce(&Lineage, Pid)) {
    let folder = Folder::new(test);
    let program = folder.install();
    let flags = ["--successor-timeout", "2s"];
    let mut lineage = Lineage::new(replaceable(&program, &flags));
    let load = Load::start(lineage.address(), 1000);
    load.wait_for(100);
    folder.replace(&program, script);
    let successor = lineage.ask();
    meanwhile(&lineage, successor);
    let line = lineage.first.log().wait_for("goes on serving", 0);
    for part in parts {
        assert!(line.contains(part), "{part:?} in {line}");
    }
    load.wait_for(200);
    let tally = load.finish(test);
    tally.assert_no_failures();
    assert_eq!(tally.dismissed, 0);
    assert!(kill(successor, None).is_err(), "it has ended");
    assert!(lineage.first.is_running());
    assert_eq!(lineage.first.terminate(), Some(0));
}

#[test]
fn successor_that_crashes_at_start_changes_nothing() {
    failing("crash", "exit 7", &["exit status: 7"], |_, _| {});
}

#[test]
fn successor_with_a_wrong_option_changes_nothing() {
    let server = env!("CARGO_BIN_EXE_greet-server");
    let script = format!("exec {server} --no-such-option \"$@\"");
    failing("option", &script, &["exit status: 2"], |_, _| {});
}

#[test]
fn successor_that_hangs_is_killed_and_changes_nothing() {
    let script = "exec sleep 1000";
    failing(
        "hang",
        script,
        &["not ready in 2s", "was killed"],
        |_, _| {},
    );
}

#[test]
fn successor_killed_half_way_changes_nothing() {
    // It has begun to take over the sockets.
    let script = "head -c 10 >/dev/null; kill -KILL $$; sleep 1000";
    failing("half", script, &["signal: 9"], |_, _| {});
}

#[test]
fn successor_killed_from_outside_changes_nothing() {
    let script = "exec sleep 1000";
    failing("killed", script, &["signal: 9"], |_, successor| {
        kill(successor, Signal::SIGKILL).expect("it runs");
    });
}

#[test]
fn second_request_for_a_successor_is_refused() {
    let folder = Folder::new("second");
    let program = folder.install();
    let mut lineage = Lineage::new(replaceable(&program, &[]));
    folder.replace(&program, "exec sleep 1000");
    let successor = lineage.ask();
    lineage.signal(Signal::SIGUSR2);
    let line = lineage.first.log().wait_for("is starting already", 0);
    assert_eq!(pid_in(&line), successor);
    // A process that stops takes it along.
    assert_eq!(lineage.first.terminate(), Some(0));
    assert!(kill(successor, None).is_err(), "it was killed");
    assert_eq!(lineage.first.log().count(STARTING), 1);
}

#[test]
fn program_that_is_gone_changes_nothing() {
    let folder = Folder::new("removed");
    let program = folder.install();
    let lineage = Lineage::new(replaceable(&program, &[]));
    fs::remove_file(&program).expect("it is there");
    lineage.signal(Signal::SIGUSR2);
    lineage.first.log().wait_for("cannot start a successor", 0);
    Client::welcomed(lineage.address()).round_trip("Ada");
}

#[test]
fn successor_is_the_program_that_is_at_the_path_now() {
    let folder = Folder::new("version");
    let program = folder.install();
    let mut lineage = Lineage::new(replaceable(&program, &[]));
    let server = env!("CARGO_BIN_EXE_greet-server");
    folder.replace(&program, &format!("exec {server} \"$@\""));
    lineage.restart();
    let link = fs::read_link(format!("/proc/{}/exe", lineage.pid())).expect("it runs");
    assert_eq!(link, Path::new(server).canonicalize().expect("it exists"));
    Client::welcomed(lineage.address()).round_trip("Ada");
    lineage.stop();
}

#[test]
fn successor_of_a_killed_process_serves() {
    let folder = Folder::new("orphan");
    let program = folder.install();
    let lineage = Lineage::new(replaceable(&program, &[]));
    let server = env!("CARGO_BIN_EXE_greet-server");
    let until_it_has_ended = format!(
        "while kill -0 {}; do sleep 0.02; done; exec {server} \"$@\"",
        lineage.pid()
    );
    folder.replace(&program, &until_it_has_ended);
    let successor = Process(lineage.ask());
    lineage.signal(Signal::SIGKILL);
    // The signal leaves a child to be waited for.
    let log = lineage.first.log().clone();
    let address = lineage.address();
    drop(lineage);
    log.wait_for("the predecessor has ended", 0);
    Client::welcomed(address).round_trip("Ada");
    successor.signal(Signal::SIGTERM);
    assert_eq!(successor.exit(), 0);
}

/// Returns the sockets of a process, by the kernel's names.
fn sockets(pid: Pid) -> BTreeSet<String> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let names = links.map(|link| link.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("socket:")).collect()
}

#[test]
fn successor_has_the_listener_and_no_connection() {
    let mut lineage = Lineage::new(server::command(&["--drain", "30s", "--log-level", "warn"]));
    let mut client = Client::acquainted(lineage.address());
    let before = sockets(lineage.pid());
    let successor = lineage.ask();
    lineage.first.log().wait_for(SERVES, 0);
    let after = sockets(successor);
    assert_eq!(
        before.intersection(&after).count(),
        1,
        "{before:?} {after:?}"
    );
    lineage.last = Some(Process(successor));
    client.expect_last("Good bye!\n");
    drop(client);
    lineage.stop();
}

#[test]
fn sockets_of_a_service_manager_pass_to_the_successor() {
    let folder = Folder::new("managed");
    let (tcp, address) = free_port();
    let local = UnixListener::bind(folder.path("s")).expect("a path");
    let flags = ["--listen", "fd://main", "--listen", "fd://local"];
    let sockets = [tcp.into(), local.into()];
    let mut lineage = Lineage::run(passing(sockets, Some("main:local"), &flags), 2);
    for _ in 0..2 {
        lineage.restart();
        Client::welcomed(address).round_trip("Ada");
        assert!(folder.path("s").exists());
    }
    lineage.stop();
    assert!(folder.path("s").exists(), "it is the service manager's");
}

#[test]
fn full_server_has_descriptors_left_for_a_successor() {
    let folder = Folder::new("full");
    let manager = Manager::at(&folder);
    let plain = server::command(&["--grace", "1h"]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args())
        .env("NOTIFY_SOCKET", folder.path("notify"));
    let mut lineage = Lineage::new(command);
    manager.next_with("READY=1");
    let mut served = Client::acquainted(lineage.address());
    let mut clients = Vec::new();
    let mut first = *b"W";
    while first == *b"W" {
        let mut client = Client::connect(lineage.address());
        client
            .0
            .read_exact(&mut first)
            .expect("a welcome or a refusal");
        clients.push(client);
    }
    // These are refused, and linger.
    clients.extend((0..20).map(|_| Client::connect(lineage.address())));
    served.round_trip("Ada");
    lineage.succeed();
    let (message, _) = manager.next_with("MAINPID=");
    assert_eq!(message, format!("MAINPID={}", lineage.pid()));
    served.round_trip("Grace");
    drop((served, clients));
    lineage.expect_end_of_predecessor();
}

#[test]
fn admin_socket_survives_until_the_last_process_ends() {
    let folder = Folder::new("admin");
    let path = folder.path("s");
    let admin = path.to_str().expect("text");
    let mut lineage = Lineage::new(server::command(&["--admin", admin]));
    for _ in 0..2 {
        lineage.restart();
        let mut stream = UnixStream::connect(&path).expect("a listener");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let asked = stream.write_all(b"GET /ready HTTP/1.0\r\n\r\n");
        asked.expect("a connection");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an end");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    }
    lineage.stop();
    assert!(!path.exists());
}

const STARTING: &str = "starting a successor (pid ";
const SERVES: &str = "serves from now on";
