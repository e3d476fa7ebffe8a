//! Outbound connections of a service.

use std::net::SocketAddr;

use oneloop::{
    CloseReason, Connect, ConnectError, Context, Event, Limits, Next, Peer, PeerAddress, Reactor,
    Service, ServiceContext, Tag, Turn,
};

/// A service that drains the loop once its connection is open or has failed.
#[derive(Default)]
struct Connector {
    reached: Vec<Peer>,
    failed: Vec<Tag>,
}

impl Service for Connector {
    type Session = ();

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) {
        self.reached.push(peer);
        cx.drain();
    }

    fn step(&mut self, _: &mut (), _: Event, _: &mut Context<'_>) -> Next {
        Next::Close(CloseReason::Completed)
    }

    fn connect_failed(&mut self, tag: Tag, _: &ConnectError, cx: &mut ServiceContext) {
        self.failed.push(tag);
        cx.drain();
    }
}

fn connect(to: SocketAddr) -> Connector {
    let limits = Limits {
        linger_timeout: std::time::Duration::ZERO,
        ..Limits::default()
    };
    let mut reactor = Reactor::new(Connector::default(), limits).expect("a poller");
    reactor.connect(Connect::tcp(to).tag(Tag::new(7)));
    while reactor.turn().expect("polling works") == Turn::Running {}
    std::mem::take(reactor.service_mut())
}

#[test]
fn connect_before_first_turn_opens_a_session() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let connector = connect(address);
    let [reached] = connector.reached[..] else {
        panic!("one session: {:?}", connector.reached);
    };
    assert_eq!(reached.address, PeerAddress::Ip(address));
    assert_eq!(reached.tag, Some(Tag::new(7)));
    assert_eq!(reached.listener, None);
    let (_, from) = listener.accept().expect("a connection");
    assert_eq!(reached.local, Some(from));
    assert!(connector.failed.is_empty());
}

#[test]
fn refused_connect_fails_with_its_tag() {
    let free =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let connector = connect(free.expect("a free port"));
    assert_eq!(connector.reached, []);
    assert_eq!(connector.failed, [Tag::new(7)]);
}
