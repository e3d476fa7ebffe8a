//! Captures conversations with the real server on the loopback interface, with tcpdump.

use std::io::{BufRead, BufReader};
use std::net::{Shutdown, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::{env, fs, process};

use crate::lab::{self, Client, Program, QUESTION, eventually};
use crate::pcap::{Flags, Segment, decode};

/// A conversation worth capturing.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// The name of the capture's file, without `.pcap`.
    pub name: &'static str,
    /// What the client does.
    act: fn(SocketAddr),
    /// Returns `true` once the capture contains the end of the conversation.
    is_complete: fn(&[Segment]) -> bool,
}

/// The scenes of chapter 1.
pub const SCENES: &[Scene] = &[
    Scene {
        name: "conversation",
        act: converse,
        is_complete: both_have_finished,
    },
    Scene {
        name: "half-close",
        act: half_close,
        is_complete: both_have_finished,
    },
    Scene {
        name: "reset",
        act: reset,
        is_complete: |segments| segments.iter().any(|segment| segment.flags.has(Flags::RST)),
    },
    Scene {
        name: "refused",
        act: |server| drop(std::net::TcpStream::connect(unused(server))),
        is_complete: |segments| segments.iter().any(|segment| segment.flags.has(Flags::RST)),
    },
];

/// One name, and `exit`.
fn converse(server: SocketAddr) {
    let mut client = Client::connect(server);
    client.read_until(QUESTION).expect("the question");
    client.exchange("Alice\n").expect("a reply");
    client.send("exit\n").expect("sending");
    client.read_to_end();
}

/// Two names, and the end of the sending side at once.
fn half_close(server: SocketAddr) {
    let mut client = Client::connect(server);
    client.read_until(QUESTION).expect("the question");
    client.send("Alice\nBob\n").expect("sending");
    client.stream().shutdown(Shutdown::Write).expect("shutdown");
    client.read_to_end();
}

/// A client that leaves without reading: with unread bytes, its kernel sends a reset.
fn reset(server: SocketAddr) {
    let client = Client::connect(server);
    let own = client.stream().local_addr().expect("an address");
    eventually("the welcome has arrived", || {
        lab::has_unread(own, server).then_some(())
    });
}

/// A port of the same address on which nothing listens, below the server's.
fn unused(server: SocketAddr) -> SocketAddr {
    SocketAddr::new(server.ip(), 1)
}

fn both_have_finished(segments: &[Segment]) -> bool {
    let ends = segments
        .iter()
        .filter(|segment| segment.flags.has(Flags::FIN));
    let last = segments.last().map(|segment| segment.flags);
    ends.count() == 2 && last == Some(Flags(Flags::ACK))
}

/// Returns the capture of a scene, made now.
///
/// # Panics
///
/// Panics if tcpdump does not start or the conversation does not end.
pub fn capture(scene: &Scene) -> Vec<u8> {
    let server = Program::greet_server(&["--framing", "line"]);
    // A port of the client's own, so that nothing else is captured.
    let filter = match scene.name {
        "refused" => "tcp port 1".to_owned(),
        _ => format!("tcp port {}", server.address().port()),
    };
    let path = env::temp_dir().join(format!("book-{}-{}.pcap", process::id(), scene.name));
    let sniffer = Sniffer::start(&path, &filter);
    (scene.act)(server.address());
    eventually("the end of the conversation is captured", || {
        let capture = fs::read(&path).ok()?;
        let segments = decode(&capture).ok()?;
        (scene.is_complete)(&segments).then_some(())
    });
    drop(sniffer);
    let capture = fs::read(&path).expect("the capture");
    let _ = fs::remove_file(path);
    capture
}

/// Writes each packet at once. The short packets fit into the buffer of the kernel many times, so
/// that none is lost while tcpdump waits for a processor.
const OPTIONS: &str = "-i lo -n -U --immediate-mode -B 8192 -s 512";

/// A running tcpdump.
struct Sniffer(Child);

impl Sniffer {
    fn start(path: &std::path::Path, filter: &str) -> Self {
        let mut child = Command::new("tcpdump")
            .args(OPTIONS.split(' '))
            .arg("-w")
            .arg(path)
            .arg(filter)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starting tcpdump");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let is_ready = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("listening on"));
        assert!(is_ready, "tcpdump does not capture");
        std::thread::spawn(move || lines.for_each(drop)); // until it has ended
        Self(child)
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns why nothing can be captured here, or `None` if it can.
pub fn obstacle() -> Option<&'static str> {
    if !lab::is_installed("tcpdump") {
        return Some("tcpdump is not installed");
    }
    let mut probe = Command::new("tcpdump");
    probe
        .args(OPTIONS.split(' '))
        .args(["-c", "1", "-w", "/dev/null", "udp"]);
    let probe = probe.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = probe.ok()?;
    let mut lines = BufReader::new(child.stderr.take()?)
        .lines()
        .map_while(Result::ok);
    let is_ready = lines.any(|line| line.contains("listening on"));
    let _ = child.kill();
    let _ = child.wait();
    (!is_ready).then_some("tcpdump may not capture on the loopback interface")
}
