//! The example `forward` as a process, between real sockets: bulk in both directions, slow readers,
//! half-close, resets, a drain, and Unix-domain sockets.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oneloop::Address;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

/// A running forwarder, ended when it is dropped.
struct Forwarder {
    process: Child,
    address: Address,
}

impl Forwarder {
    fn start(upstream: SocketAddr) -> Self {
        Self::between("127.0.0.1:0", &upstream.to_string())
    }

    /// Starts a forwarder from one address to another one, each as it is given on a command line.
    fn between(listen: &str, upstream: &str) -> Self {
        let mut process = Command::new(program())
            .args([listen, upstream])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let mut line = String::new();
        let output = process.stdout.as_mut().expect("a pipe");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("its first line");
        let address = line.trim().strip_prefix("listening on ");
        let address = address.expect(&line).parse().expect("an address");
        Self { process, address }
    }

    fn connect(&self) -> TcpStream {
        let address = self.address.socket_addr().expect("an address of TCP");
        let stream = TcpStream::connect(address).expect("the forwarder listens");
        with_patience(stream)
    }

    /// The most memory that it has used, in KiB.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.expect("a figure").parse().expect("a number")
    }

    /// Asks it to stop, as an operator does.
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).expect("it runs");
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Builds the example once, and returns its path.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "-p", "oneloop", "--example", "forward"])
            .args(["--message-format", "json", "--quiet"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        let output = String::from_utf8(built.stdout).expect("text");
        let path = output.split("\"executable\":\"").nth(1);
        let path = path.and_then(|rest| rest.split('"').next());
        path.expect("the path of the example").to_owned()
    })
}

/// A server of one connection.
fn upstream() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    with_patience(listener.accept().expect("a connection").0)
}

/// A test fails after a minute without progress, instead of waiting for ever.
fn with_patience(stream: TcpStream) -> TcpStream {
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("a socket");
    stream.set_write_timeout(patience).expect("a socket");
    stream
}

/// Bytes that differ by position and seed.
fn pattern(seed: usize, from: usize, bytes: usize) -> Vec<u8> {
    (from..from + bytes)
        .map(|at| (seed + at + (at >> 8) * 7 + (at >> 16) * 31) as u8)
        .collect()
}

/// Sends a stream, and then its end.
fn send(stream: &TcpStream, seed: usize, bytes: usize) {
    send_without_end(stream, seed, bytes);
    stream.shutdown(Shutdown::Write).expect("a connection");
}

fn send_without_end(mut stream: &TcpStream, seed: usize, bytes: usize) {
    for from in (0..bytes).step_by(PIECE) {
        let piece = pattern(seed, from, PIECE.min(bytes - from));
        stream.write_all(&piece).expect("the peer reads");
    }
}

/// Reads a stream up to its end, with a pause after each megabyte, and compares it.
fn receive(mut stream: &TcpStream, seed: usize, bytes: usize, pause: Duration) {
    let (mut received, mut buffer) = (0, vec![0; PIECE]);
    loop {
        let count = stream.read(&mut buffer).expect("the stream");
        if count == 0 {
            break;
        }
        let same = buffer[..count] == pattern(seed, received, count);
        assert!(same, "a wrong byte behind {received}");
        if (received + count) / MEGABYTE > received / MEGABYTE {
            thread::sleep(pause); // a slow reader
        }
        received += count;
    }
    assert_eq!(received, bytes);
}

const MEGABYTE: usize = 1 << 20;
const PIECE: usize = 64 * 1024;
const NO_PAUSE: Duration = Duration::ZERO;

#[test]
fn bulk_in_both_directions_arrives_whole_in_little_memory() {
    let (listener, address) = upstream();
    let forwarder = Forwarder::start(address);
    let bytes = 100 * MEGABYTE;
    let before = forwarder.memory();
    let client = forwarder.connect();
    let server = accept(&listener);
    thread::scope(|scope| {
        scope.spawn(|| send(&client, 1, bytes));
        scope.spawn(|| send(&server, 2, bytes));
        scope.spawn(|| receive(&client, 2, bytes, Duration::from_millis(10)));
        receive(&server, 1, bytes, NO_PAUSE);
    });
    let used = forwarder.memory() - before;
    assert!(used <= 4 * 1024, "{used} KiB more than idle");
}

#[test]
fn client_that_reads_after_it_has_sent_everything_gets_all() {
    let (listener, address) = upstream();
    let forwarder = Forwarder::start(address);
    let bytes = 20 * MEGABYTE;
    let before = forwarder.memory();
    let client = forwarder.connect();
    let server = accept(&listener);
    thread::scope(|scope| {
        scope.spawn(|| send(&server, 2, bytes));
        scope.spawn(|| receive(&server, 1, bytes, NO_PAUSE));
        send(&client, 1, bytes);
        receive(&client, 2, bytes, NO_PAUSE);
    });
    let used = forwarder.memory() - before;
    assert!(used <= 4 * 1024, "{used} KiB more than idle");
}

#[test]
fn end_of_either_stream_leaves_the_other_open() {
    let (listener, address) = upstream();
    let forwarder = Forwarder::start(address);
    for client_first in [true, false] {
        let client = forwarder.connect();
        let server = accept(&listener);
        let (first, second) = match client_first {
            true => (&client, &server),
            false => (&server, &client),
        };
        send(first, 1, 3 * PIECE);
        receive(second, 1, 3 * PIECE, NO_PAUSE);
        send(second, 2, 3 * PIECE);
        receive(first, 2, 3 * PIECE, NO_PAUSE);
    }
}

#[test]
fn reset_of_either_end_resets_the_other() {
    let (listener, address) = upstream();
    let forwarder = Forwarder::start(address);
    for client_resets in [true, false] {
        let client = forwarder.connect();
        let server = accept(&listener);
        let (resets, mut other) = match client_resets {
            true => (client, server),
            false => (server, client),
        };
        (&resets).write_all(b"some").expect("a connection");
        let mut some = [0; 4];
        other.read_exact(&mut some).expect("what was sent before");
        let linger = Some(Duration::ZERO);
        SockRef::from(&resets).set_linger(linger).expect("a socket");
        drop(resets);
        let error = other.read(&mut some).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn upstream_that_refuses_resets_the_client() {
    let (listener, address) = upstream();
    drop(listener);
    let forwarder = Forwarder::start(address);
    let mut client = forwarder.connect();
    let error = client.read(&mut [0; 4]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn drain_in_the_middle_of_bulk_loses_nothing() {
    let (listener, address) = upstream();
    let mut forwarder = Forwarder::start(address);
    let bytes = 20 * MEGABYTE;
    let before = forwarder.memory();
    let client = forwarder.connect();
    let server = accept(&listener);
    thread::scope(|scope| {
        scope.spawn(|| send(&client, 1, bytes));
        let sent = scope.spawn(|| send_without_end(&server, 2, bytes));
        scope.spawn(|| receive(&client, 2, bytes, Duration::from_millis(20)));
        let mut first = vec![0; MEGABYTE];
        (&server)
            .read_exact(&mut first)
            .expect("the first megabyte");
        assert!(first == pattern(1, 0, MEGABYTE));
        forwarder.signal(Signal::SIGTERM);
        let mut rest = Vec::new();
        (&server).read_to_end(&mut rest).expect("the rest");
        assert!(rest == pattern(1, MEGABYTE, bytes - MEGABYTE));
        sent.join().expect("no panic");
        // It runs until this stream has ended.
        let used = forwarder.memory() - before;
        assert!(used <= 4 * 1024, "{used} KiB more than idle");
        server.shutdown(Shutdown::Write).expect("a connection");
    });
    drop((client, server));
    let status = forwarder.process.wait().expect("it ends");
    assert!(status.success(), "{status}");
}

#[test]
fn either_signal_ends_it_once_its_streams_have_ended() {
    let (listener, address) = upstream();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut forwarder = Forwarder::start(address);
        let client = forwarder.connect();
        let server = accept(&listener);
        send(&client, 1, PIECE);
        receive(&server, 1, PIECE, NO_PAUSE);
        forwarder.signal(signal);
        send(&server, 2, PIECE);
        receive(&client, 2, PIECE, NO_PAUSE);
        let status = forwarder.process.wait().expect("it ends");
        assert!(status.success(), "{signal}: {status}");
    }
}

#[test]
fn either_side_may_be_a_unix_domain_socket() {
    let folder = std::env::temp_dir().join(format!("forward-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let path = |name: &str| format!("unix:{}", folder.join(name).display());
    for (listen, upstream) in [
        ("127.0.0.1:0", path("to-unix")),
        (&path("from-tcp"), "127.0.0.1:0".into()),
        (&path("from-unix"), path("upstream")),
    ] {
        let (listener, upstream) = listener_at(&upstream);
        let forwarder = Forwarder::between(listen, &upstream);
        let mut client = connect_to(&forwarder.address);
        let (mut server, _) = listener.accept().expect("a connection");
        client.write_all(b"question").expect("a connection");
        client.shutdown(Shutdown::Write).expect("a connection");
        let mut received = String::new();
        server.read_to_string(&mut received).expect("a stream");
        assert_eq!(received, "question", "{listen} to {upstream}");
        server.write_all(b"answer").expect("it reads on");
        drop(server);
        received.clear();
        client.read_to_string(&mut received).expect("a stream");
        assert_eq!(received, "answer", "{listen} to {upstream}");
    }
    fs::remove_dir_all(&folder).expect("its removal");
}

/// Listens at an address of either kind. Returns the address that it really is, too.
fn listener_at(address: &str) -> (Socket, String) {
    let (socket, address) = socket_for(&address.parse().expect("an address"));
    socket.bind(&address).expect("a free address");
    socket.listen(1).expect("a socket");
    let bound = socket.local_addr().expect("its address");
    let shown = match (bound.as_socket(), bound.as_pathname()) {
        (Some(address), _) => address.to_string(),
        (None, path) => format!("unix:{}", path.expect("a path").display()),
    };
    (socket, shown)
}

fn connect_to(address: &Address) -> Socket {
    let (socket, address) = socket_for(address);
    socket.connect(&address).expect("it listens");
    let patience = Some(Duration::from_secs(60));
    socket.set_read_timeout(patience).expect("a socket");
    socket
}

fn socket_for(address: &Address) -> (Socket, SockAddr) {
    let (domain, address) = match address {
        Address::Ip(address) => (Domain::for_address(*address), (*address).into()),
        Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path).expect("a short path")),
        other => panic!("{other}"),
    };
    let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
    (socket, address)
}
