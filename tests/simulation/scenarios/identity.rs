//! Where sessions come from, and the start of the loop.

use oneloop::{CloseReason, Connect, Event, Limits, Next, PeerAddress, Tag, Time};
use oneloop_sim::{RemotePeer, Script, Simulation};

use super::probe::*;

/// Keeps its connection open.
struct Silent;

impl Script for Silent {
    fn run(&mut self, _: &mut RemotePeer<'_>) -> Option<Time> {
        None
    }
}

#[test]
fn loop_starts_once_before_anything_else() {
    let mut simulation = simulate(Limits::default(), echo);
    let clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.run_for(SECOND);
    simulation.drain();
    assert!(clients.iter().all(|client| client.at_end()));
    assert_eq!(simulation.reactor().service().starts, [0]);
}

#[test]
fn requests_made_at_the_start_are_carried_out() {
    let mut probe = Probe::new(echo);
    probe.on_start = Box::new(|cx| {
        cx.set_service_timer(1, cx.after(SECOND));
        cx.connect(Connect::tcp(elsewhere()).tag(Tag::new(3)));
    });
    let mut simulation = Simulation::new(probe, Limits::default(), 1);
    simulation.network().serve(elsewhere(), || Silent);
    simulation.run_for(2 * SECOND);
    let probe = simulation.reactor().service();
    assert_eq!(probe.peers.len(), 1);
    assert_eq!(probe.peers[0].tag, Some(Tag::new(3)));
    let alarm = probe.time_of(Call::Timer(1)).expect("the timer fires");
    assert!(alarm >= Time::START + SECOND && alarm < Time::START + SECOND + ms(10));
}

#[test]
fn panic_at_the_start_is_counted_and_ends_nothing() {
    let mut probe = Probe::new(echo);
    probe.on_start = Box::new(|_| std::panic::resume_unwind(Box::new("as planned")));
    let mut simulation = Simulation::new(probe, Limits::default(), 1);
    let client = simulation.connect();
    client.send(b"hello");
    simulation.run_for(SECOND);
    assert_eq!(client.received(), b"hello");
    assert_eq!(simulation.reactor().counters().service_panics(), 1);
}

#[test]
fn accepted_session_has_its_listener_and_both_addresses() {
    let mut simulation = simulate(Limits::default(), |step| match step.event {
        Event::Open => step.read_for(MINUTE),
        _ => Next::Close(CloseReason::Completed),
    });
    let client = simulation.connect();
    simulation.run_for(SECOND);
    client.send(b"!");
    simulation.run_for(10 * SECOND);
    // The peer that `closed` gets is compared by the probe.
    let probe = simulation.reactor().service();
    let [peer] = probe.peers[..] else {
        panic!("one session: {:?}", probe.peers);
    };
    assert_eq!(peer.address, PeerAddress::Ip(client.address()));
    assert_eq!(peer.local, Some(simulation.address()));
    assert_eq!(peer.listener.map(|id| id.index()), Some(0));
    assert_eq!(peer.tag, None);
    assert!(probe.end(0).is_some());
}

#[test]
fn outbound_session_has_its_own_local_address_and_no_listener() {
    let mut simulation = simulate(Limits::default(), echo);
    simulation.network().serve(elsewhere(), || Silent);
    let from = "10.0.0.77".parse().expect("an address");
    let connect = Connect::tcp(elsewhere()).from(from).tag(Tag::new(u64::MAX));
    simulation.reactor_mut().connect(connect);
    simulation.run_for(SECOND);
    let peer = simulation.reactor().service().peers[0];
    assert_eq!(peer.address, PeerAddress::Ip(elsewhere()));
    assert_eq!(peer.local.map(|local| local.ip()), Some(from));
    assert_eq!(peer.listener, None);
    assert_eq!(peer.tag, Some(Tag::new(u64::MAX)));
}

#[test]
fn outbound_connection_has_the_time_of_its_own() {
    let mut simulation = simulate(Limits::default(), echo);
    simulation.network().drop_syns_to(elsewhere());
    for (tag, seconds) in [(1, 2), (2, 1)] {
        let connect = Connect::tcp(elsewhere()).timeout(seconds * SECOND);
        simulation.reactor_mut().connect(connect.tag(Tag::new(tag)));
    }
    simulation.run_for(3 * SECOND);
    let timed_out = std::io::ErrorKind::TimedOut;
    let failed = [2, 1].map(|tag| Call::ConnectFailed(tag, timed_out));
    assert_eq!(simulation.reactor().service().calls(), failed);
}

#[test]
fn outbound_connection_has_the_buffers_of_its_own() {
    const SEND: u32 = 3000;
    let mut simulation = simulate(Limits::default(), |step| {
        if step.event == Event::Open {
            step.cx.write(&[0; 10_000]);
        }
        step.read_for(MINUTE)
    });
    simulation.network().serve(elsewhere(), || Silent);
    let connect = Connect::tcp(elsewhere()).buffers(SEND, 64 * 1024);
    simulation.reactor_mut().connect(connect);
    let sent = loop {
        simulation.turn();
        match simulation.reactor().counters().bytes_out() {
            0 => {}
            sent => break sent,
        }
    };
    assert_eq!(sent, u64::from(SEND));
}
