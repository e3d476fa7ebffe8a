//! The library's examples as processes: with clients of our own, and with those that people use,
//! where they are installed. The tests of each service are beside it, in src/oneloop/examples.

#![cfg(unix)]

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oneloop_bench::peers::{Peer, Pin, Running, is_on_path};
use socket2::{Domain, Socket, Type};

#[test]
fn examples_stop_politely_on_either_signal() {
    for example in ["echo", "lines", "http", "resp", "chat"] {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let server = start(example);
            let mut client = connect(server.address());
            // It is served by then: the examples answer their input in order.
            exchange(example, &mut client);
            let pid = Pid::from_raw(i32::try_from(server.pid()).expect("a process id"));
            kill(pid, signal).expect("it runs");
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).expect("an end, not a reset");
            assert_eq!(rest, b"", "{example}");
            assert!(server.ends_with_its_stdin(), "{example} ignores {signal}");
        }
    }
}

#[test]
fn example_without_an_address_prints_its_usage() {
    let server = start("echo");
    let program = fs::read_link(format!("/proc/{}/exe", server.pid()));
    let Ok(program) = program else {
        return skip("usage", "there is no /proc");
    };
    let output = Command::new(program).output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && errors.contains("usage: echo ADDRESS:PORT"),
        "{errors}"
    );
}

#[test]
fn echo_returns_megabytes_to_a_client_that_sends_and_reads_at_once() {
    let server = start("echo");
    let sent = noise(3_000_000);
    assert!(echoed(server.address(), &sent) == sent);
}

#[test]
fn lines_of_every_length_around_the_limits_are_echoed_or_refused() {
    let server = start("lines");
    for length in [
        0, 1, 3_999, 4_000, 4_001, 7_168, 8_191, 8_192, 8_193, 100_000,
    ] {
        let line = [b'x'].repeat(length);
        let sent = [&line[..], b"\r\nend\n"].concat();
        let wanted = match length <= 4_000 {
            true => [&line[..], b"\nend\n"].concat(),
            false => b"error: a message of 4001 bytes or more, at most 4000 are allowed\n".to_vec(),
        };
        let answer = echoed(server.address(), &sent);
        assert!(
            answer == wanted,
            "{length}: {:?}",
            String::from_utf8_lossy(&answer)
        );
    }
}

#[test]
fn netcat_gets_its_input_back() {
    let help = Command::new("nc").arg("-h").output();
    let ends_its_input = help.is_ok_and(|help| help.stderr.windows(2).any(|pair| pair == b"-N"));
    if !ends_its_input {
        return skip(
            "nc",
            "there is no `nc` with -N; on Debian `apt-get install netcat-openbsd`",
        );
    }
    for example in ["echo", "lines"] {
        let server = start(example);
        let input = (0..2_000)
            .map(|number| format!("line {number}\n"))
            .collect::<String>();
        let address = server.address();
        let mut nc = Command::new("nc")
            .args(["-N", &address.ip().to_string(), &address.port().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdin = nc.stdin.take().expect("a pipe");
        let sent = input.clone();
        let writer = thread::spawn(move || stdin.write_all(sent.as_bytes()));
        let output = nc.wait_with_output().expect("it ends");
        writer.join().expect("no panic").expect("it reads");
        assert_eq!(String::from_utf8_lossy(&output.stdout), input, "{example}");
    }
}

#[test]
fn http_answers_pipelined_requests_of_all_pages_in_order() {
    let server = start("http");
    let mut client = BufReader::new(connect(server.address()));
    let paths = ["/", "/64k", "/", "/10m", "/none", "/"];
    let requests: String = paths.iter().map(|path| request("GET", path)).collect();
    client
        .get_mut()
        .write_all(requests.as_bytes())
        .expect("it reads");
    let lengths = paths.map(|_| answer(&mut client).expect("an answer").1.len());
    assert_eq!(lengths, [128, 64 << 10, 128, 10 << 20, 0, 128]);
    client
        .get_mut()
        .write_all(request("HEAD", "/10m").as_bytes())
        .expect("it reads");
    assert_eq!(head(&mut client).expect("a head").1, 10 << 20);
}

#[test]
fn http_answer_under_way_at_a_signal_arrives_whole() {
    let server = start("http");
    let mut client = BufReader::new(connect(server.address()));
    client
        .get_mut()
        .write_all(request("GET", "/10m").as_bytes())
        .expect("it reads");
    let (_, length) = head(&mut client).expect("a head");
    let pid = Pid::from_raw(i32::try_from(server.pid()).expect("a process id"));
    kill(pid, Signal::SIGTERM).expect("it runs");
    let mut body = Vec::new();
    client.read_to_end(&mut body).expect("an end, not a reset");
    assert!(body == page(length), "{} of {length} bytes", body.len());
    assert!(server.ends_with_its_stdin(), "it does not end");
}

#[test]
fn curl_gets_10_mb_intact_over_keep_alive_while_another_client_never_reads() {
    if let Some(reason) = lacks("curl") {
        return skip("curl", &reason);
    }
    let server = start("http");
    check_with_curl(server.address(), "curl");
}

#[test]
fn curl_gets_10_mb_intact_through_a_forwarder_while_another_client_never_reads() {
    if let Some(reason) = lacks("curl") {
        return skip("curl", &reason);
    }
    static UPSTREAM: OnceLock<SocketAddr> = OnceLock::new();
    let server = start("http");
    UPSTREAM.get_or_init(|| server.address());
    let upstream = || {
        UPSTREAM
            .get()
            .map(ToString::to_string)
            .into_iter()
            .collect()
    };
    let forwarder = Peer::example_with("forward", upstream).start(Pin::Anywhere);
    let forwarder = forwarder.expect("it is built by cargo");
    check_with_curl(forwarder.address(), "curl-forward");
}

/// Gets 10 MB twice over one connection, and compares them. Another client asks for as much and
/// reads nothing.
fn check_with_curl(address: SocketAddr, name: &str) {
    let mut deaf = connect(address);
    deaf.write_all(request("GET", "/10m").repeat(3).as_bytes())
        .expect("it reads");
    let folder = folder(name);
    let file = |number| folder.join(format!("{number}"));
    let url = format!("http://{address}/10m");
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--max-time", "60"])
        .args(["--write-out", "%{num_connects} %{size_download}\n"])
        .arg("--output")
        .arg(file(1))
        .arg(&url)
        .arg("--output")
        .arg(file(2))
        .arg(&url)
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // The second one needs no connect.
    assert_eq!(text, "1 10485760\n0 10485760\n", "{output:?}");
    for number in [1, 2] {
        let body = fs::read(file(number)).expect("a file");
        assert!(body == page(10 << 20), "file {number}");
    }
    drop(deaf);
}

#[test]
fn chat_drops_a_member_that_never_reads_and_another_one_hears_all() {
    let server = start("chat");
    let mut deaf = join_chat(connect_narrow(server.address()), "deaf");
    let mut ann = join_chat(connect(server.address()), "ann");
    let mut bob = join_chat(connect(server.address()), "bob");
    let line = "x".repeat(900);
    let (said, heard) = (format!("{line}\n"), format!("ann: {line}\n"));
    // Bob keeps up. The buffers on the way to the other one take some hundred lines.
    for _ in 0..100 {
        ann.get_mut()
            .write_all(said.repeat(20).as_bytes())
            .expect("it reads");
        for _ in 0..20 {
            assert_eq!(line_of_a_member(&mut bob), heard);
        }
    }
    let mut received = Vec::new();
    let error = deaf.read_to_end(&mut received).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(received.len() < 2000 * heard.len());
}

/// Returns a client that has a name in the chat.
fn join_chat(mut client: TcpStream, name: &str) -> BufReader<TcpStream> {
    let lines = format!("{name}\n/msg nobody hello\n");
    client.write_all(lines.as_bytes()).expect("it reads");
    let mut client = BufReader::new(client);
    assert_eq!(line_of_a_member(&mut client), "your name, please\n");
    assert_eq!(line_of_a_member(&mut client), "no such member\n");
    client
}

/// Reads a line of the chat, after some announcements.
fn line_of_a_member(client: &mut impl BufRead) -> String {
    for _ in 0..20 {
        let mut line = String::new();
        client.read_line(&mut line).expect("it is heard");
        if !line.starts_with("* ") {
            return line;
        }
    }
    panic!("nothing but announcements");
}

/// Connects a client whose kernel takes few bytes.
fn connect_narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a socket");
    socket.connect(&address.into()).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket.into()
}

#[test]
fn curl_gets_the_status_of_each_refusal() {
    if let Some(reason) = lacks("curl") {
        return skip("curl", &reason);
    }
    let server = start("http");
    let status = |arguments: &[&str], path: &str| {
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "20", "--output", "/dev/null"])
            .args(["--write-out", "%{http_code}"])
            .args(arguments)
            .arg(format!("http://{}{path}", server.address()))
            .output()
            .expect("it starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(status(&[], "/"), "200");
    assert_eq!(status(&["--head"], "/64k"), "200");
    assert_eq!(status(&["--http1.0"], "/"), "200");
    assert_eq!(status(&[], "/none"), "404");
    assert_eq!(status(&["--request", "PUT"], "/"), "405");
    assert_eq!(status(&["--header", "Host;"], "/"), "200");
    assert_eq!(status(&["--header", "Host:"], "/"), "400");
    let large = format!("X: {}", "x".repeat(9_000));
    assert_eq!(status(&["--header", &large], "/"), "431");
    let body = folder("post").join("body");
    fs::write(&body, vec![b'x'; 100_000]).expect("a folder");
    let data = format!("@{}", body.display());
    assert_eq!(status(&["--data-binary", &data], "/"), "413");
    fs::write(&body, vec![b'x'; 60_000]).expect("a folder");
    assert_eq!(status(&["--data-binary", &data], "/"), "405");
    assert_eq!(
        status(
            &["--header", "Transfer-Encoding: chunked", "--data", "x"],
            "/"
        ),
        "411"
    );
}

#[test]
fn wrk_has_no_errors() {
    if let Some(reason) = lacks("wrk") {
        return skip("wrk", &reason);
    }
    let server = start("http");
    for path in ["/", "/64k", "/10m"] {
        let output = Command::new("wrk")
            .args(["--threads", "1", "--connections", "100", "--duration", "1s"])
            .args(["--timeout", "20s"])
            .arg(format!("http://{}{path}", server.address()))
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("requests in "), "{text}");
        // It prints these lines only if there are any.
        assert!(
            !text.contains("Socket errors") && !text.contains("Non-2xx"),
            "{text}"
        );
    }
}

fn start(example: &'static str) -> Running {
    Peer::example(example)
        .start(Pin::Anywhere)
        .expect("it is built by cargo")
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a socket");
    client
}

/// Exchanges a message of an example.
fn exchange(example: &str, client: &mut TcpStream) {
    let (sent, wanted): (&[u8], &[u8]) = match example {
        "http" => {
            client
                .write_all(request("GET", "/").as_bytes())
                .expect("it reads");
            let mut reader = BufReader::with_capacity(1, client);
            return assert_eq!(answer(&mut reader).expect("an answer").1, page(128));
        }
        "resp" => (b"PING\r\n", b"+PONG\r\n"),
        "chat" => (b"", b"your name, please\n"),
        _ => (b"hello\n", b"hello\n"),
    };
    client.write_all(sent).expect("it reads");
    let mut answer = vec![0; wanted.len()];
    client.read_exact(&mut answer).expect("it answers");
    assert_eq!(answer, wanted);
}

/// Sends all bytes and finishes, while another thread reads to the end. Returns the bytes read.
fn echoed(address: SocketAddr, sent: &[u8]) -> Vec<u8> {
    let client = connect(address);
    let mut reader = client.try_clone().expect("a descriptor");
    let reading = thread::spawn(move || {
        let mut received = Vec::new();
        let ended = reader.read_to_end(&mut received);
        ended.map(|_| received)
    });
    let mut writer = client;
    // A service that refuses a message closes, perhaps before it has read all.
    let _ = writer
        .write_all(sent)
        .and_then(|()| writer.shutdown(Shutdown::Write));
    match reading.join().expect("no panic") {
        Ok(received) => received,
        Err(error) => panic!("after {} bytes sent: {error}", sent.len()),
    }
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// Reads the head of an answer. Returns its status line and the length of its body.
fn head(client: &mut impl BufRead) -> io::Result<(String, usize)> {
    let (mut status, mut length) = (String::new(), 0);
    client.read_line(&mut status)?;
    loop {
        let mut line = String::new();
        client.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().map_err(io::Error::other)?,
            Some(_) => {}
            None if line == "\r\n" => return Ok((status, length)),
            None => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

fn answer(client: &mut impl BufRead) -> io::Result<(String, Vec<u8>)> {
    let (status, length) = head(client)?;
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    Ok((status, body))
}

/// Returns the bytes of a page.
fn page(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| b'a' + (at % 23) as u8).collect()
}

fn noise(bytes: u64) -> Vec<u8> {
    (0..bytes)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("examples")
        .join(name);
    fs::create_dir_all(&folder).expect("a target folder");
    folder
}

fn lacks(tool: &str) -> Option<String> {
    let there = is_on_path(tool);
    (!there).then(|| format!("there is no `{tool}`; on Debian `apt-get install {tool}`"))
}

/// Prints a line. The test harness captures `eprintln!`.
fn skip(what: &str, reason: &str) {
    let _ = writeln!(io::stderr(), "{what} skipped: {reason}");
}

const PATIENCE: Duration = Duration::from_secs(60);
