//! Sockets that a service manager passes (`LISTEN_FDS`).

use std::io::{Read, Write};
use std::net::{Shutdown, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::folder::Folder;
use super::passing::{copy, free_port, passing};
use crate::common::{Client, PATIENCE, QUESTION, Server, WELCOME, eventually, server};

/// Has one conversation over a Unix-domain socket.
#[track_caller]
fn converse_locally(path: &PathBuf) {
    let mut stream = UnixStream::connect(path).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(b"Ada\n").expect("a connection");
    stream.shutdown(Shutdown::Write).expect("a connection");
    let mut read = Vec::new();
    stream.read_to_end(&mut read).expect("an end");
    let read = String::from_utf8(read).expect("text");
    assert!(read.contains("Hello Ada!\n"), "{read:?}");
}

/// Runs a server that does not start, and returns its exit code and its log.
#[track_caller]
fn failure(mut command: Command) -> (Option<i32>, String) {
    let output = command.stderr(Stdio::piped()).output();
    let output = output.expect("starting greet-server");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), log)
}

#[track_caller]
fn expect_one_sentence(command: Command, parts: &[&str]) {
    let (code, log) = failure(command);
    assert_eq!(code, Some(1), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    for part in parts {
        assert!(log.contains(part), "{part:?} in {log}");
    }
}

#[test]
fn passed_sockets_are_served_by_name() {
    let folder = Folder::new("names");
    let (tcp, address) = free_port();
    let local = UnixListener::bind(folder.path("s")).expect("a path");
    let sockets = [OwnedFd::from(tcp), OwnedFd::from(local)];
    let flags = ["--listen", "fd://local", "--listen", "fd://main"];
    let mut server = Server::run(passing(sockets, Some("main:local"), &flags), 2);
    assert_eq!(server.addresses(), [address]);
    Client::welcomed(address).round_trip("Ada");
    converse_locally(&folder.path("s"));
    assert_eq!(server.terminate(), Some(0));
    assert!(folder.path("s").exists(), "its file is not ours");
}

#[test]
fn operators_have_a_passed_socket_too() {
    let ((tcp, address), (admin, admin_address)) = (free_port(), free_port());
    let sockets = [OwnedFd::from(tcp), OwnedFd::from(admin)];
    let flags = ["--listen", "fd://main", "--admin", "fd://admin"];
    let mut server = Server::run(passing(sockets, Some("main:admin"), &flags), 1);
    Client::welcomed(address).round_trip("Ada");
    let mut operator = Client::connect(admin_address);
    operator.send("GET /ready HTTP/1.0\r\n\r\n");
    let answer = String::from_utf8(operator.rest().expect("an end")).expect("text");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nready\n"), "{answer}");
    drop(operator);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn passed_socket_and_address_are_both_served() {
    let (tcp, address) = free_port();
    let flags = ["--listen", "fd://main", "--listen", "127.0.0.1:0"];
    let server = Server::run(passing([OwnedFd::from(tcp)], Some("main"), &flags), 2);
    assert_eq!(server.addresses()[0], address);
    for &address in server.addresses() {
        Client::welcomed(address).round_trip("Ada");
    }
}

#[test]
fn sockets_with_one_name_are_all_served() {
    let ((one, at_one), (other, at_other)) = (free_port(), free_port());
    let sockets = [OwnedFd::from(one), OwnedFd::from(other)];
    let flags = ["--listen", "fd://unknown"];
    let server = Server::run(passing(sockets, None, &flags), 2);
    for address in [at_one, at_other] {
        Client::welcomed(address).round_trip("Ada");
    }
    drop(server);
}

#[test]
fn queue_of_a_passed_socket_outlives_its_server() {
    let (held, address) = free_port();
    let flags = ["--listen", "fd://main", "--framing", "line"];
    let start = || Server::run(passing([copy(&held)], Some("main"), &flags), 1);
    let mut first = start();
    Client::welcomed(address).round_trip("Ada");
    assert_eq!(first.terminate(), Some(0));
    let mut waits = Client::connect(address);
    waits.send("Grace\n");
    let _second = start();
    waits.expect(WELCOME);
    waits.expect(QUESTION);
    waits.expect("Hello Grace!\n");
}

#[test]
fn sockets_without_an_option_are_an_error() {
    let (tcp, _) = free_port();
    let command = passing([OwnedFd::from(tcp)], Some("main"), &["--listen", ":0"]);
    expect_one_sentence(command, &["passes sockets", "main", "--listen fd://NAME"]);
}

#[test]
fn name_that_no_socket_has_is_an_error() {
    let (tcp, _) = free_port();
    let flags = ["--listen", "fd://other"];
    let command = passing([OwnedFd::from(tcp)], Some("main"), &flags);
    expect_one_sentence(command, &["no socket named other", "it passes main"]);
    let plain = server::command(&flags);
    expect_one_sentence(plain, &["no socket named other", "it passes no other"]);
}

#[test]
fn names_that_are_too_few_are_an_error() {
    let ((one, _), (other, _)) = (free_port(), free_port());
    let sockets = [OwnedFd::from(one), OwnedFd::from(other)];
    let command = passing(sockets, Some("main"), &["--listen", "fd://main"]);
    expect_one_sentence(command, &["2 sockets", "1 names"]);
}

#[test]
fn socket_of_another_kind_is_an_error() {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let flags = ["--listen", "fd://main"];
    let command = passing([OwnedFd::from(udp)], Some("main"), &flags);
    expect_one_sentence(command, &["fd://main", "else than a stream socket"]);
}

#[test]
fn sockets_for_another_process_are_ignored() {
    let mut command = server::command(&["--listen", "127.0.0.1:0"]);
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let server = Server::run(command, 1);
    Client::welcomed(server.address()).round_trip("Ada");
    let mut without_pid = server::command(&["--listen", "127.0.0.1:0"]);
    without_pid.env_remove("LISTEN_PID").env("LISTEN_FDS", "1");
    without_pid.stdin(Stdio::null()).stdout(Stdio::null());
    let server = Server::run(without_pid, 1);
    Client::welcomed(server.address()).round_trip("Ada");
}

/// The tool waits for a connection and becomes the server then, with its own process id.
#[test]
fn sockets_of_systemd_socket_activate_are_served() {
    if Command::new("systemd-socket-activate")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("skipped: systemd-socket-activate is not installed");
        return;
    }
    let folder = Folder::new("activate");
    let (tcp, address) = free_port();
    drop(tcp); // the tool binds it: it cannot report a port that it has chosen
    let plain = server::command(&["--listen", "fd://a", "--listen", "fd://b"]);
    let mut tool = Command::new("systemd-socket-activate");
    tool.arg("--fdname=a:b")
        .arg(format!("--listen={address}"))
        .arg(format!("--listen={}", folder.path("s").display()))
        .arg(plain.get_program())
        .args(plain.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let server = Server::run(tool, 0);
    let mut first = eventually("the tool listens", || Client::try_connect(address).ok());
    first.expect_welcome();
    first.round_trip("Ada");
    converse_locally(&folder.path("s"));
    drop(server);
}
