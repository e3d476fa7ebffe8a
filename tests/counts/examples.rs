//! User-space instructions of the library's examples.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::thread;

use oneloop_bench::peers::Peer;

use super::{
    at_most_in_one_of_several, lacks, lacks_release_build, output_during, skip, thresholds,
};

#[test]
fn echo_takes_few_instructions() {
    let message = b"hello\n";
    instructions_at_most(
        "instructions per echo",
        thresholds::INSTRUCTIONS_PER_ECHO,
        (Peer::example("echo"), message, message.len(), 1),
    );
}

#[test]
fn line_takes_few_instructions() {
    let message = b"hello\n";
    instructions_at_most(
        "instructions per line",
        thresholds::INSTRUCTIONS_PER_LINE,
        (Peer::example("lines"), message, message.len(), 1),
    );
}

#[test]
fn http_request_takes_few_instructions() {
    instructions_at_most(
        "instructions per HTTP request",
        thresholds::INSTRUCTIONS_PER_REQUEST,
        (Peer::example("http"), GET, ANSWER_BYTES, 1),
    );
}

#[test]
fn pipelined_http_request_takes_few_instructions() {
    instructions_at_most(
        "instructions per pipelined HTTP request",
        thresholds::INSTRUCTIONS_PER_PIPELINED_REQUEST,
        (Peer::example("http"), GET, ANSWER_BYTES, 16),
    );
}

#[test]
fn resp_command_takes_few_instructions() {
    instructions_at_most(
        "instructions per SET",
        thresholds::INSTRUCTIONS_PER_COMMAND,
        (Peer::example("resp"), SET, b"+OK\r\n".len(), 1),
    );
}

#[test]
fn pipelined_resp_command_takes_few_instructions() {
    instructions_at_most(
        "instructions per pipelined SET",
        thresholds::INSTRUCTIONS_PER_PIPELINED_COMMAND,
        (Peer::example("resp"), SET, b"+OK\r\n".len(), 16),
    );
}

#[test]
fn chat_line_takes_few_instructions() {
    // The greeting comes first, so the answers read are a part of one behind.
    instructions_at_most(
        "instructions per line of a chat",
        thresholds::INSTRUCTIONS_PER_CHAT_LINE,
        (
            Peer::example("chat"),
            b"two words\n",
            b"another name, please\n".len(),
            1,
        ),
    );
}

#[test]
fn forwarded_exchange_takes_few_instructions() {
    let message = [b'x'; 64];
    instructions_at_most(
        "instructions per forwarded exchange",
        thresholds::INSTRUCTIONS_PER_FORWARDED_EXCHANGE,
        (
            Peer::example_with("forward", || vec![echo_address().to_string()]),
            &message,
            message.len(),
            1,
        ),
    );
}

/// Returns the address of an echo server that runs until the test ends.
fn echo_address() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || io::copy(&mut &stream, &mut &stream));
            }
        });
        address
    })
}

/// Asserts the instructions of an example for each message: the example, a message, the length of
/// the answer, and the number of messages in one write.
fn instructions_at_most(
    what: &str,
    bound: f64,
    (example, message, answer_bytes, depth): (Peer, &[u8], usize, usize),
) {
    if let Some(reason) = lacks_release_build().or_else(|| lacks("valgrind")) {
        return skip(what, &reason);
    }
    let folder = env!("CARGO_TARGET_TMPDIR");
    let out = format!("--callgrind-out-file={folder}/callgrind.%p");
    let peer = example.under(&["valgrind", "--tool=callgrind", &out]);
    let instructions = |rounds| {
        let output = output_during(&peer, |server| {
            exchange(server, rounds, &message.repeat(depth), answer_bytes * depth)
        });
        let collected = output
            .iter()
            .find_map(|line| line.split_once("Collected :"));
        let (_, number) = collected.expect("callgrind prints its total");
        number.trim().parse::<f64>().expect("a number")
    };
    at_most_in_one_of_several(what, bound, || {
        (instructions(120) - instructions(20)) / (100 * CONNECTIONS * depth) as f64
    });
}

/// Exchanges so many rounds of messages: in each, all connections send, and then all receive.
fn exchange(
    server: SocketAddr,
    rounds: usize,
    messages: &[u8],
    answer_bytes: usize,
) -> io::Result<()> {
    let clients = (0..CONNECTIONS).map(|_| TcpStream::connect(server));
    let mut clients: Vec<_> = clients.collect::<io::Result<_>>()?;
    let mut answer = vec![0; answer_bytes];
    for _ in 0..rounds {
        for client in &mut clients {
            client.write_all(messages)?;
        }
        for client in &mut clients {
            client.read_exact(&mut answer)?;
        }
    }
    Ok(())
}

const CONNECTIONS: usize = 50;
/// What `redis-benchmark` sends.
const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$16\r\nkey:__rand_int__\r\n$3\r\nVXK\r\n";
/// The request that `wrk` sends.
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
const ANSWER_BYTES: usize = "HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n".len() + 128;
