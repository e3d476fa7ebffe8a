//! The cost of our own code without the kernel: the loop on a mock network.
//!
//! [`MockNet`] is a [`Net`] that returns preset input and discards output, so a turn costs only the
//! loop, the timers and the service. It uses the public interface alone.

use std::hint::black_box;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oneloop::net::{
    BufferSizes, Connecting, Jobs, ListenAt, ListenOptions, Net, Readiness, Token, WakeFn,
};
use oneloop::{Address, Limits, PeerAddress, Reactor, Time};
use oneloop_greeting::{Config, Framing, Greeter};

criterion_group!(benches, framing, state_machine, deadlines);
criterion_main!(benches);

/// Measures names of several kinds in line framing, one turn of the loop each.
fn framing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("framing");
    let long = "n".repeat(1000) + "\n";
    let pipelined = "Alice\n".repeat(50);
    let kinds: [(&str, &str, u64); 6] = [
        ("plain", "Alice\n", 1),
        ("crlf", "Alice\r\n", 1),
        ("utf8", "Zoë Ångström\n", 1),
        ("long", &long, 1),
        ("empty", "\n", 1),
        ("pipelined_50", &pipelined, 50),
    ];
    for (kind, input, names) in kinds {
        let mut scene = Scene::with_connections(Framing::Line, 1);
        group.throughput(Throughput::Elements(names));
        group.bench_function(kind, |bencher| {
            bencher.iter(|| scene.send(black_box(input)))
        });
    }
    let mut scene = Scene::with_connections(Framing::Line, 1);
    group.throughput(Throughput::Elements(1));
    group.bench_function("in_two_parts", |bencher| {
        bencher.iter(|| {
            scene.send(black_box("Ali"));
            scene.send(black_box("ce\n"));
        });
    });
}

/// Measures a name that silence ends: it passes through all states of the session.
fn state_machine(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("state_machine");
    let mut scene = Scene::with_connections(Framing::Silence, 1);
    scene.await_quiet_gap();
    group.bench_function("name_gap_reply_gap_question", |bencher| {
        bencher.iter(|| {
            scene.send(black_box("Alice"));
            scene.await_quiet_gap();
            scene.await_quiet_gap();
        });
    });
    let mut scene = Scene::with_connections(Framing::Line, 1);
    group.bench_function("connect_to_goodbye", |bencher| {
        bencher.iter(|| scene.converse_on_a_new_connection());
    });
}

/// Measures a short connection among others with deadlines, whose number must not matter.
fn deadlines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("deadlines");
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let most = if is_bench { 1_000_000 } else { 2_000 };
    for pending in [1, 1_000, most] {
        let mut scene = Scene::with_connections(Framing::Line, pending);
        group.bench_function(format!("come_and_go/{pending}"), |bencher| {
            bencher.iter(|| scene.converse_on_a_new_connection());
        });
        group.bench_function(format!("move/{pending}"), |bencher| {
            bencher.iter(|| scene.send_after(black_box("Alice\n"), Duration::from_millis(3)));
        });
    }
}

/// A greeting server on a mock network.
struct Scene(Reactor<Greeter, MockNet>);

impl Scene {
    /// Creates a server with greeted connections. The methods below act on the first one.
    fn with_connections(framing: Framing, connections: usize) -> Self {
        let config = Config {
            framing,
            name_timeout: LONG,
            ..Config::default()
        };
        let limits = Limits {
            connections_max: 2 * connections + 10,
            ..Limits::default()
        };
        let reactor = Reactor::with_net(Greeter::new(config), limits, MockNet::default());
        let mut scene = Self(reactor.expect("valid limits"));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        scene.0.listen(any).expect("a mock listener");
        scene.connect(connections);
        scene
    }

    fn connect(&mut self, connections: usize) {
        let wanted = self.0.open_connections() + connections;
        let net = self.0.net_mut();
        net.connecting += connections;
        net.event = net.listener.map(readable);
        while self.0.open_connections() < wanted {
            self.turn();
        }
    }

    fn send(&mut self, bytes: &str) {
        self.send_after(bytes, Duration::from_micros(10));
    }

    fn send_after(&mut self, bytes: &str, pause: Duration) {
        let net = self.0.net_mut();
        net.now = net.now + pause;
        let first = *net.streams.first().expect("a connection");
        net.deliver(first, bytes);
        self.turn();
    }

    /// Advances the clock beyond the quiet gap.
    fn await_quiet_gap(&mut self) {
        let net = self.0.net_mut();
        net.now = net.now + Duration::from_millis(32);
        self.turn();
    }

    fn converse_on_a_new_connection(&mut self) {
        let (open, before) = (self.0.open_connections(), self.0.counters().ended_in_all());
        self.connect(1);
        let net = self.0.net_mut();
        net.now = net.now + Duration::from_micros(10);
        let last = net.streams.pop().expect("it has just connected");
        net.deliver(last, "Alice\nexit\n");
        self.turn();
        self.0.net_mut().deliver_end(last);
        self.turn();
        assert_eq!(self.0.counters().ended_in_all(), before + 1);
        assert_eq!(self.0.open_connections(), open);
    }

    fn turn(&mut self) {
        self.0.turn().expect("the mock network never fails");
    }
}

/// A mock network.
#[derive(Default)]
struct MockNet {
    now: Time,
    listener: Option<Token>,
    /// The number of connections to accept.
    connecting: usize,
    /// The open connections, in the order of their arrival.
    streams: Vec<Token>,
    /// The next event.
    event: Option<Readiness>,
    /// The events of this poll.
    input: Input,
}

/// The result of the next read.
#[derive(Default)]
enum Input {
    #[default]
    Nothing,
    Bytes(Vec<u8>),
    End,
}

impl MockNet {
    fn deliver(&mut self, stream: Token, bytes: &str) {
        let mut buffer = match std::mem::take(&mut self.input) {
            Input::Bytes(buffer) => buffer,
            Input::Nothing | Input::End => Vec::new(),
        };
        buffer.clear();
        buffer.extend_from_slice(bytes.as_bytes());
        self.input = Input::Bytes(buffer);
        self.event = Some(readable(stream));
    }

    fn deliver_end(&mut self, stream: Token) {
        self.input = Input::End;
        let mut event = readable(stream);
        event.hup = true;
        self.event = Some(event);
    }
}

impl Net for MockNet {
    type Stream = ();
    type Listener = ();
    type Events = Option<Readiness>;
    const SHORT_READ_DRAINS: bool = true;

    fn poll(&mut self, event: &mut Option<Readiness>, _: Option<Duration>) -> io::Result<()> {
        *event = self.event.take();
        Ok(())
    }

    fn events(event: &Option<Readiness>) -> impl Iterator<Item = Readiness> {
        event.iter().copied()
    }

    fn now(&mut self) -> Time {
        self.now
    }

    fn seed(&mut self) -> u64 {
        0
    }

    fn waker(&mut self) -> WakeFn {
        Arc::new(|| {})
    }

    fn start_workers(&mut self, _: &Jobs, _: &str, _: usize) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn stop_requested(&self) -> bool {
        false
    }

    fn listen(&mut self, _: ListenAt, _: &ListenOptions, token: Token) -> io::Result<()> {
        self.listener = Some(token);
        Ok(())
    }

    fn local_addr(&self, (): &()) -> Address {
        SocketAddr::from(([127, 0, 0, 1], 6000)).into()
    }

    fn accept(&mut self, (): &()) -> io::Result<((), PeerAddress)> {
        let left = self.connecting.checked_sub(1);
        self.connecting = left.ok_or(ErrorKind::WouldBlock)?;
        Ok(((), SocketAddr::from(([127, 0, 0, 1], 40_000)).into()))
    }

    fn stream_local_addr(&self, (): &()) -> Option<SocketAddr> {
        None
    }

    fn shed(&mut self, (): &(), _: &[u8]) -> io::Result<()> {
        Err(ErrorKind::OutOfMemory.into())
    }

    fn connect(&mut self, _: &Address, _: Option<IpAddr>, _: &BufferSizes) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn finish_connect(&mut self, (): &()) -> io::Result<Connecting> {
        Ok(Connecting::InProgress)
    }

    fn register(&mut self, (): &mut (), token: Token) -> io::Result<()> {
        self.streams.push(token);
        Ok(())
    }

    fn read(&mut self, (): &mut (), buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.input {
            Input::Bytes(bytes) if !bytes.is_empty() => {
                let length = bytes.len();
                buffer[..length].copy_from_slice(bytes);
                bytes.clear();
                Ok(length)
            }
            Input::Bytes(_) | Input::Nothing => Err(ErrorKind::WouldBlock.into()),
            Input::End => Ok(0),
        }
    }

    fn write(&mut self, (): &mut (), bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn write_vectored(&mut self, (): &mut (), slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn shutdown_write(&mut self, (): &mut ()) -> io::Result<()> {
        Ok(())
    }

    fn set_send_buffer(&mut self, (): &(), _: u32) -> io::Result<()> {
        Ok(())
    }

    fn take_error(&mut self, (): &()) -> Option<io::Error> {
        None
    }

    fn close(&mut self, (): ()) {}

    fn abort(&mut self, (): ()) {}
}

fn readable(token: Token) -> Readiness {
    let mut event = Readiness::of(token);
    event.readable = true;
    event
}

/// Longer than any benchmark runs.
const LONG: Duration = Duration::from_secs(1 << 40);
