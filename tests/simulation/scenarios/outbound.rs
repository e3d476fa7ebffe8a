//! Connections that the service makes.

use std::io::ErrorKind;
use std::net::SocketAddr;

use oneloop::{CloseReason, Connect, EndReason, Event, Limits, Next, Tag, Time};
use oneloop_sim::{LinkProfile, RemotePeer, Script, Simulation};

use super::probe::*;

/// Echoes its input.
struct Mirror;

impl Script for Mirror {
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
        let mut heard = Vec::new();
        remote.read(usize::MAX, &mut heard);
        remote.send(&heard);
        if remote.at_end() {
            remote.close();
        }
        None
    }
}

fn tagged(to: SocketAddr, tag: u64) -> Connect {
    Connect::tcp(to).tag(Tag::new(tag))
}

/// Returns a service that sends "hello" when it is connected, and closes at the answer.
fn caller(limits: Limits) -> Simulation<Probe> {
    simulate(limits, |mut step| {
        let answer = step.take();
        match step.event {
            Event::Open => {
                step.cx.write(b"hello");
                step.read_for(MINUTE)
            }
            Event::Data => {
                assert_eq!(answer, b"hello");
                Next::Close(CloseReason::Completed)
            }
            Event::Drain => Next::Close(CloseReason::Shutdown),
            _ => step.read_for(MINUTE),
        }
    })
}

#[test]
fn outbound_connection_is_a_session_with_its_ticket() {
    let mut simulation = caller(Limits::default());
    simulation.network().serve(elsewhere(), || Mirror);
    simulation.reactor_mut().connect(tagged(elsewhere(), 42));
    simulation.run_for(10 * SECOND);
    let probe = simulation.reactor().service();
    assert_eq!(probe.peers[0].tag, Some(Tag::new(42)));
    assert_eq!(probe.peers[0].address, elsewhere().into());
    assert_eq!(probe.end(0), Some(EndReason::Completed));
    assert_eq!(simulation.reactor().usage(), Default::default());
    let counters = simulation.reactor().counters();
    assert_eq!((counters.connecting(), counters.ended_in_all()), (1, 1));
}

#[test]
fn outbound_connection_that_is_refused_is_reported_at_once() {
    let mut simulation = caller(Limits::default());
    simulation.reactor_mut().connect(tagged(elsewhere(), 1));
    simulation.run_for(SECOND);
    let probe = simulation.reactor().service();
    let failed = Call::ConnectFailed(1, ErrorKind::ConnectionRefused);
    assert_eq!(probe.calls(), [failed]);
    assert_eq!(simulation.reactor().usage(), Default::default());
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::ConnectFailed), 1);
}

#[test]
fn outbound_connection_that_is_not_answered_fails_after_its_time() {
    let limits = Limits {
        connect_timeout: 5 * SECOND,
        ..Limits::default()
    };
    let mut simulation = caller(limits);
    simulation.network().drop_syns_to(elsewhere());
    simulation.reactor_mut().connect(tagged(elsewhere(), 1));
    simulation.run_for(5 * SECOND - ms(1));
    assert_eq!(simulation.reactor().open_connections(), 1);
    simulation.run_for(ms(5));
    let probe = simulation.reactor().service();
    assert_eq!(probe.calls(), [Call::ConnectFailed(1, ErrorKind::TimedOut)]);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn outbound_connection_that_was_slow_has_all_its_time_as_a_session() {
    let mut simulation = simulate(Limits::default(), |step| step.read_for(20 * SECOND));
    let latency = 2 * SECOND;
    simulation.network().set_outbound_link(LinkProfile {
        latency: latency..=latency,
        ..LinkProfile::ideal()
    });
    simulation.network().serve(elsewhere(), || Mirror);
    simulation.reactor_mut().connect(tagged(elsewhere(), 1));
    simulation.run_for(15 * SECOND);
    assert_eq!(simulation.reactor().service().events(0), [Event::Open]);
}

#[test]
fn outbound_connections_end_at_their_maximum() {
    let limits = Limits {
        outbound_max: 2,
        ..Limits::default()
    };
    let mut simulation = caller(limits);
    simulation.network().drop_syns_to(elsewhere());
    for tag in 0..3 {
        simulation.reactor_mut().connect(tagged(elsewhere(), tag));
    }
    let failed = Call::ConnectFailed(2, ErrorKind::QuotaExceeded);
    assert_eq!(simulation.reactor().service().calls(), [failed]);
    simulation.run_for(MINUTE);
    simulation
        .network()
        .serve("10.0.0.9:7001".parse().unwrap(), || Mirror);
    simulation
        .reactor_mut()
        .connect(tagged("10.0.0.9:7001".parse().unwrap(), 3));
    simulation.run_for(MINUTE);
    assert_eq!(
        simulation.reactor().service().end(0),
        Some(EndReason::Completed)
    );
}

#[test]
fn outbound_connections_take_no_place_of_those_that_are_accepted() {
    let limits = Limits {
        connections_max: 2,
        connections_per_address_max: Some(2),
        ..Limits::default()
    };
    let mut simulation = simulate(limits, |mut step| {
        let input = step.take();
        if step.number < 10 {
            return step.read_for(HOUR);
        }
        step.cx.write(&input);
        step.read_for(HOUR)
    });
    simulation.network().serve(elsewhere(), || Mirror);
    for tag in 0..10 {
        simulation.reactor_mut().connect(tagged(elsewhere(), tag));
    }
    simulation.run_for(SECOND);
    let clients = [simulation.connect(), simulation.connect()];
    clients.iter().for_each(|client| client.send(b"hello"));
    simulation.run_for(SECOND);
    for client in &clients {
        assert_eq!(client.received(), b"hello");
    }
    assert_eq!(simulation.reactor().usage().addresses, 1);
}

#[test]
fn outbound_connection_to_the_loop_itself_has_a_session_at_both_ends() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        let input = step.take();
        match step.event {
            Event::Open if step.number == 0 || input.is_empty() => {
                step.cx.write(b"ping");
                step.read_for(MINUTE)
            }
            Event::Data => Next::Close(CloseReason::Completed),
            Event::Eof => Next::Close(CloseReason::Eof),
            _ => step.read_for(MINUTE),
        }
    });
    let address = simulation.address();
    simulation.reactor_mut().connect(tagged(address, 5));
    simulation.run_for(10 * SECOND);
    let probe = simulation.reactor().service();
    let tags: Vec<_> = probe.peers.iter().map(|peer| peer.tag).collect();
    assert!(
        tags.contains(&Some(Tag::new(5))) && tags.contains(&None),
        "{tags:?}"
    );
    assert!(probe.end(0).is_some() && probe.end(1).is_some());
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn outbound_connection_asked_for_in_a_drain_fails() {
    let mut simulation = simulate(Limits::default(), |step| {
        if step.event == Event::Drain {
            step.cx.connect(tagged(elsewhere(), 9));
        }
        step.read_for(MINUTE)
    });
    simulation.network().serve(elsewhere(), || Mirror);
    let client = simulation.connect();
    simulation.run_for(ms(10));
    simulation.drain();
    let failed = Call::ConnectFailed(9, ErrorKind::Other);
    assert_eq!(simulation.reactor().service().count(failed), 1);
    drop(client);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn outbound_session_is_told_of_the_drain() {
    let mut simulation = simulate(Limits::default(), |step| match step.event {
        Event::Drain => Next::Close(CloseReason::Shutdown),
        _ => step.read_for(HOUR),
    });
    simulation.network().serve(elsewhere(), || Mirror);
    simulation.reactor_mut().connect(tagged(elsewhere(), 1));
    simulation.run_for(SECOND);
    assert_eq!(simulation.drain().aborted, 0);
    assert_eq!(
        simulation.reactor().service().end(0),
        Some(EndReason::Shutdown)
    );
}

#[test]
fn outbound_connection_that_the_end_of_a_drain_finds_unmade_is_reported() {
    let limits = Limits {
        drain_timeout: SECOND,
        ..Limits::default()
    };
    let mut simulation = caller(limits);
    simulation.network().drop_syns_to(elsewhere());
    simulation.reactor_mut().connect(tagged(elsewhere(), 3));
    simulation.run_for(ms(10));
    assert_eq!(simulation.drain().aborted, 0);
    let failed = Call::ConnectFailed(3, ErrorKind::Other);
    assert_eq!(simulation.reactor().service().count(failed), 1);
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::ConnectFailed), 1);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn outbound_connection_that_cannot_be_registered_fails_alone() {
    let limits = Limits {
        outbound_max: 1,
        ..Limits::default()
    };
    let mut simulation = caller(limits);
    simulation.network().serve(elsewhere(), || Mirror);
    simulation.network().set_faults(oneloop_sim::Faults {
        failed_registrations: 1.0,
        ..Default::default()
    });
    simulation.reactor_mut().connect(tagged(elsewhere(), 1));
    assert_eq!(
        simulation.reactor().service().calls(),
        [Call::ConnectFailed(1, ErrorKind::StorageFull)]
    );
    assert_eq!(simulation.reactor().usage(), Default::default());
    assert_eq!(simulation.network().descriptors_open(), 0);
    let counters = simulation.reactor().counters();
    assert_eq!((counters.connecting(), counters.ended_in_all()), (1, 1));
    simulation.network().set_faults(oneloop_sim::Faults::NONE);
    simulation.reactor_mut().connect(tagged(elsewhere(), 2));
    simulation.run_for(10 * SECOND);
    let end = simulation.reactor().service().end(0);
    assert_eq!(end, Some(EndReason::Completed));
}

#[test]
fn outbound_connection_without_a_descriptor_fails() {
    let mut simulation = caller(Limits::default());
    simulation.network().set_fd_limit(0);
    simulation.reactor_mut().connect(tagged(elsewhere(), 1));
    assert_eq!(simulation.reactor().service().calls().len(), 1);
    let counters = simulation.reactor().counters();
    assert_eq!((counters.connecting(), counters.ended_in_all()), (1, 1));
}
