//! Tests the operating system behind the `Net` trait: the properties that the loop relies on, and
//! that the simulated network imitates.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use oneloop::Address;
use oneloop::net::{BufferSizes, Connecting, ListenAt, ListenOptions, Net, Os, Readiness, Token};

type Stream = <Os as Net>::Stream;

const PATIENCE: Duration = Duration::from_secs(20);
const BUFFERS: BufferSizes = BufferSizes {
    send_bytes: 32 * 1024,
    receive_bytes: 32 * 1024,
};

/// A listener on the operating system's network, and its poller.
struct Kernel {
    os: Os,
    listener: <Os as Net>::Listener,
    address: SocketAddr,
}

impl Kernel {
    fn new(address: &str, backlog: u32) -> std::io::Result<Self> {
        let mut os = Os::new()?;
        let options = ListenOptions::new(backlog, BUFFERS);
        let at = ListenAt::Address(Address::Ip(address.parse().expect("an address")));
        let listener = os.listen(at, &options, Token(0))?;
        let address = os.local_addr(&listener);
        let address = address.socket_addr().expect("an IP address");
        Ok(Self {
            os,
            listener,
            address,
        })
    }

    fn on_loopback() -> Self {
        Self::new("127.0.0.1:0", 16).expect("a loopback")
    }

    /// Polls until `token` has an event that satisfies `wanted`.
    fn wait_for(&mut self, token: usize, wanted: impl Fn(Readiness) -> bool) {
        let mut events = <Os as Net>::Events::default();
        loop {
            match self.os.poll(&mut events, Some(PATIENCE)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled.expect("a poller"),
            }
            assert_ne!(Os::events(&events).count(), 0, "nothing came");
            if Os::events(&events).any(|hint| hint.token == Token(token) && wanted(hint)) {
                return;
            }
        }
    }

    /// Returns both ends of a new connection: the loop's and the peer's.
    fn connection(&mut self) -> (Stream, TcpStream) {
        let peer = TcpStream::connect(self.address).expect("a listener");
        peer.set_read_timeout(Some(PATIENCE)).expect("a socket");
        self.wait_for(0, |hint| hint.readable);
        let (mut stream, from) = self.os.accept(&self.listener).expect("a connection");
        assert_eq!(from, peer.local_addr().expect("a socket").into());
        self.os.register(&mut stream, Token(1)).expect("a poller");
        (stream, peer)
    }
}

#[test]
fn connection_of_either_origin_sends_small_messages_at_once() {
    let mut kernel = Kernel::on_loopback();
    let (accepted, _peer) = kernel.connection();
    assert!(accepted.nodelay().expect("a socket"));
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback");
    let to = other.local_addr().expect("a socket");
    let made = kernel
        .os
        .connect(&to.into(), None, &BUFFERS)
        .expect("a listener");
    assert!(made.nodelay().expect("a socket"));
}

#[test]
fn outbound_connection_is_announced_and_comes_from_the_address_asked_for() {
    let mut kernel = Kernel::on_loopback();
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback");
    let to = other.local_addr().expect("a socket");
    let from = Ipv4Addr::new(127, 0, 0, 1).into();
    let made = kernel.os.connect(&to.into(), Some(from), &BUFFERS);
    let mut made = made.expect("a listener");
    kernel.os.register(&mut made, Token(2)).expect("a poller");
    kernel.wait_for(2, |hint| hint.writable);
    let (_, address) = other.accept().expect("a connection");
    let local = Some(address);
    let connected = kernel.os.finish_connect(&made).expect("a listener");
    assert_eq!(connected, Connecting::Established { local });
    assert_eq!(address.ip(), from);
}

#[test]
fn wildcard_of_ipv6_leaves_ipv4_alone() {
    let Ok(kernel) = Kernel::new("[::]:0", 16) else {
        eprintln!("skipped: there is no IPv6");
        return;
    };
    let port = kernel.address.port();
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect_err("nobody is there");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    Kernel::new(&format!("0.0.0.0:{port}"), 16).expect("the same port of IPv4 is free");
}

#[test]
fn queue_is_as_long_as_asked_for() {
    let kernel = Kernel::new("127.0.0.1:0", 100).expect("a loopback");
    let peers: Vec<_> = (0..100)
        .map(|_| TcpStream::connect_timeout(&kernel.address, PATIENCE).expect("a place"))
        .collect();
    assert_eq!(peers.len(), 100);
}

#[test]
fn abort_is_a_reset_and_close_is_an_end() {
    let mut kernel = Kernel::on_loopback();
    let (stream, mut peer) = kernel.connection();
    kernel.os.abort(stream);
    let reset = peer.read(&mut [0; 8]).expect_err("a reset");
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    let (stream, mut peer) = kernel.connection();
    kernel.os.close(stream);
    assert_eq!(peer.read(&mut [0; 8]).expect("an end"), 0);
}

#[test]
fn slices_are_written_in_order_and_as_many_bytes_as_fit() {
    let mut kernel = Kernel::on_loopback();
    let (mut stream, mut peer) = kernel.connection();
    let (front, back) = (vec![b'f'; 1000], vec![b'b'; 10_000_000]);
    let slices = [&front[..], b"|", &back].map(IoSlice::new);
    let written = kernel.os.write_vectored(&mut stream, &slices);
    let written = written.expect("a connection");
    assert!((1002..10_001_001).contains(&written), "{written} bytes");
    let blocked = kernel.os.write_vectored(&mut stream, &slices[1..]);
    let more = blocked.or_else(|error| match error.kind() {
        ErrorKind::WouldBlock => Ok(0),
        _ => Err(error),
    });
    drop(stream);
    let mut received = Vec::new();
    peer.read_to_end(&mut received).expect("an end");
    assert_eq!(received.len(), written + more.expect("a connection"));
    assert!(received[..1000] == *front && received[1000] == b'|');
    assert!(received[1001..written] == back[..written - 1001]);
}

#[test]
fn finishing_is_an_end_behind_which_the_peer_is_still_read() {
    let mut kernel = Kernel::on_loopback();
    let (mut stream, mut peer) = kernel.connection();
    kernel.os.shutdown_write(&mut stream).expect("a connection");
    assert_eq!(peer.read(&mut [0; 8]).expect("an end"), 0);
    peer.write_all(b"still").expect("a connection");
    kernel.wait_for(1, |hint| hint.readable);
    assert_eq!(kernel.os.read(&mut stream, &mut [0; 8]).expect("bytes"), 5);
}

#[test]
fn end_of_the_peer_is_announced_as_such_and_is_no_error() {
    let mut kernel = Kernel::on_loopback();
    let (mut stream, peer) = kernel.connection();
    drop(peer);
    kernel.wait_for(1, |hint| hint.hup && hint.readable);
    assert!(kernel.os.take_error(&stream).is_none());
    assert_eq!(kernel.os.read(&mut stream, &mut [0; 8]).expect("an end"), 0);
}

#[test]
fn reset_by_the_peer_is_announced_and_its_error_can_be_taken() {
    let mut kernel = Kernel::on_loopback();
    let (mut stream, peer) = kernel.connection();
    kernel
        .os
        .write(&mut stream, b"unread")
        .expect("a connection");
    let mut byte = [0; 1];
    peer.peek(&mut byte).expect("a byte");
    // Closing with unread input is a reset.
    drop(peer);
    kernel.wait_for(1, |hint| hint.hup && hint.writable);
    let error = kernel.os.take_error(&stream).expect("an error");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn queue_is_shed_with_the_descriptor_in_reserve_and_its_message() {
    let mut kernel = Kernel::on_loopback();
    for _ in 0..3 {
        let mut peer = TcpStream::connect(kernel.address).expect("a listener");
        peer.set_read_timeout(Some(PATIENCE)).expect("a socket");
        kernel.wait_for(0, |hint| hint.readable);
        kernel
            .os
            .shed(&kernel.listener, b"full")
            .expect("a reserve");
        let mut heard = String::new();
        peer.read_to_string(&mut heard).expect("an end");
        assert_eq!(heard, "full");
    }
    let empty = kernel
        .os
        .shed(&kernel.listener, b"full")
        .expect_err("empty");
    assert_eq!(empty.kind(), ErrorKind::WouldBlock);
}
