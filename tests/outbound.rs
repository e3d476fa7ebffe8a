//! Connections that a service asks for.

use std::io;
use std::net::SocketAddr;

use oneloop::{
    CloseReason, Context, Event, Limits, Next, Peer, Reactor, Service, ServiceContext, Turn,
};

/// Drains the loop as soon as its connection is made, or could not be.
#[derive(Default)]
struct Caller {
    reached: Vec<(SocketAddr, Option<u32>)>,
    failed: Vec<u32>,
}

impl Service for Caller {
    type Session = ();

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) {
        self.reached.push((peer.address, peer.tag));
        cx.drain();
    }

    fn step(&mut self, _: &mut (), _: Event, _: &mut Context<'_>) -> Next {
        Next::Close(CloseReason::Completed)
    }

    fn connect_failed(&mut self, tag: u32, _: &io::Error, cx: &mut ServiceContext) {
        self.failed.push(tag);
        cx.drain();
    }
}

fn call(to: SocketAddr) -> Caller {
    let limits = Limits {
        linger_timeout: std::time::Duration::ZERO,
        ..Limits::default()
    };
    let mut reactor = Reactor::new(Caller::default(), limits).expect("a poller");
    reactor.connect(to, None, 7);
    while reactor.turn().expect("polling works") == Turn::Running {}
    std::mem::take(reactor.service_mut())
}

#[test]
fn a_connection_asked_for_before_the_first_turn_is_made_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let caller = call(address);
    assert_eq!(caller.reached, [(address, Some(7))]);
    assert!(caller.failed.is_empty());
}

#[test]
fn a_connection_to_nobody_fails_with_the_ticket_that_asked_for_it() {
    let free =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let caller = call(free.expect("a free port"));
    assert_eq!(caller.reached, []);
    assert_eq!(caller.failed, [7]);
}
