//! Solutions to the exercises, each with its test.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use oneloop::Limits;
use oneloop_book::figures;
use oneloop_book::machine::{self, Input, State};
use oneloop_book::pages::repository_capture;
use oneloop_book::pcap::Segment;
use oneloop_book::services::echo::{Echo, PATIENCE};
use oneloop_book::wheel::{SortedMap, Wheel};
use oneloop_sim::Simulation;
use socket2::{Domain, Socket, Type};

fn any() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Returns both ends of a new connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(any()).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

// ANCHOR: bytes
/// Returns how many bytes `port` has sent, from its sequence numbers alone: the SYN and the FIN
/// count as one each.
fn bytes_sent(segments: &[Segment], port: u16) -> u32 {
    let mut own = segments.iter().filter(|segment| segment.from == port);
    let first = own.next().expect("a SYN");
    let end = own.next_back().expect("an end");
    end.seq.wrapping_add(end.length()).wrapping_sub(first.seq) - 2
}
// ANCHOR_END: bytes

#[test]
fn bytes_follow_from_sequence_numbers() {
    let segments = repository_capture("conversation").unwrap();
    let (client, server) = (segments[0].from, segments[0].to);
    for port in [client, server] {
        let own = segments.iter().filter(|segment| segment.from == port);
        let bytes: usize = own.map(|segment| segment.data.len()).sum();
        assert_eq!(bytes_sent(&segments, port) as usize, bytes);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn backlog_of_one_holds_two() {
    // ANCHOR: backlog
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&any().into()).unwrap();
    listener.listen(1).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let wait = Duration::from_millis(300); // shorter than the first repetition of a SYN
    let connected: Vec<_> = (0..5)
        .map_while(|_| TcpStream::connect_timeout(&address, wait).ok())
        .collect();
    assert_eq!(connected.len(), 2); // Linux lets in one more than the backlog
    // ANCHOR_END: backlog
}

#[test]
fn connection_not_accepted_takes_bytes() {
    // ANCHOR: unaccepted
    let listener = TcpListener::bind(any()).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(b"Alice").unwrap(); // nothing has called accept so far
    let (mut connection, _) = listener.accept().unwrap();
    let mut name = [0; 5];
    connection.read_exact(&mut name).unwrap();
    assert_eq!(&name, b"Alice");
    // ANCHOR_END: unaccepted
}

// ANCHOR: join
/// Serves `count` connections, each in a thread, and returns when all threads have ended.
fn serve(listener: &TcpListener, count: usize) -> io::Result<usize> {
    let mut threads = Vec::new();
    for _ in 0..count {
        let (mut stream, _) = listener.accept()?;
        threads.push(thread::spawn(move || stream.write_all(b"Welcome!\n")));
    }
    let ended = threads.into_iter().map(|thread| thread.join());
    Ok(ended.filter(|result| matches!(result, Ok(Ok(())))).count())
}
// ANCHOR_END: join

#[test]
fn threads_are_joined() {
    let listener = TcpListener::bind(any()).unwrap();
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address)).collect();
    assert_eq!(serve(&listener, 3).unwrap(), 3);
    drop(clients);
}

// ANCHOR: split
/// Collects bytes, and returns the lines that are complete.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.0.extend_from_slice(bytes);
        let Some(end) = self.0.iter().rposition(|&byte| byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.0.split_off(end + 1);
        let complete = std::mem::replace(&mut self.0, rest);
        let lines = complete[..end].split(|&byte| byte == b'\n');
        lines.map(<[u8]>::to_vec).collect()
    }
}
// ANCHOR_END: split

#[test]
fn every_way_to_cut_gives_the_same_lines() {
    let bytes = b"Alice\nBob\n\nexit\n";
    let expected = [&b"Alice"[..], b"Bob", b"", b"exit"];
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let mut lines = Lines::default();
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            let found: Vec<_> = pieces.iter().flat_map(|piece| lines.push(piece)).collect();
            assert_eq!(found, expected, "cut at {first} and {second}");
        }
    }
}

// ANCHOR: fill
/// Reads into the rest of `buffer` without waiting. Returns `true` once it is full.
fn fill(stream: &mut TcpStream, buffer: &mut [u8], filled: &mut usize) -> io::Result<bool> {
    while *filled < buffer.len() {
        match stream.read(&mut buffer[*filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => *filled += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
// ANCHOR_END: fill

#[test]
fn buffer_is_filled_in_pieces() {
    let (mut client, mut connection) = pair();
    connection.set_nonblocking(true).unwrap();
    let (mut buffer, mut filled) = ([0; 5], 0);
    assert!(!fill(&mut connection, &mut buffer, &mut filled).unwrap());
    client.write_all(b"Ali").unwrap();
    while filled < 3 {
        assert!(!fill(&mut connection, &mut buffer, &mut filled).unwrap());
    }
    client.write_all(b"ce").unwrap();
    while !fill(&mut connection, &mut buffer, &mut filled).unwrap() {}
    assert_eq!(&buffer, b"Alice");
}

#[test]
fn registering_again_brings_the_edge_back() {
    let (mut client, connection) = pair();
    connection.set_nonblocking(true).unwrap();
    let mut connection = mio::net::TcpStream::from_std(connection);
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(8);
    let long = Some(Duration::from_secs(60));
    // ANCHOR: edge
    let registry = poll.registry();
    registry
        .register(&mut connection, Token(0), Interest::READABLE)
        .unwrap();
    client.write_all(b"Alice").unwrap();
    poll.poll(&mut events, long).unwrap();
    assert!(!events.is_empty());
    poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(events.is_empty()); // the bytes are still unread, but the edge is over
    let registry = poll.registry();
    registry
        .reregister(&mut connection, Token(0), Interest::READABLE)
        .unwrap();
    poll.poll(&mut events, long).unwrap();
    assert!(!events.is_empty()); // the kernel has looked again
    // ANCHOR_END: edge
}

// ANCHOR: marks
/// Stops reading at `high` unsent bytes, and starts again at `low`.
struct Gate {
    low: usize,
    high: usize,
    flow: Flow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Reading,
    Stopped,
}

impl Gate {
    fn update(&mut self, unsent: usize) -> Flow {
        self.flow = match self.flow {
            Flow::Reading if unsent >= self.high => Flow::Stopped,
            Flow::Stopped if unsent <= self.low => Flow::Reading,
            unchanged => unchanged,
        };
        self.flow
    }
}
// ANCHOR_END: marks

#[test]
fn gate_opens_and_closes_at_two_marks() {
    use Flow::{Reading, Stopped};
    let mut gate = Gate {
        low: 10,
        high: 100,
        flow: Reading,
    };
    let flows = [99, 100, 50, 11, 10, 50].map(|unsent| gate.update(unsent));
    assert_eq!(
        flows,
        [Reading, Stopped, Stopped, Stopped, Reading, Reading]
    );
}

#[test]
fn map_and_wheel_expire_the_same() {
    // ANCHOR: agree
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut map, mut wheel) = (SortedMap::default(), Wheel::new(16, 0));
        let mut deadlines: Vec<Option<u64>> = vec![None; 20];
        let mut now = 0;
        for _ in 0..500 {
            let key = random.usize(..deadlines.len());
            if let Some(old) = deadlines[key].take() {
                map.remove(old, key);
                wheel.remove(old, key);
            }
            let deadline = now + random.u64(1..40); // more than two rounds away at times
            map.add(deadline, key);
            wheel.add(deadline, key);
            deadlines[key] = Some(deadline);
            now += random.u64(..3);
            let (mut one, mut other) = (map.expire(now), wheel.expire(now));
            one.sort_unstable();
            other.sort_unstable();
            assert_eq!(one, other, "seed {seed}, tick {now}");
            one.iter().for_each(|&key| deadlines[key] = None);
        }
    }
    // ANCHOR_END: agree
}

#[test]
fn wheel_of_the_figure_is_as_the_page_describes_it() {
    let mut wheel = figures::example_wheel();
    assert_eq!((wheel.now() % 12, wheel.slots()[4].len()), (2, 1));
    assert_eq!(wheel.slots()[7], [(31, 1), (31, 2), (43, 4)]);
    assert_eq!(wheel.expire(28), [0]);
    assert_eq!(wheel.expire(31), [1, 2]);
    assert_eq!(wheel.expire(42), [3]);
    assert_eq!(wheel.expire(43), [4]);
}

#[test]
fn linger_of_zero_resets() {
    // ANCHOR: reset
    let (mut client, connection) = pair();
    let connection = Socket::from(connection);
    connection.set_linger(Some(Duration::ZERO)).unwrap(); // close sends RST
    drop(connection);
    let error = client.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    // ANCHOR_END: reset
}

// ANCHOR: share
/// Counts the connections of each address, and refuses those above its share.
struct Shares {
    max: usize,
    open: HashMap<IpAddr, usize>,
}

impl Shares {
    fn admit(&mut self, address: IpAddr) -> bool {
        let open = self.open.entry(address).or_default();
        let is_admitted = *open < self.max;
        *open += usize::from(is_admitted);
        is_admitted
    }

    fn leave(&mut self, address: IpAddr) {
        if let Some(open) = self.open.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&address); // or the map grows with every stranger
            }
        }
    }
}
// ANCHOR_END: share

#[test]
fn address_has_its_share() {
    let [one, other] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
    let mut shares = Shares {
        max: 2,
        open: HashMap::new(),
    };
    let admitted = [one, one, one, other].map(|address| shares.admit(address));
    assert_eq!(admitted, [true, true, false, true]);
    shares.leave(one);
    assert!(shares.admit(one));
    for address in [one, one, other] {
        shares.leave(address);
    }
    assert!(shares.open.is_empty());
}

// ANCHOR: mistakes
/// A conversation that ends with the tenth mistake.
struct Patient {
    state: State,
    mistakes: usize,
}

impl Patient {
    fn step(&mut self, input: Input<'_>, output: &mut String) {
        let is_mistake = matches!(input, Input::Name(name) if name.contains(char::is_control));
        if !is_mistake || self.state != State::AwaitName {
            self.state = machine::step(self.state, input, output);
            return;
        }
        self.mistakes += 1;
        if self.mistakes == 10 {
            output.push_str("Too many mistakes. Good bye!\n");
            self.state = State::Closing;
        } else {
            output.push_str("Sorry, a name has no control characters.\nWhat's your name?");
        }
    }
}
// ANCHOR_END: mistakes

#[test]
fn tenth_mistake_ends_the_conversation() {
    let mut patient = Patient {
        state: State::AwaitName,
        mistakes: 0,
    };
    let mut output = String::new();
    for _ in 0..9 {
        patient.step(Input::Name("\u{7}"), &mut output);
        patient.step(Input::Name("Alice"), &mut output);
        assert_eq!(patient.state, State::AwaitName);
    }
    patient.step(Input::Name("\u{7}"), &mut output);
    assert_eq!(patient.state, State::Closing);
    assert!(output.ends_with("Too many mistakes. Good bye!\n"));
}

#[test]
fn each_line_moves_the_deadline_of_the_echo() {
    // ANCHOR: minutes
    let mut simulation = Simulation::new(Echo::default(), Limits::default(), 7);
    let client = simulation.connect();
    for _ in 0..60 {
        client.send(b"I am here\n");
        simulation.run_for(PATIENCE - Duration::from_secs(1));
        assert!(!client.at_end());
    }
    simulation.run_for(Duration::from_secs(2)); // nearly an hour has passed, and now a minute
    assert!(client.at_end());
    // ANCHOR_END: minutes
}

// ANCHOR: whole
/// Reads a line of at most 1024 bytes, and waits no longer than `patience` for all of it.
fn read_line(stream: &mut TcpStream, patience: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + patience;
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() || line.len() == 1024 {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(rest))?;
        let mut byte = [0];
        match stream.read(&mut byte)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            _ => line.push(byte[0]),
        }
    }
    Ok(line)
}
// ANCHOR_END: whole

#[test]
fn dripping_server_does_not_put_off_the_bound() {
    let (mut client, mut server) = pair();
    let drip = thread::spawn(move || {
        // Ends when the client has closed its side.
        while server.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(5)); // the pace of the attack
        }
    });
    assert!(read_line(&mut client, Duration::from_millis(200)).is_err());
    drop(client);
    drip.join().unwrap();
}

#[test]
fn ratio_is_read_from_the_table() {
    // ANCHOR: ratio
    let table = figures::table("scaling.txt");
    let cost = |server: &str, connections: &str| -> f64 {
        let row = table
            .iter()
            .find(|row| row[0] == server && row[1] == connections);
        row.unwrap()[2].parse().unwrap()
    };
    let ratio = cost("threads", "1000") / cost("ch07", "1000");
    assert!((1.6..2.1).contains(&ratio));
    // ANCHOR_END: ratio
}
