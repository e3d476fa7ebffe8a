use super::*;
use crate::{Remote, Status};

const SERVER: &str = "10.0.0.1:6000";
const PEER: &str = "10.0.0.2:50000";
const OPTIONS: ListenOptions = ListenOptions {
    backlog: 2,
    buffers: BUFFERS,
};
const BUFFERS: BufferSizes = BufferSizes {
    send_bytes: 8,
    receive_bytes: 1024,
};

fn network() -> (Network, Listener) {
    let mut network = Network::new(1);
    let listener = network
        .listen(SERVER.parse().unwrap(), &OPTIONS, Token(0))
        .unwrap();
    (network, listener)
}

fn call(network: &Network) -> Client {
    let (from, to) = (PEER.parse().unwrap(), SERVER.parse().unwrap());
    network.connect(from, to, Link::ideal())
}

fn connection() -> (Network, Listener, Client, Stream) {
    let (mut network, listener) = network();
    let client = call(&network);
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
    Readiness {
        token: Token(token),
        readable,
        writable,
        hup,
    }
}

fn kind<T: fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn poll_jumps_to_the_timeout_and_no_further() {
    let (mut network, _listener) = network();
    assert_eq!(wait(&mut network), []);
    let now = network.time();
    assert!(now >= Time::from_nanos(5_000_000) && now < Time::from_nanos(6_000_000));
}

#[test]
fn a_poll_that_would_never_return_says_so() {
    let (mut network, _listener) = network();
    assert_eq!(
        kind(network.poll(&mut Vec::new(), None)),
        io::ErrorKind::Deadlock
    );
}

#[test]
fn what_has_arrived_is_announced_once() {
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
fn the_end_is_announced_and_read_after_the_bytes() {
    let (mut network, _listener, client, mut stream) = connection();
    client.send(b"abc");
    client.finish();
    assert_eq!(wait(&mut network), [hint(1, true, true, true)]);
    assert_eq!(network.read(&mut stream, &mut [0; 8]).unwrap(), 3);
    assert_eq!(network.read(&mut stream, &mut [0; 8]).unwrap(), 0);
}

#[test]
fn room_is_announced_only_to_who_was_refused_it() {
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
fn a_needless_block_of_a_full_buffer_announces_room_when_there_is_some() {
    let (mut network, _listener, client, mut stream) = connection();
    client.stop_reading();
    // The receiver takes 64 KiB; six of the eight bytes of the send buffer stay.
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
        assert_eq!(wait(&mut network), [], "there is no room yet");
    }
    client.resume_reading();
    assert_eq!(wait(&mut network), [hint(1, false, true, false)]);
}

#[test]
fn closing_with_unread_input_resets() {
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
fn closing_with_nothing_unread_is_an_end_until_something_is_sent() {
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
fn a_reset_is_reported_once_and_then_the_connection_is_just_broken() {
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
fn who_vanishes_takes_nothing_and_says_nothing_until_the_kernel_gives_up() {
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
fn beyond_the_backlog_a_call_is_repeated_until_there_is_room() {
    let (mut network, listener) = network();
    let clients = [call(&network), call(&network), call(&network)];
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
fn without_descriptors_accept_fails_and_the_queue_stays_unannounced() {
    let (mut network, listener) = network();
    network.set_descriptors_max(0);
    let client = call(&network);
    assert_eq!(wait(&mut network), [hint(0, true, false, false)]);
    assert!(network.accept(&listener).is_err());
    network.set_descriptors_max(1);
    assert_eq!(wait(&mut network), []);
    network.shed(&listener, b"full").unwrap();
    wait(&mut network);
    assert_eq!(client.received(), b"full");
    assert!(client.at_end());
}

#[test]
fn nobody_listens_after_the_listener_is_gone() {
    let (mut network, listener) = network();
    let waiting = call(&network);
    wait(&mut network);
    drop(listener);
    let late = call(&network);
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
fn the_loop_can_connect_to_a_service_and_is_told_how_it_went() {
    struct Greeter;
    impl Behaviour for Greeter {
        fn act(&mut self, remote: &mut Remote<'_>) -> Option<Time> {
            remote.send(b"hello");
            remote.finish();
            None
        }
    }
    let mut network: Network = Network::new(1);
    network.serve(SERVER.parse().unwrap(), || Greeter);
    let mut stream = Net::connect(&mut network, SERVER.parse().unwrap(), None, &BUFFERS).unwrap();
    network.register(&mut stream, Token(1)).unwrap();
    let mut refused = Net::connect(&mut network, PEER.parse().unwrap(), None, &BUFFERS).unwrap();
    network.register(&mut refused, Token(2)).unwrap();
    assert!(!network.finish_connect(&stream).unwrap());
    while !network.finish_connect(&stream).unwrap() {
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
fn a_call_that_is_lost_is_answered_by_nothing_but_time() {
    let mut network: Network = Network::new(1);
    let lost = SERVER.parse().unwrap();
    network.lose_calls_to(lost);
    let stream = Net::connect(&mut network, lost, None, &BUFFERS).unwrap();
    for _ in 0..100 {
        wait(&mut network);
        assert!(!network.finish_connect(&stream).unwrap());
    }
    network.poll(&mut Vec::new(), None).unwrap_err();
    assert_eq!(
        kind(network.finish_connect(&stream)),
        io::ErrorKind::TimedOut,
        "the kernel gives up"
    );
}

#[test]
fn an_accept_without_an_event_is_counted() {
    let (mut network, listener) = network();
    assert!(network.accept(&listener).is_err());
    assert_eq!(network.tally().unprovoked_accepts, 1);
    let _client = call(&network);
    wait(&mut network);
    let _stream = network.accept(&listener).unwrap();
    assert!(network.accept(&listener).is_err());
    assert_eq!(network.tally().unprovoked_accepts, 1);
    assert!(network.accept(&listener).is_err());
    assert_eq!(network.tally().unprovoked_accepts, 2);
}

#[test]
fn who_waits_when_the_listener_is_closed_is_counted_as_abandoned() {
    let (mut network, listener) = network();
    let _clients = [call(&network), call(&network)];
    wait(&mut network);
    drop(network.accept(&listener).unwrap());
    drop(listener);
    assert_eq!(network.tally().abandoned, 1);
}

#[test]
fn the_outbound_link_is_what_the_loop_s_own_connections_are_like() {
    struct Silent;
    impl Behaviour for Silent {
        fn act(&mut self, _: &mut Remote<'_>) -> Option<Time> {
            None
        }
    }
    let mut network: Network = Network::new(1);
    let address = SERVER.parse().unwrap();
    network.serve(address, || Silent);
    let latency = Duration::from_secs(1);
    network.set_outbound_link(Link {
        latency: latency..=latency,
        ..Link::ideal()
    });
    let stream = Net::connect(&mut network, address, None, &BUFFERS).unwrap();
    let begun = network.time();
    while !network.finish_connect(&stream).unwrap() {
        wait(&mut network);
    }
    assert!(network.time() - begun >= 2 * latency);
}

#[test]
fn a_poller_that_must_be_rearmed_announces_only_after_a_refused_read() {
    let mut network: Network<false> = Network::new(1);
    let address = SERVER.parse().unwrap();
    let listener = network.listen(address, &OPTIONS, Token(0)).unwrap();
    let client = network.connect(PEER.parse().unwrap(), address, Link::ideal());
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
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let (mut network, _listener) = network();
        network.set_faults(Faults::drawn(&mut Random::new(seed)));
        let _client = call(&network);
        for _ in 0..20 {
            let _ = network.poll(&mut Vec::new(), Some(Duration::from_millis(5)));
        }
        network.digest()
    };
    assert_eq!(run(5), run(5));
}
