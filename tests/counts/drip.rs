//! The cost of one byte behind much unread input.

use std::env;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;

use oneloop::{
    CloseReason, Context, Event, Limits, Next, Peer, Reactor, Service, ServiceContext, Time,
};

use super::{at_most, lacks, skip};

/// Acknowledges each step that brings input with one byte, and leaves the input unread on request.
struct Hoarder {
    hoards: bool,
}

impl Service for Hoarder {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, (): &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        match event {
            Event::Eof => {
                cx.drain();
                return Next::Close(CloseReason::Eof);
            }
            Event::Data => cx.write(b"."),
            _ => {}
        }
        if !self.hoards {
            cx.consume(cx.input().len());
        }
        Next::Read {
            until: Time::UNBOUNDED,
        }
    }
}

#[test]
fn drip_behind_much_unread_input_costs_at_most_twice_as_much() {
    const WHAT: &str = "instructions per byte behind 990 kB, to behind none";
    if let Some(why) = lacks("valgrind") {
        return skip(WHAT, &why);
    }
    let per_byte = |hoarded: usize| {
        let count = |bytes: usize| instructions(&format!("{hoarded},{bytes}"));
        (count(2_000) - count(500)) / 1_500.0
    };
    at_most(WHAT, per_byte(990_000) / per_byte(0), 2.0);
}

/// Runs [`workload`] in a process of its own, and returns how many instructions that took.
fn instructions(work: &str) -> f64 {
    let folder = env!("CARGO_TARGET_TMPDIR");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().expect("this program"))
        .args(["--exact", "drip::workload", "--ignored", "--test-threads=1"])
        .env(WORK, work)
        .current_dir(folder)
        .output()
        .expect("valgrind runs");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    let (_, number) = report.split_once("Collected :").expect("a count");
    let number = number.trim().lines().next().expect("a line");
    number.trim().parse().expect("a number")
}

#[test]
#[ignore = "is run by the test above, under valgrind"]
fn workload() {
    let work = env::var(WORK).expect("some work");
    let (hoarded, bytes) = work.split_once(',').expect("two numbers");
    let hoarded: usize = hoarded.parse().expect("a number");
    let bytes: usize = bytes.parse().expect("a number");
    let limits = Limits::for_messages_up_to(1 << 20);
    let hoards = hoarded > 0;
    let mut reactor = Reactor::new(Hoarder { hoards }, limits).expect("a reactor");
    let server = reactor
        .listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .expect("a free port");
    let client = thread::spawn(move || {
        let mut client = TcpStream::connect(server).expect("a server");
        client.set_nodelay(true).expect("a socket");
        client.write_all(&vec![b'x'; hoarded]).expect("it reads");
        for _ in 0..bytes {
            client.write_all(b"x").expect("it reads");
            // Any acknowledgement: those of the first bytes may still be on their way.
            client.read_exact(&mut [0]).expect("it answers");
        }
    });
    reactor.run().expect("it serves");
    client.join().expect("no panic");
}

const WORK: &str = "ONELOOP_COUNTED_WORK";
