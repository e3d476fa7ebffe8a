//! The recorded answers of Redis, in every cut and in simulated storms; channels; large values; and
//! Redis' own programs, where they are installed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use oneloop::testing::Harness;
use oneloop::{Counters, Stopper};
use oneloop_sim::{Client, Dialog, Faults, LinkProfile, Network, Rng, Simulation, Status, storm};

use super::*;

/// Commands, each with the answer that redis-server 7.0 gave.
const TRANSCRIPT: &str = include_str!("transcript.txt");

struct Exchange {
    command: &'static str,
    answer: Vec<u8>,
}

fn transcript() -> Vec<Exchange> {
    let lines: Vec<_> = TRANSCRIPT.lines().collect();
    let (pairs, []) = lines.as_chunks() else {
        panic!("each command has an answer");
    };
    let exchange = |&[command, answer]: &[&'static str; 2]| Exchange {
        command,
        answer: unescape(answer),
    };
    pairs.iter().map(exchange).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let text = text.expect("an answer is quoted");
    text.replace("\\r", "\r").replace("\\n", "\n").into_bytes()
}

/// Encodes a command, in which `""` is an empty argument.
fn request(command: &str) -> Vec<u8> {
    let args: Vec<_> = command
        .split(' ')
        .map(|arg| arg.replace("\"\"", ""))
        .collect();
    encode(&args)
}

fn encode(args: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args.iter().map(AsRef::as_ref) {
        request.extend(format!("${}\r\n", arg.len()).bytes());
        request.extend(arg);
        request.extend(b"\r\n");
    }
    request
}

/// Steps a session with pieces of input, as the loop would. Returns its output and last answer.
fn answers<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Next) {
    let (mut resp, mut harness) = (resp(VALUE_MAX), Harness::with_output(200, 1 << 20));
    let mut session = harness.open(&mut resp);
    let mut next = harness.step(&mut resp, &mut session, Event::Open);
    for piece in pieces {
        harness.receive(piece);
        next = harness.step(&mut resp, &mut session, Event::Data);
        while !harness.had_room() && !harness.unread().is_empty() {
            next = harness.step(&mut resp, &mut session, Event::Data);
        }
        if let Next::Close(_) = next {
            break;
        }
    }
    (harness.take_output(), next)
}

fn whole(input: &[u8]) -> String {
    String::from_utf8_lossy(&answers([input]).0).into_owned()
}

#[test]
fn recorded_answers_of_redis_are_given_in_every_cut() {
    let exchanges = transcript();
    assert!(exchanges.len() >= 80);
    let input: Vec<u8> = exchanges
        .iter()
        .flat_map(|exchange| request(exchange.command))
        .collect();
    let expected: Vec<u8> = exchanges
        .iter()
        .flat_map(|exchange| exchange.answer.clone())
        .collect();
    for piece in [1, 2, 3, 5, 17, 100, 1000, input.len()] {
        let (output, next) = answers(input.chunks(piece));
        let (output, expected) = (output.escape_ascii(), expected.escape_ascii());
        assert_eq!(
            output.to_string(),
            expected.to_string(),
            "pieces of {piece}"
        );
        assert_eq!(next, Next::Close(CloseReason::Completed));
    }
}

#[test]
fn lines_typed_by_a_human_are_commands() {
    assert_eq!(whole(b"PING\r\n"), "+PONG\r\n");
    assert_eq!(whole(b"  set  a   1 \n\r\n\nget a\n"), "+OK\r\n$1\r\n1\r\n");
    let words = format!("exists{}\n", " k".repeat(30_000));
    assert_eq!(whole(words.as_bytes()), ":0\r\n");
}

#[test]
fn input_against_the_protocol_is_refused_as_redis_does() {
    let refusals: [(&[u8], &str); 9] = [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*1\r\n+PING\r\n", "expected '$', got '+'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$1000001\r\n", "invalid bulk length"),
        (b"*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
        (&[b'x'; 64 * 1024], "too big inline request"),
    ];
    for (input, reason) in refusals {
        let (output, next) = answers([input]);
        let output = String::from_utf8_lossy(&output).into_owned();
        assert_eq!(output, format!("-ERR Protocol error: {reason}\r\n"));
        assert_eq!(next, Next::Close(CloseReason::ProtocolError));
    }
    assert_eq!(whole(b"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n"), "+PONG\r\n");
}

#[test]
fn dialogs_in_a_storm_have_no_wrong_byte() {
    let mut complete = 0;
    for seed in 0..200 {
        let mut random = Rng::new(seed);
        let dialogs: Vec<_> = (0..4).map(|number| dialog(number, &mut random)).collect();
        complete += storm(resp(VALUE_MAX), limits(VALUE_MAX), seed, &dialogs).complete;
    }
    assert!(complete > 500, "only {complete} of 800 were complete");
}

/// Random commands on keys that no other dialog uses.
fn dialog(number: usize, random: &mut Rng) -> Dialog {
    let mut sends = Vec::new();
    for _ in 0..random.magnitude(1..=60) {
        let key = format!("{number}:{}", random.below(4));
        let length = random.magnitude(1..=3000) as usize;
        let value = "v".repeat(length);
        let commands = [
            format!("SET {key} {value}"),
            format!("SET {key} {} EX 1000000", random.below(1000)),
            format!("GET {key}"),
            format!("INCR {key}"),
            format!("LPUSH {key} {value} b"),
            format!("LRANGE {key} 0 -1"),
            format!("LPOP {key}"),
            format!("SADD {key} {length} b b"),
            format!("HSET {key} {length} b"),
            format!("HGET {key} {length}"),
            format!("MGET {key} {key} {number}:none"),
            format!("DEL {key}"),
            format!("ECHO {value}"),
            format!("PUBLISH {key} {length}"),
            "FROBNICATE".to_owned(),
            "\r\nPING".to_owned(),
        ];
        let command = &commands[random.below(commands.len())];
        match random.below(3) {
            0 => sends.extend(format!("{command}\r\n").bytes()),
            _ => sends.extend(request(command.trim())),
        }
    }
    let expects = answers([&sends[..]]).0;
    Dialog { sends, expects }
}

#[test]
fn messages_in_a_storm_arrive_in_order_and_without_gaps() {
    let mut heard_all = 0;
    for seed in 0..200 {
        let mut random = Rng::new(seed);
        let network = Network::<true>::new(seed);
        let mut simulation = Simulation::with_network(network, resp(VALUE_MAX), limits(VALUE_MAX));
        let listeners: Vec<_> = (0..4)
            .map(|_| {
                let mut link = LinkProfile::sample(&mut random);
                // Through a smaller one, a kilobyte takes minutes.
                link.receive_buffer_bytes = link.receive_buffer_bytes.max(1000);
                simulation.connect_over(link)
            })
            .collect();
        let expected_first = "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
        for listener in &listeners {
            listener.send(&request("SUBSCRIBE news"));
        }
        simulation.run_for(Duration::from_secs(600));
        simulation.network().set_faults(Faults::sample(&mut random));
        let publisher = simulation.connect();
        let mut expected = expected_first.to_owned();
        for number in 0..50 {
            let text = format!(
                "{number}{}",
                "x".repeat(random.magnitude(1..=2000) as usize)
            );
            publisher.send(&request(&format!("PUBLISH news {text}")));
            expected += &format!(
                "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n${}\r\n{text}\r\n",
                text.len()
            );
            simulation.run_for(random.duration_up_to(Duration::from_millis(200)));
        }
        simulation.run_for(Duration::from_secs(3600));
        let published = publisher.received();
        for listener in &listeners {
            let heard = listener.received();
            assert!(expected.as_bytes().starts_with(&heard), "seed {seed}");
            let is_well = |client: &Client| client.status() == Status::Open && !client.at_end();
            if is_well(listener) && is_well(&publisher) && published.len() >= 50 * ":4\r\n".len() {
                assert_eq!(heard.len(), expected.len(), "seed {seed}");
                heard_all += 1;
            }
        }
    }
    assert!(heard_all > 400, "only {heard_all} of 800 heard everything");
}

#[test]
fn listener_that_never_reads_is_dropped_and_the_others_hear_all() {
    let mut simulation = Simulation::new(resp(VALUE_MAX), limits(VALUE_MAX), 1);
    let (deaf, good, publisher) = (
        simulation.connect(),
        simulation.connect(),
        simulation.connect(),
    );
    for listener in [&deaf, &good] {
        listener.send(&request("SUBSCRIBE news"));
    }
    simulation.run_for(Duration::from_secs(1));
    deaf.stop_reading();
    let text = "x".repeat(1_000_000);
    let mut heard = 0;
    for _ in 0..40 {
        publisher.send(&request(&format!("PUBLISH news {text}")));
        simulation.run_for(Duration::from_millis(100));
        heard += good.received().len();
    }
    assert!(heard > 40 * text.len());
    assert_eq!(simulation.reactor().counters().ended(EndReason::Aborted), 1);
    assert_eq!(simulation.reactor().open_connections(), 2);
}

#[test]
fn key_expires_when_its_time_has_passed() {
    let (mut resp, mut harness) = (resp(VALUE_MAX), Harness::new());
    let mut session = harness.open(&mut resp);
    let mut ask = |at: Duration, command: &str| {
        harness.set_now(Time::START + at);
        harness.receive(&request(command));
        harness.step(&mut resp, &mut session, Event::Data);
        String::from_utf8(harness.take_output()).expect("text")
    };
    let (early, late) = (Duration::from_millis(9_999), Duration::from_secs(10));
    for set in ["SET k v EX 10", "SET k v PX 10000"] {
        assert_eq!(ask(Duration::ZERO, set), "+OK\r\n");
        assert_eq!(ask(early, "GET k"), "$1\r\nv\r\n");
        assert_eq!(ask(late, "GET k"), "$-1\r\n");
        for (command, answer) in [
            ("TTL k", ":-2\r\n"),
            ("DEL k", ":0\r\n"),
            ("INCR k", ":1\r\n"),
        ] {
            assert_eq!(ask(late, command), answer, "{command}");
        }
        assert_eq!(ask(late, "TTL k"), ":-1\r\n");
    }
}

#[test]
fn request_of_which_a_part_has_arrived_is_served_in_a_drain() {
    let mut simulation = Simulation::new(resp(VALUE_MAX), limits(VALUE_MAX), 1);
    let (idle, busy) = (simulation.connect(), simulation.connect());
    busy.send(b"*2\r\n$4\r\nECHO\r\n$5\r\nhe");
    simulation.run_for(Duration::from_secs(1));
    simulation.network().stop();
    simulation.run_for(Duration::from_secs(1));
    assert!(idle.at_end() && !busy.at_end());
    busy.send(b"llo\r\n");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(busy.received(), b"$5\r\nhello\r\n");
    assert!(busy.at_end());
}

#[test]
fn value_of_ten_megabytes_is_stored_and_returned_whole() {
    value_is_stored_and_returned_whole(10_000_000, 16 << 20);
}

#[test]
#[ignore = "it takes 2 GB of memory"]
fn value_of_512_megabytes_is_stored_and_returned_whole() {
    value_is_stored_and_returned_whole(512 << 20, 512 << 20);
}

fn value_is_stored_and_returned_whole(bytes: usize, value_max: usize) {
    let server = Server::start(value_max);
    let mut client = server.connect();
    let pattern: Vec<u8> = (0..=250).cycle().take(251 * 4000).collect();
    let pieces = || {
        (0..bytes)
            .step_by(pattern.len())
            .map(|start| &pattern[..pattern.len().min(bytes - start)])
    };
    let mut send = |bytes: &[u8]| client.write_all(bytes).expect("it reads");
    send(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${bytes}\r\n").as_bytes());
    pieces().for_each(&mut send);
    send(b"\r\n");
    expect(&mut client, b"+OK\r\n");
    for _ in 0..3 {
        client.write_all(&request("GET big")).expect("it reads");
    }
    let mut read = vec![0; pattern.len()];
    for _ in 0..3 {
        expect(&mut client, format!("${bytes}\r\n").as_bytes());
        for piece in pieces() {
            let read = &mut read[..piece.len()];
            client.read_exact(read).expect("the value comes");
            assert!(read == piece);
        }
        expect(&mut client, b"\r\n");
    }
    let too_long = format!("*1\r\n${}\r\n", value_max + 1);
    client.write_all(too_long.as_bytes()).expect("it reads");
    expect(&mut client, b"-ERR Protocol error: invalid bulk length\r\n");
}

fn expect(stream: &mut impl Read, expected: &[u8]) {
    let mut read = vec![0; expected.len()];
    stream.read_exact(&mut read).expect("an answer comes");
    assert_eq!(
        read.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

#[test]
fn redis_server_gives_the_recorded_answers() {
    let Some(redis) = Redis::start() else {
        return;
    };
    for program in [&redis.socket] {
        let mut stream = std::os::unix::net::UnixStream::connect(program).expect("it listens");
        for Exchange { command, answer } in transcript() {
            stream.write_all(&request(command)).expect("it reads");
            let mut read = vec![0; answer.len()];
            stream.read_exact(&mut read).expect(command);
            assert_eq!(
                read.escape_ascii().to_string(),
                answer.escape_ascii().to_string(),
                "{command}"
            );
        }
    }
}

#[test]
fn redis_cli_prints_the_same_for_both_servers() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let server = Server::start(VALUE_MAX);
    // In a subscription it waits for messages for ever.
    let script: String = transcript()
        .iter()
        .map(|exchange| exchange.command)
        .take_while(|command| !command.starts_with("SUBSCRIBE o"))
        .map(|command| format!("{command}\n"))
        .collect();
    assert!(script.lines().count() >= 80);
    let port = server.address.port().to_string();
    let ours = run("redis-cli", &["-p", &port], &script);
    let theirs = run("redis-cli", &["-s", &redis.socket], &script);
    assert_eq!(
        String::from_utf8_lossy(&ours.stdout),
        String::from_utf8_lossy(&theirs.stdout)
    );
}

#[test]
fn redis_benchmark_ends_without_an_error() {
    if !is_installed("redis-benchmark") {
        return;
    }
    let server = Server::start(VALUE_MAX);
    let port = server.address.port().to_string();
    let tests = "ping,set,get,incr,lpush,rpush,lpop,sadd,hset,lrange,mset";
    for extra in [
        &["-n", "1000"][..],
        &["-n", "2000", "-P", "16"],
        &["-n", "100", "-d", "20000"],
    ] {
        let arguments = [&["-p", &port, "-q", "-t", tests], extra].concat();
        let output = run("redis-benchmark", &arguments, "");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        assert!(!printed.contains("rror"), "{printed}");
        assert_eq!(
            printed.matches("requests per second").count(),
            16,
            "{printed}"
        );
    }
}

/// The example on a socket, in a thread of the test.
struct Server {
    address: SocketAddr,
    stopper: Stopper,
    thread: Option<thread::JoinHandle<Counters>>,
}

impl Server {
    fn start(value_max: usize) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let resp = resp(value_max);
            let mut reactor = Reactor::new(resp, limits(value_max)).expect("a poller");
            let address = reactor.listen(([127, 0, 0, 1], 0).into()).expect("a port");
            sender
                .send((address, reactor.stopper()))
                .expect("the test waits");
            reactor.run().expect("the loop runs to its end");
            reactor.counters().clone()
        });
        let (address, stopper) = receiver.recv().expect("it starts");
        Self {
            address,
            stopper,
            thread: Some(thread),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopper.stop();
        let ended = self.thread.take().expect("it runs").join();
        let counters = ended.expect("no panic");
        assert_eq!(counters.ended(EndReason::Panicked), 0);
    }
}

/// A redis-server of the test's own, on a Unix socket.
struct Redis {
    process: Child,
    socket: String,
}

impl Redis {
    /// Starts it, or prints that it is not installed.
    fn start() -> Option<Self> {
        if !is_installed("redis-server") {
            return None;
        }
        let name = format!(
            "resp-{}-{:?}.sock",
            std::process::id(),
            thread::current().id()
        );
        let socket = std::env::temp_dir()
            .join(name)
            .to_string_lossy()
            .into_owned();
        let arguments = [
            "--port",
            "0",
            "--unixsocket",
            &socket,
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        let mut command = Command::new("redis-server");
        let command = command.args(arguments).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it is installed");
        let output = process.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(output).lines();
        let is_ready = lines.any(|line| line.expect("text").contains("eady to accept"));
        assert!(is_ready);
        // Its output must go on being read.
        thread::spawn(move || lines.for_each(drop));
        Some(Self { process, socket })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn is_installed(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output();
    let installed = output.is_ok_and(|output| output.status.success());
    if !installed {
        let line = format!("skipped: there is no `{program}`; on Debian `apt-get install redis`\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    installed
}

fn run(program: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("it is installed");
    let mut stdin = process.stdin.take().expect("it is piped");
    let input = input.to_owned();
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = process.wait_with_output().expect("it ends");
    let _ = writer.join();
    output
}

const VALUE_MAX: usize = 1_000_000;

fn resp(value_max: usize) -> Resp {
    Resp {
        value_max,
        ..Resp::default()
    }
}

fn limits(value_max: usize) -> Limits {
    Limits {
        gather_time: Duration::from_micros(300),
        ..Limits::for_messages_up_to(value_max.max(INBOX_BYTES_MAX))
    }
}
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);
