//! Large messages under the limits that a new user begins with.

#![cfg(unix)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use oneloop::{CloseReason, Context, Event, Limits, Next, Peer, Reactor, Service, ServiceContext};

/// Answers every request with as many bytes.
struct Large(Vec<u8>);

impl Service for Large {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, (): &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        match event {
            Event::Data => {
                cx.consume(cx.input().len());
                cx.write(&self.0);
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
    let service = Large(vec![b'x'; BYTES]);
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
