use super::*;
use crate::{RemotePeer, Status};

const SERVER: &str = "10.0.0.1:6000";
const PEER: &str = "10.0.0.2:50000";
const OPTIONS: ListenOptions = ListenOptions::new(2, BUFFERS);
const BUFFERS: BufferSizes = BufferSizes {
    send_bytes: 8,
    receive_bytes: 1024,
};

fn network() -> (Network, Listener) {
    let mut network = Network::new(1);
    let listener = network
        .listen(ListenAt::Address(at(SERVER)), &OPTIONS, Token(0))
        .unwrap();
    (network, listener)
}

fn dial(network: &Network) -> Client {
    let (from, to) = (PEER.parse().unwrap(), SERVER.parse().unwrap());
    network.connect(from, to, LinkProfile::ideal())
}

fn at(address: &str) -> Address {
    Address::Ip(address.parse().unwrap())
}

fn is_in_progress(network: &mut Network, stream: &Stream) -> bool {
    network.finish_connect(stream).unwrap() == Connecting::InProgress
}

fn connection() -> (Network, Listener, Client, Stream) {
    let (mut network, listener) = network();
    let client = dial(&network);
    wait(&mut network);
    let (mut stream, _) = network.accept(&listener).unwrap();
    network.register(&mut stream, Token(1)).unwrap();
    assert_eq!(wait(&mut network), [hint(1, false, true, false)]);
    (network, listener, client, stream)
}

fn wait(network: &mut Network) -> Vec<Readiness> {
    let mut events = Vec::new();
    let soon = Some(Duration::from_millis(5));
    network.poll(&mut events, soon).unwrap();
    events
}

fn hint(token: usize, readable: bool, writable: bool, hup: bool) -> Readiness {
    let mut hint = Readiness::of(Token(token));
    (hint.readable, hint.writable, hint.hup) = (readable, writable, hup);
    hint
}

fn kind<T: fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn poll_without_events_advances_to_timeout() {
    let (mut network, _listener) = network();
    assert_eq!(wait(&mut network), []);
    let now = network.time();
    assert!(now >= Time::from_nanos(5_000_000) && now < Time::from_nanos(6_000_000));
}

#[test]
fn poll_without_timeout_or_events_is_deadlock() {
    let (mut network, _listener) = network();
    assert_eq!(
        kind(network.poll(&mut Vec::new(), None)),
        io::ErrorKind::Deadlock
    );
}

#[test]
fn arrived_input_is_reported_once() {
    let (mut network, _listener, client, mut stream) = connection();
    client.send(b"abc");
    assert_eq!(wait(&mut network), [hint(1, true, true, false)]);
    assert_eq!(wait(&mut network), []);
    client.send(b"d");
    assert_eq!(wait(&mut network), [hint(1, true, true, false)]);
    let mut buffer = [0; 8];
    assert_eq!(network.read(&mut stream, &mut buffer).unwrap(), 4);
    assert_eq!(&buffer[..4], b"abcd");
    assert_eq!(
        kind(network.read(&mut stream, &mut buffer)),
        io::ErrorKind::WouldBlock
    );
}

#[test]
fn end_is_read_after_the_bytes() {
    let (mut network, _listener, client, mut stream) = connection();
    client.send(b"abc");
    client.finish();
    assert_eq!(wait(&mut network), [hint(1, true, true, true)]);
    assert_eq!(network.read(&mut stream, &mut [0; 8]).unwrap(), 3);
    assert_eq!(network.read(&mut stream, &mut [0; 8]).unwrap(), 0);
}

#[test]
fn room_is_reported_only_after_a_blocked_write() {
    let (mut network, _listener, client, mut stream) = connection();
    client.stop_reading();
    let mut sent = 0;
    while let Ok(bytes) = network.write(&mut stream, &[7; 5]) {
        sent += bytes;
        assert_eq!(wait(&mut network), []);
    }
    assert_eq!(sent, 64 * 1024 + 8);
    client.resume_reading();
    assert_eq!(wait(&mut network), [hint(1, false, true, false)]);
    assert_eq!(wait(&mut network), []);
    assert_eq!(client.received().len(), sent);
}

#[test]
fn needless_block_of_full_buffer_reports_room_later() {
    let (mut network, _listener, client, mut stream) = connection();
    client.stop_reading();
    // The receiver takes 64 KiB; six of the eight bytes of the send buffer are used.
    let mut left = 64 * 1024 + 6;
    while left > 0 {
        left -= network.write(&mut stream, &[7; 8][..left.min(8)]).unwrap();
        assert_eq!(wait(&mut network), []);
    }
    network.set_faults(Faults {
        needless_blocks: 1.0,
        ..Faults::NONE
    });
    assert_eq!(
        kind(network.write(&mut stream, b"ab")),
        io::ErrorKind::WouldBlock
    );
    network.set_faults(Faults::NONE);
    for _ in 0..10 {
        assert_eq!(wait(&mut network), [], "no room yet");
    }
    client.resume_reading();
    assert_eq!(wait(&mut network), [hint(1, false, true, false)]);
}

#[test]
fn close_with_unread_input_resets() {
    let (mut network, _listener, client, stream) = connection();
    client.send(b"unread");
    wait(&mut network);
    network.close(stream);
    wait(&mut network);
    assert_eq!(
        client.status(),
        Status::Failed(io::ErrorKind::ConnectionReset)
    );
}

#[test]
fn close_without_unread_input_resets_only_late_data() {
    let (mut network, _listener, client, mut stream) = connection();
    network.write(&mut stream, b"bye").unwrap();
    network.close(stream);
    wait(&mut network);
    assert_eq!(client.received(), b"bye");
    assert!(client.at_end());
    assert_eq!(client.status(), Status::Open);
    client.send(b"late");
    wait(&mut network);
    assert_eq!(
        client.status(),
        Status::Failed(io::ErrorKind::ConnectionReset)
    );
}

#[test]
fn reset_is_reported_once_then_broken_pipe() {
    let (mut network, _listener, client, mut stream) = connection();
    client.reset();
    assert_eq!(wait(&mut network), [hint(1, true, true, true)]);
    assert_eq!(
        kind(network.read(&mut stream, &mut [0; 8])),
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(network.read(&mut stream, &mut [0; 8]).unwrap(), 0);
    assert_eq!(
        kind(network.write(&mut stream, b"x")),
        io::ErrorKind::BrokenPipe
    );
}

#[test]
fn unreachable_peer_acknowledges_nothing_until_timeout() {
    let (mut network, _listener, client, mut stream) = connection();
    client.vanish();
    assert_eq!(network.write(&mut stream, &[1; 20]).unwrap(), 8);
    assert_eq!(
        kind(network.write(&mut stream, &[1; 20])),
        io::ErrorKind::WouldBlock
    );
    assert_eq!(wait(&mut network), []);
    network.poll(&mut Vec::new(), None).unwrap();
    assert_eq!(
        kind(network.read(&mut stream, &mut [0; 8])),
        io::ErrorKind::TimedOut
    );
}

#[test]
fn syn_beyond_backlog_is_retransmitted() {
    let (mut network, listener) = network();
    let clients = [dial(&network), dial(&network), dial(&network)];
    wait(&mut network);
    assert_eq!(
        clients.each_ref().map(Client::status),
        [Status::Open, Status::Open, Status::Connecting]
    );
    let _streams = [(); 2].map(|()| network.accept(&listener).unwrap());
    assert_eq!(kind(network.accept(&listener)), io::ErrorKind::WouldBlock);
    network.poll(&mut Vec::new(), None).unwrap();
    assert!(network.accept(&listener).is_ok());
}

#[test]
fn accept_without_descriptors_reports_no_new_event() {
    let (mut network, listener) = network();
    network.set_fd_limit(0);
    let client = dial(&network);
    assert_eq!(wait(&mut network), [hint(0, true, false, false)]);
    assert!(network.accept(&listener).is_err());
    network.set_fd_limit(1);
    assert_eq!(wait(&mut network), []);
    network.shed(&listener, b"full").unwrap();
    wait(&mut network);
    assert_eq!(client.received(), b"full");
    assert!(client.at_end());
}

#[test]
fn connect_after_listener_closed_is_refused() {
    let (mut network, listener) = network();
    let waiting = dial(&network);
    wait(&mut network);
    drop(listener);
    let late = dial(&network);
    wait(&mut network);
    assert_eq!(
        waiting.status(),
        Status::Failed(io::ErrorKind::ConnectionReset)
    );
    assert_eq!(
        late.status(),
        Status::Failed(io::ErrorKind::ConnectionRefused)
    );
}

#[test]
fn outbound_connect_succeeds_or_is_refused() {
    struct Greeter;
    impl Script for Greeter {
        fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
            remote.send(b"hello");
            remote.finish();
            None
        }
    }
    let mut network: Network = Network::new(1);
    network.serve(SERVER.parse().unwrap(), || Greeter);
    let mut stream = Net::connect(&mut network, &at(SERVER), None, &BUFFERS).unwrap();
    network.register(&mut stream, Token(1)).unwrap();
    let mut refused = Net::connect(&mut network, &at(PEER), None, &BUFFERS).unwrap();
    network.register(&mut refused, Token(2)).unwrap();
    assert!(is_in_progress(&mut network, &stream));
    while is_in_progress(&mut network, &stream) {
        wait(&mut network);
    }
    wait(&mut network);
    assert_eq!(network.read(&mut stream, &mut [0; 9]).unwrap(), 5);
    assert_eq!(
        kind(network.finish_connect(&refused)),
        io::ErrorKind::ConnectionRefused
    );
}

#[test]
fn connect_with_dropped_syns_times_out() {
    let mut network: Network = Network::new(1);
    let lost = SERVER.parse().unwrap();
    network.drop_syns_to(lost);
    let stream = Net::connect(&mut network, &lost.into(), None, &BUFFERS).unwrap();
    for _ in 0..100 {
        wait(&mut network);
        assert!(is_in_progress(&mut network, &stream));
    }
    network.poll(&mut Vec::new(), None).unwrap_err();
    assert_eq!(
        kind(network.finish_connect(&stream)),
        io::ErrorKind::TimedOut,
        "retransmission ends"
    );
}

#[test]
fn accept_without_event_is_counted() {
    let (mut network, listener) = network();
    assert!(network.accept(&listener).is_err());
    assert_eq!(network.call_counts().accepts_without_readiness, 1);
    let _client = dial(&network);
    wait(&mut network);
    let _stream = network.accept(&listener).unwrap();
    assert!(network.accept(&listener).is_err());
    assert_eq!(network.call_counts().accepts_without_readiness, 1);
    assert!(network.accept(&listener).is_err());
    assert_eq!(network.call_counts().accepts_without_readiness, 2);
}

#[test]
fn queued_connection_of_closed_listener_is_abandoned() {
    let (mut network, listener) = network();
    let _clients = [dial(&network), dial(&network)];
    wait(&mut network);
    drop(network.accept(&listener).unwrap());
    drop(listener);
    assert_eq!(network.call_counts().abandoned, 1);
}

#[test]
fn outbound_link_applies_to_outbound_connections() {
    struct Silent;
    impl Script for Silent {
        fn run(&mut self, _: &mut RemotePeer<'_>) -> Option<Time> {
            None
        }
    }
    let mut network: Network = Network::new(1);
    let address = SERVER.parse().unwrap();
    network.serve(address, || Silent);
    let latency = Duration::from_secs(1);
    network.set_outbound_link(LinkProfile {
        latency: latency..=latency,
        ..LinkProfile::ideal()
    });
    let stream = Net::connect(&mut network, &address.into(), None, &BUFFERS).unwrap();
    let begun = network.time();
    while is_in_progress(&mut network, &stream) {
        wait(&mut network);
    }
    assert!(network.time() - begun >= 2 * latency);
}

#[test]
fn rearming_poller_reports_only_after_would_block() {
    let mut network: Network<false> = Network::new(1);
    let address: SocketAddr = SERVER.parse().unwrap();
    let listener = network
        .listen(ListenAt::Address(address.into()), &OPTIONS, Token(0))
        .unwrap();
    let client = network.connect(PEER.parse().unwrap(), address, LinkProfile::ideal());
    let poll = |network: &mut Network<false>| {
        let mut events = Vec::new();
        let soon = Some(Duration::from_millis(5));
        network.poll(&mut events, soon).unwrap();
        events.len()
    };
    poll(&mut network);
    let (mut stream, _) = network.accept(&listener).unwrap();
    network.register(&mut stream, Token(1)).unwrap();
    poll(&mut network);
    client.send(b"ab");
    assert_eq!(poll(&mut network), 1);
    network.read(&mut stream, &mut [0; 8]).unwrap();
    client.send(b"cd");
    assert_eq!(poll(&mut network), 0);
    network.read(&mut stream, &mut [0; 8]).unwrap();
    assert!(network.read(&mut stream, &mut [0; 8]).is_err());
    client.send(b"ef");
    assert_eq!(poll(&mut network), 1);
}

#[test]
fn same_seed_gives_same_run() {
    let run = |seed| {
        let (mut network, _listener) = network();
        network.set_faults(Faults::sample(&mut Rng::new(seed)));
        let _client = dial(&network);
        for _ in 0..20 {
            let _ = network.poll(&mut Vec::new(), Some(Duration::from_millis(5)));
        }
        network.digest()
    };
    assert_eq!(run(5), run(5));
}
