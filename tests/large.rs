//! Large messages under the limits that a new user begins with.

#![cfg(unix)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use oneloop::{
    CloseReason, Context, Event, Limits, Next, Peer, Reactor, Service, ServiceContext, Shared,
};

/// Answers every request with what it writes.
struct Answering<W>(W);

impl<W: Fn(&mut Context<'_>)> Service for Answering<W> {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, (): &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        match event {
            Event::Data => {
                cx.consume(cx.input().len());
                (self.0)(cx);
            }
            Event::Eof => {
                cx.drain();
                return Next::Close(CloseReason::Eof);
            }
            Event::Drain => return Next::Close(CloseReason::Shutdown),
            _ => {}
        }
        Next::Read {
            until: cx.after(Duration::from_secs(60)),
        }
    }
}

/// With the default send buffer, each segment of 64 KiB waited 40 ms for its acknowledgement: 20
/// replies of 900 kB took 10 s.
#[test]
fn large_replies_under_default_limits_leave_without_waiting() {
    const BYTES: usize = 900_000;
    let bytes = vec![b'x'; BYTES];
    let service = Answering(move |cx: &mut Context<'_>| cx.write(&bytes));
    let mut reactor = Reactor::new(service, Limits::default()).expect("a reactor");
    let server = reactor
        .listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .expect("a free port");
    let client = thread::spawn(move || {
        let mut client = TcpStream::connect(server).expect("a server");
        let mut reply = vec![0; BYTES];
        let began = Instant::now();
        for _ in 0..20 {
            client.write_all(b"?").expect("it reads");
            client.read_exact(&mut reply).expect("it answers");
        }
        began.elapsed()
    });
    reactor.run().expect("it serves");
    let took = client.join().expect("no panic");
    assert!(took < Duration::from_secs(5), "20 replies took {took:?}");
}

/// Streams a body to each request: a chunk, `Next::Flush`, the next chunk.
struct Stream {
    body: Shared,
    chunk: usize,
}

impl Service for Stream {
    /// The part of the body that was not sent.
    type Session = Shared;

    fn open(&mut self, _: Peer, _: &mut ServiceContext) -> Shared {
        self.body.slice(..0)
    }

    fn step(&mut self, left: &mut Shared, event: Event, cx: &mut Context<'_>) -> Next {
        match event {
            Event::Data => {
                cx.consume(cx.input().len());
                *left = self.body.clone();
            }
            Event::Eof => {
                cx.drain();
                return Next::Close(CloseReason::Eof);
            }
            Event::Drain => return Next::Close(CloseReason::Shutdown),
            _ => {}
        }
        if left.is_empty() {
            return Next::Read {
                until: cx.after(Duration::from_secs(60)),
            };
        }
        let chunk = self.chunk.min(left.len());
        cx.write_shared(left.slice(..chunk));
        *left = left.slice(chunk..);
        Next::Flush
    }
}

/// With the default send buffer, each chunk of 64 KiB waited for the acknowledgement of the one
/// before, and a body of 10 MB took 3 s.
#[test]
fn body_of_shared_chunks_under_default_limits_leaves_without_waiting() {
    let body: Vec<u8> = (0..10_000_000_u32).map(|byte| (byte % 251) as u8).collect();
    for chunk in [64 * 1024, 80_000, 1_000_000] {
        let service = Stream {
            body: body.clone().into(),
            chunk,
        };
        let mut reactor = Reactor::new(service, Limits::default()).expect("a reactor");
        let server = reactor
            .listen(SocketAddr::from(([127, 0, 0, 1], 0)))
            .expect("a free port");
        let expected = body.clone();
        let client = thread::spawn(move || {
            let mut client = TcpStream::connect(server).expect("a server");
            let mut received = vec![0; expected.len()];
            let began = Instant::now();
            for _ in 0..4 {
                client.write_all(b"?").expect("it reads");
                client.read_exact(&mut received).expect("it answers");
                assert!(received == expected, "the body is not the one sent");
                received.fill(0);
            }
            began.elapsed()
        });
        reactor.run().expect("it serves");
        let took = client.join().expect("no panic");
        assert!(took < Duration::from_secs(5), "chunks of {chunk}: {took:?}");
    }
}

/// On Linux the bytes leave from the page cache; what precedes and follows them is in memory.
#[test]
fn bytes_of_a_file_leave_whole_and_in_order() {
    const HEAD: &[u8] = b"the head\n";
    let bytes: Vec<u8> = (0..10_000_000_u32).map(|byte| (byte % 251) as u8).collect();
    let path = format!(
        "{}/large-{}",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    fs::write(&path, &bytes).expect("a folder to write to");
    let file = Shared::from_file(File::open(&path).expect("the file")).expect("its bytes");
    let parts = vec![
        HEAD.to_vec().into(),
        file.clone(),
        file.slice(1..40_000),
        HEAD.to_vec().into(),
        file.slice(9_900_000..).slice(..50_000),
        file.slice(100..200),
    ];
    let expected: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
    let ask = |shrunk: bool| {
        let limits = Limits::for_messages_up_to(expected.len());
        let parts = parts.clone();
        let service = Answering(move |cx: &mut Context<'_>| {
            parts.iter().for_each(|part| cx.write_shared(part.clone()));
        });
        let mut reactor = Reactor::new(service, limits).expect("a reactor");
        let server = reactor
            .listen(SocketAddr::from(([127, 0, 0, 1], 0)))
            .expect("a free port");
        let (length, path) = (expected.len(), path.clone());
        let client = thread::spawn(move || {
            let mut client = TcpStream::connect(server).expect("a server");
            client.write_all(b"?").expect("it reads");
            let mut received = vec![0; length];
            client
                .read_exact(&mut received[..20_000])
                .expect("it answers");
            if shrunk {
                let file = File::options().write(true).open(path).expect("the file");
                file.set_len(9_950_000).expect("it becomes shorter");
            }
            client
                .read_exact(&mut received[20_000..])
                .expect("it answers");
            received
        });
        reactor.run().expect("it serves");
        client.join().expect("no panic")
    };
    assert!(ask(false) == expected, "the parts are not those sent");
    // The bytes in memory are sent instead.
    assert!(ask(true) == expected, "the file has become shorter");
    fs::remove_file(&path).expect("it exists");
}

/// A forwarder, for example, allocates a buffer for each read of 64 KiB. glibc's allocator returned
/// its pages to the system each time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn freed_buffers_of_a_read_are_kept_for_the_next() {
    use nix::sys::resource::{UsageWho, getrusage};

    let faults = || {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("a thread");
        usage.minor_page_faults()
    };
    let _reactor =
        Reactor::new(Answering(|_: &mut Context<'_>| ()), Limits::default()).expect("a reactor");
    let before = faults();
    for _ in 0..1000 {
        let buffers: Vec<_> = (0..4).map(|_| vec![1_u8; 64 * 1024]).collect();
        drop(std::hint::black_box(buffers));
    }
    // Each buffer has 16 pages.
    let faults = faults() - before;
    assert!(faults < 4000, "{faults} page faults for 4,000 buffers");
}
