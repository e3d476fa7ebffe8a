//! A reactor inside a program that has a poller of its own, and one that signals stop.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oneloop::{
    CloseReason, Context, EndReason, Event, Limits, Next, Peer, Reactor, Service, ServiceContext,
    Turn,
};

/// Echoes its input, and closes after some silence.
struct Echo {
    silence: Duration,
}

impl Service for Echo {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        cx.write(cx.input());
        cx.consume(cx.input().len());
        match event {
            Event::Eof => Next::Close(CloseReason::Eof),
            Event::Timeout => Next::Close(CloseReason::Timeout),
            Event::Drain => Next::Close(CloseReason::Shutdown),
            _ => Next::Read {
                until: cx.after(self.silence),
            },
        }
    }
}

/// A program that waits in poll(2), and turns the loop when that returns.
struct Host {
    reactor: Reactor<Echo>,
    address: SocketAddr,
    waits: u32,
}

impl Host {
    fn new(silence: Duration) -> Self {
        let limits = Limits {
            linger_timeout: Duration::ZERO,
            ..Limits::default()
        };
        let mut reactor = Reactor::new(Echo { silence }, limits).expect("a poller");
        let address = reactor.listen(([127, 0, 0, 1], 0).into());
        Self {
            reactor,
            address: address.expect("a free port"),
            waits: 0,
        }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).expect("a listener");
        client.set_nonblocking(true).expect("a socket");
        client
    }

    /// Waits for the loop's descriptor as long as the loop allows, then runs one turn.
    fn turn(&mut self) -> Turn {
        let most = self
            .reactor
            .wait()
            .map_or(PATIENCE, |wait| wait.min(PATIENCE));
        let millis = most.as_nanos().div_ceil(1_000_000) as u16;
        let mut descriptors = [PollFd::new(self.reactor.as_fd(), PollFlags::POLLIN)];
        poll(&mut descriptors, PollTimeout::from(millis)).expect("poll works");
        self.waits += 1;
        self.reactor
            .turn_within(Duration::ZERO)
            .expect("the loop works")
    }

    /// Turns until `is_done`.
    fn turn_until(&mut self, mut is_done: impl FnMut(&Self) -> bool) {
        let began = Instant::now();
        while !is_done(self) {
            assert!(began.elapsed() < PATIENCE, "it takes too long");
            self.turn();
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn host_with_a_poller_of_its_own_serves_by_the_loop_s_descriptor() {
    let mut host = Host::new(PATIENCE);
    let clients: Vec<_> = (0..20).map(|_| host.connect()).collect();
    for mut client in &clients {
        client.write_all(b"hello").expect("a connection");
    }
    for mut client in &clients {
        let mut answer = [0; 5];
        host.turn_until(|_| client.peek(&mut answer).is_ok_and(|bytes| bytes == 5));
        client.read_exact(&mut answer).expect("it has arrived");
        assert_eq!(&answer, b"hello");
        client.shutdown(Shutdown::Write).expect("a connection");
    }
    host.turn_until(|host| host.reactor.open_connections() == 0);
    host.reactor.drain();
    while host.turn() == Turn::Running {}
    // It has waited for events: the loop was not turned for nothing.
    assert!(host.waits < 1000, "{} turns", host.waits);
}

#[test]
fn host_may_sleep_until_the_next_deadline() {
    let silence = Duration::from_millis(300);
    let mut host = Host::new(silence);
    assert_eq!(
        host.reactor.wait(),
        Some(Duration::ZERO),
        "it has not begun"
    );
    host.reactor
        .turn_within(Duration::ZERO)
        .expect("the loop works");
    assert_eq!(host.reactor.wait(), None, "there is no deadline");
    let began = Instant::now();
    let _client = host.connect();
    host.turn_until(|host| host.reactor.open_connections() == 1);
    let wait = host.reactor.wait().expect("a deadline");
    assert!(wait > Duration::ZERO && wait <= silence, "{wait:?}");
    host.turn_until(|host| host.reactor.open_connections() == 0);
    assert!(began.elapsed() >= silence);
    assert_eq!(host.reactor.counters().ended(EndReason::Timeout), 1);
}

#[test]
fn stopper_makes_the_descriptor_readable() {
    let mut host = Host::new(PATIENCE);
    host.reactor
        .turn_within(Duration::ZERO)
        .expect("the loop works");
    let stopper = host.reactor.stopper();
    let began = Instant::now();
    thread::spawn(move || stopper.stop());
    while host.turn() == Turn::Running {}
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn turn_within_a_bound_returns_without_events() {
    let mut host = Host::new(PATIENCE);
    let began = Instant::now();
    for _ in 0..5 {
        host.reactor
            .turn_within(Duration::from_millis(20))
            .expect("the loop works");
    }
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(80) && took < PATIENCE,
        "{took:?}"
    );
}

/// The program that the tests below start: this test program, as one test of itself.
#[test]
fn program_that_signals_stop() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut reactor = Reactor::new(Stubborn, Limits::default()).expect("a poller");
    reactor.stop_on_signals().expect("signals can be caught");
    let address = reactor.listen(([127, 0, 0, 1], 0).into());
    println!("\n{ADDRESS}{}", address.expect("a free port"));
    reactor.run().expect("the loop runs to its end");
    println!("{STOPPED}");
}

/// Ends only when its peer does.
struct Stubborn;

impl Service for Stubborn {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        match event {
            Event::Open => cx.write(b"open"),
            Event::Drain => cx.write(b"draining"),
            Event::Eof => return Next::Close(CloseReason::Eof),
            _ => {}
        }
        Next::Read {
            until: cx.after(PATIENCE),
        }
    }
}

const CHILD: &str = "ONELOOP_TEST_CHILD";
const ADDRESS: &str = "address: ";
const STOPPED: &str = "stopped";

/// The program, with one connection.
struct Program {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    client: TcpStream,
}

impl Program {
    /// Starts the program through `shell`, which ends with the program's command.
    fn start(before: &str) -> Self {
        let itself = std::env::current_exe().expect("a path");
        let command = format!("{before} exec \"$0\" --exact program_that_signals_stop --nocapture");
        let mut child = Command::new("sh")
            .args(["-c", &command])
            .arg(itself)
            .env(CHILD, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let address = lines.find_map(|line| {
            let line = line.expect("text");
            line.strip_prefix(ADDRESS)
                .map(|address| address.parse::<SocketAddr>())
        });
        let address = address.expect("it listens").expect("an address");
        let mut client = TcpStream::connect(address).expect("it listens");
        client.set_read_timeout(Some(PATIENCE)).expect("a socket");
        expect(&mut client, b"open");
        Self {
            child,
            lines,
            client,
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).expect("it runs");
    }

    /// Waits for the end of a drain that ends by itself.
    fn ends_well(mut self) {
        self.client.shutdown(Shutdown::Write).expect("a connection");
        let stopped = |line: std::io::Result<String>| line.expect("text") == STOPPED;
        assert!(self.lines.any(stopped), "the loop has not returned");
        assert!(self.child.wait().expect("a child").success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn expect(client: &mut TcpStream, expected: &[u8]) {
    let mut read = vec![0; expected.len()];
    client.read_exact(&mut read).expect("as many bytes");
    assert_eq!(read, expected);
}

#[test]
fn first_signal_drains_the_loop() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut program = Program::start("");
        program.signal(signal);
        expect(&mut program.client, b"draining");
        program.ends_well();
    }
}

#[test]
fn second_signal_ends_the_process_at_once() {
    let mut program = Program::start("");
    program.signal(Signal::SIGTERM);
    expect(&mut program.client, b"draining");
    program.signal(Signal::SIGINT);
    let status = program.child.wait().expect("a child");
    assert_eq!(status.code(), Some(128 + Signal::SIGINT as i32));
}

#[cfg(target_os = "linux")]
#[test]
fn signal_that_was_ignored_stays_ignored() {
    let mut program = Program::start("trap '' INT;");
    program.signal(Signal::SIGINT);
    program.signal(Signal::SIGINT);
    program.signal(Signal::SIGTERM);
    expect(&mut program.client, b"draining");
    program.ends_well();
}

#[test]
fn descriptors_of_the_program_wake_the_loop() {
    let mut host = Host::new(Duration::from_secs(60));
    let (mut ours, mut theirs) = UnixStream::pair().expect("two sockets");
    ours.set_nonblocking(true).expect("a socket");
    let watch = host.reactor.watch_descriptors().expect("a watch");
    watch.readable(&ours).expect("a new descriptor");
    for _ in 0..100 {
        theirs.write_all(b"!").expect("room for a byte");
        assert_eq!(turn_within(&mut host, 60), Turn::Running);
        assert_eq!(ours.read(&mut [0; 8]).expect("a byte"), 1);
    }
    // It is the descriptor that has ended the wait.
    let began = Instant::now();
    assert_eq!(turn_within(&mut host, 0), Turn::Running);
    watch.end(&ours).expect("it is watched");
    assert!(watch.end(&ours).is_err());
    theirs.write_all(b"!").expect("room for a byte");
    let wait = Duration::from_millis(50);
    host.reactor.turn_within(wait).expect("it turns");
    assert!(began.elapsed() >= wait, "woken by a descriptor not watched");
}

#[test]
fn writable_descriptor_of_the_program_wakes_the_loop() {
    let mut host = Host::new(Duration::from_secs(60));
    let (mut ours, mut theirs) = UnixStream::pair().expect("two sockets");
    ours.set_nonblocking(true).expect("a socket");
    let mut written = 0;
    while let Ok(bytes) = ours.write(&[0; 4096]) {
        written += bytes;
    }
    let watch = host.reactor.watch_descriptors().expect("a watch");
    watch.writable(&ours).expect("a new descriptor");
    let reader = thread::spawn(move || {
        let mut all = vec![0; written];
        theirs.read_exact(&mut all).expect("bytes");
        theirs
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    while ours.write(&[0; 4096]).is_err() {
        assert!(Instant::now() < deadline, "there is no room");
        assert_eq!(turn_within(&mut host, 60), Turn::Running);
    }
    reader.join().expect("no panic");
}

fn turn_within(host: &mut Host, seconds: u64) -> Turn {
    let began = Instant::now();
    let turn = host.reactor.turn_within(Duration::from_secs(seconds));
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "it was not woken"
    );
    turn.expect("it turns")
}
