//! Group F, the log: its formats, and a server with a log that nothing reads.

use std::fs::{self, File};
use std::io::{PipeReader, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;

use crate::common::{CONTROL_CHARACTER, Client, PATIENCE, QUESTION, Server, eventually, reply};

/// A server with a standard error that the test reads, or not.
struct Logging {
    child: Child,
    address: SocketAddr,
}

impl Logging {
    /// Starts a server, and reads its standard error by `read_line` until it waits for connections.
    #[track_caller]
    fn start(command: &mut Command, stderr: Stdio, mut read_line: impl FnMut() -> String) -> Self {
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("GREET_") {
                command.env_remove(variable);
            }
        }
        command.args(["--listen", "127.0.0.1:0"]);
        let child = command.stdin(Stdio::null()).stderr(stderr).spawn();
        let child = child.expect("starting greet-server");
        let address = loop {
            if let Some((_, rest)) = read_line().split_once("(listening on ") {
                let (address, _) = rest.split_once(')').expect("its end");
                break address.parse().expect("an address");
            }
        };
        Self { child, address }
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.expect("a size").parse().expect("a number")
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn server(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greet-server"));
    command.args(flags);
    command
}

/// Waits until there is something to read: a server that hangs fails a test, and does not hang it.
#[track_caller]
fn wait_for_input(stream: &impl AsFd) {
    let mut descriptors = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    let milliseconds = u16::try_from(PATIENCE.as_millis()).expect("less than a minute");
    let ready = poll(&mut descriptors, milliseconds).expect("polling");
    assert!(ready > 0, "nothing is logged");
}

/// Reads one line, byte for byte, so that nothing is read that comes after it.
#[track_caller]
fn line(mut stream: impl Read + AsFd) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") {
        wait_for_input(&stream);
        stream.read_exact(&mut byte).expect("a line comes");
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("the line is text")
}

/// Reads lines until one has `text` in it, and returns all of them.
#[track_caller]
fn lines_until(mut pipe: &PipeReader, text: &str) -> Vec<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 65536];
    loop {
        wait_for_input(&pipe);
        let count = pipe.read(&mut chunk).expect("the server runs");
        assert!(count > 0, "the server has ended");
        bytes.extend_from_slice(&chunk[..count]);
        let whole = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines = String::from_utf8(bytes[..whole].to_vec()).expect("text");
        if lines.contains(text) {
            return lines.lines().map(String::from).collect();
        }
    }
}

#[test]
fn f8_unread_pipe_does_not_stop_100000_sessions() {
    let (reader, writer) = std::io::pipe().unwrap();
    let server = Logging::start(&mut server(&[]), writer.into(), || line(&reader));
    let mut bystander = Client::acquainted(server.address);
    let before = server.resident_kib();
    for number in 0..100_000 {
        Client::connect(server.address).reset();
        if number % 1000 == 0 {
            bystander.round_trip("bystander");
        }
    }
    bystander.round_trip("bystander");
    let after = server.resident_kib();
    assert!(after < before + 2048, "{before} KiB grew to {after} KiB");

    // Without any traffic: there is room again, and the loop is woken.
    let lines = lines_until(&reader, "log lines dropped");
    let report = lines
        .iter()
        .find(|line| line.contains("log lines dropped"))
        .unwrap();
    let (_, dropped) = report.split_once("lines=").expect("their number");
    let dropped: usize = dropped.parse().expect("a number");
    let rest = lines_until_quiet(&reader);
    let seen = lines.len() + rest.len();
    let logged = 200_000 + 2;
    assert!(dropped > 150_000, "{dropped}");
    assert!(
        (logged - 10..=logged + 10).contains(&(dropped + seen)),
        "{dropped} + {seen}"
    );
    for line in lines.iter().chain(&rest) {
        assert!(line.starts_with("20"), "no line is cut: {line:?}");
    }
    // From here on all is as ever.
    let peer = Client::acquainted(server.address);
    let address = peer.0.local_addr().unwrap();
    lines_until(&reader, &format!("Accept new connection from {address}"));
}

/// Reads the lines that come until none has come for a while.
fn lines_until_quiet(mut pipe: &PipeReader) -> Vec<String> {
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let mut bytes = Vec::new();
    let mut chunk = [0; 65536];
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_millis(500) {
        match pipe.read(&mut chunk) {
            Ok(count) => {
                bytes.extend_from_slice(&chunk[..count]);
                last = Instant::now();
            }
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    let text = String::from_utf8(bytes).expect("text");
    text.lines().map(String::from).collect()
}

#[test]
fn f8_log_resumes_after_write_errors() {
    let folder = std::env::temp_dir().join(format!("oneloop-log-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("log");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap();
    // A file that may not grow stands for a disk that is full.
    let mut command = Command::new("env");
    command
        .arg("--ignore-signal=XFSZ")
        .arg(env!("CARGO_BIN_EXE_greet-server"));
    let log = || fs::read_to_string(&path).unwrap();
    let server = Logging::start(&mut command, file.into(), || {
        eventually("the server waits", || {
            log().contains("(listening on ").then(log)
        })
    });
    eventually("the start is logged", || {
        log().contains("Try: nc").then_some(())
    });
    limit_file_size(&server, &log().len().to_string());
    let silent = Client::acquainted(server.address);
    let peer = silent.0.local_addr().unwrap();
    silent.leave();
    assert!(!log().contains(&peer.to_string()));

    limit_file_size(&server, "unlimited");
    let loud = Client::acquainted(server.address);
    let later = loud.0.local_addr().unwrap();
    eventually("the log goes on", || {
        log()
            .contains(&format!("Accept new connection from {later}"))
            .then_some(())
    });
    assert!(
        log().contains(&format!("Connection from {peer} is closed")),
        "what waited is there"
    );
    fs::remove_dir_all(folder).unwrap();
}

fn limit_file_size(server: &Logging, bytes: &str) {
    let status = Command::new("prlimit")
        .arg(format!("--pid={}", server.child.id()))
        .arg(format!("--fsize={bytes}:"))
        .status();
    assert!(status.expect("running prlimit").success());
}

#[test]
fn f8_full_nonblocking_pipe_resumes_when_read() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let shared = writer.try_clone().unwrap();
    let server = Logging::start(&mut server(&[]), shared.into(), || line(&reader));
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    // Full to the last byte: there is no room for a line.
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    while writer.write(b"\n").is_ok() {}
    let peer = Client::acquainted(server.address);
    let address = peer.0.local_addr().unwrap();
    lines_until(&reader, &format!("Accept new connection from {address}"));
}

#[test]
fn f8_stopped_terminal_does_not_stop_the_server() {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let keyboard = File::from(terminal.master);
    let slave = Stdio::from(terminal.slave);
    let server = Logging::start(&mut server(&[]), slave, || line(&keyboard));
    // Nothing reads the terminal from here on, as after Ctrl-S; it holds some kilobytes.
    let mut bystander = Client::acquainted(server.address);
    for _ in 0..2000 {
        Client::connect(server.address).reset();
    }
    bystander.round_trip("bystander");
}

#[test]
fn f8_log_without_reader_does_not_stop_it() {
    let (reader, writer) = std::io::pipe().unwrap();
    let server = Logging::start(&mut server(&[]), writer.into(), || line(&reader));
    drop(reader);
    for _ in 0..100 {
        Client::acquainted(server.address).leave();
    }
}

#[test]
fn f9_json_is_one_object_a_line() {
    let mut server = Server::start(&["--log-format", "json", "--log-level", "trace"]);
    let mut client = Client::acquainted(server.address());
    client.send("a \"quoted\" \\name\x07\n");
    client.expect([CONTROL_CHARACTER, QUESTION].concat());
    client.leave();
    server.signal(Signal::SIGUSR1);
    server.log().wait_for("\"statistics\"", 0);
    assert_eq!(server.terminate(), Some(0));
    let lines = server.log().lines();
    assert!(lines.len() > 5);
    for line in &lines {
        let value: serde_json::Value = serde_json::from_str(line).expect(line);
        for key in ["time", "level", "target", "message"] {
            assert!(value[key].is_string(), "{key} in {line}");
        }
    }
    let statistics = lines
        .iter()
        .find(|line| line.contains("\"statistics\""))
        .unwrap();
    let value: serde_json::Value = serde_json::from_str(statistics).unwrap();
    assert_eq!(value["accepted"], 1);
}

#[test]
fn f9_the_journal_gets_priorities_and_no_times() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = File::from(OwnedFd::from(theirs));
    let data = theirs.metadata().unwrap();
    let mut command = server(&[]);
    command.env("JOURNAL_STREAM", format!("{}:{}", data.dev(), data.ino()));
    let server = Logging::start(&mut command, theirs.into(), || {
        let line = line(&ours);
        assert!(line.starts_with("<6>[greet_server] "), "{line:?}");
        line
    });
    let peer = Client::acquainted(server.address);
    let address = peer.0.local_addr().unwrap();
    loop {
        let line = line(&ours);
        assert!(line.starts_with('<'), "{line:?}");
        if line.contains(&format!("Accept new connection from {address}")) {
            break;
        }
    }
}

#[test]
fn f9_a_stale_journal_variable_changes_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = server(&[]);
    command.env("JOURNAL_STREAM", "1:2");
    Logging::start(&mut command, writer.into(), || {
        let line = line(&reader);
        assert!(line.starts_with("20"), "{line:?}");
        line
    });
}

#[test]
fn f9_other_protocols_are_named_once() {
    let server = Server::start(&[]);
    let hello: &[u8] = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    for (bytes, name) in [
        (&b"GET / HTTP/1.1\r\n"[..], "speaks HTTP"),
        (hello, "speaks TLS"),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
            "speaks the PROXY protocol",
        ),
    ] {
        for _ in 0..2 {
            let mut client = Client::connect(server.address());
            client.send(bytes);
            client.finish();
            client.until_gone();
        }
        server.log().wait_for(name, 0);
        // A line about the second connection would come before those about the third.
        Client::acquainted(server.address()).leave();
        assert_eq!(server.log().count(name), 1);
    }
}

#[test]
fn f9_three_clients_at_once_can_be_followed() {
    let mut server = Server::start(&["--log-level", "debug"]);
    let mut clients = [1, 2, 3].map(|_| Client::welcomed(server.address()));
    for round in 0..2 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.round_trip(&format!("name-{round}-{number}"));
        }
    }
    clients[1].send("a\x07b\n");
    clients[1].expect([CONTROL_CHARACTER, QUESTION].concat());
    clients.into_iter().for_each(Client::leave);
    assert_eq!(server.terminate(), Some(0));
    let lines = server.log().lines();
    let of_session = |number: usize| {
        let (field, prefix) = (format!("session={number}"), format!("session {number}:"));
        let is_its =
            |line: &&String| line.contains(&prefix) || line.split(' ').any(|word| word == field);
        lines.iter().filter(is_its).collect::<Vec<_>>()
    };
    for number in 1..=3 {
        let session = of_session(number);
        let refused = usize::from(number == 2);
        let count = |what: &str| session.iter().filter(|line| line.contains(what)).count();
        assert_eq!(count(" INFO "), 2, "{session:?}");
        assert_eq!(count(": answered \"name-"), 2, "{session:?}");
        assert_eq!(count(r#": refused "a\x07b""#), refused, "{session:?}");
        assert_eq!(session.len(), 4 + refused, "{session:?}");
    }
    let others = lines
        .iter()
        .filter(|line| line.contains("[oneloop_greeting"));
    assert_eq!(
        others.count(),
        3 * 3 + 1,
        "each line of a session has its number"
    );
}

#[test]
fn f9_last_line_has_number_duration_and_bytes() {
    let server = Server::start(&[]);
    let mut first = Client::welcomed(server.address());
    first.send("Alice\n");
    first.expect(reply("Alice"));
    std::thread::sleep(Duration::from_millis(30));
    Client::acquainted(server.address()).leave();
    first.leave();
    let second = server
        .log()
        .wait_for("is closed (finished) session=2 seconds=", 0);
    assert!(
        second.ends_with(" names=1 bytes_in=14 bytes_out=69"),
        "{second}"
    );
    let first = server
        .log()
        .wait_for("is closed (finished) session=1 seconds=", 0);
    assert!(
        first.ends_with(" names=1 bytes_in=11 bytes_out=66"),
        "{first}"
    );
    let peers = server.log().lines();
    let accepted = peers
        .iter()
        .filter(|line| line.contains("Accept new connection"));
    let numbers: Vec<_> = accepted
        .map(|line| line.rsplit_once(' ').expect("fields").1)
        .collect();
    assert_eq!(numbers, ["session=1", "session=2"]);
    let (_, seconds) = first.split_once("seconds=").expect("its time");
    let (seconds, _) = seconds.split_once(' ').expect("its end");
    let seconds: f64 = seconds.parse().expect("a number");
    assert!((0.03..20.0).contains(&seconds), "{seconds}");
}
