//! Admission of connections, refusals, and retries of accept.

use std::time::Duration;

use oneloop::net::{ListenAt, ListenOptions, Net};
use oneloop::{Context, EndReason, Event, Limits, Next, Peer, Service, ServiceContext, WhenFull};
use oneloop_sim::{Client, Faults, Simulation, Status};

use super::probe::*;

fn few(connections_max: usize) -> Limits {
    Limits {
        connections_max,
        ..Limits::default()
    }
}

#[test]
fn accepting_in_one_turn_ends_at_its_bound_and_goes_on_in_the_next() {
    let limits = Limits {
        turn_accepts_max: 4,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    let _clients: Vec<_> = (0..10).map(|_| simulation.connect()).collect();
    let mut accepted = Vec::new();
    for _ in 0..3 {
        simulation.turn();
        accepted.push(simulation.reactor().counters().accepted());
    }
    assert_eq!(accepted, [4, 8, 10]);
}

#[test]
fn accepting_has_a_bound_for_each_listener() {
    let limits = Limits {
        turn_accepts_max: 4,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    let other = simulation
        .reactor_mut()
        .listen("10.0.0.1:7000".parse().unwrap());
    let other = other.expect("a free port");
    let network = simulation.network().clone();
    let _clients: Vec<_> = (0..10)
        .map(|port| {
            let from = format!("10.0.0.3:{}", 1000 + port).parse().unwrap();
            (
                simulation.connect(),
                network.connect(from, other, Default::default()),
            )
        })
        .collect();
    simulation.turn();
    assert_eq!(simulation.reactor().counters().accepted(), 8);
}

#[test]
fn accepting_stops_at_a_full_server_that_lets_others_queue() {
    let limits = Limits {
        when_full: WhenFull::Queue,
        ..few(2)
    };
    let mut simulation = simulate(limits, echo);
    let clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.run_for(SECOND);
    assert_eq!(simulation.reactor().open_connections(), 2);
    assert_eq!(simulation.reactor().counters().accepted(), 2);
    assert_eq!(clients[2].status(), Status::Open, "in the queue");
    clients[0].close();
    simulation.run_for(SECOND);
    clients[2].send(b"late");
    simulation.run_for(SECOND);
    assert_eq!(clients[2].received(), b"late");
}

#[test]
fn accepting_of_a_full_server_refuses_the_one_too_many_with_its_message() {
    let mut simulation = simulate(few(2), echo);
    simulation.reactor_mut().service_mut().refusal = b"full\n".to_vec();
    let clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(100));
    assert_eq!(clients[2].received(), b"full\n");
    assert!(clients[2].at_end());
    let usage = simulation.reactor().usage();
    assert_eq!((usage.connections, usage.refused), (3, 1));
    simulation.run_for(3 * SECOND);
    assert_eq!(
        simulation.reactor().counters().ended(EndReason::ServerFull),
        1
    );
    assert_eq!(simulation.reactor().usage().refused, 0);
}

#[test]
fn refused_connections_linger_up_to_their_maximum_and_no_further() {
    let limits = Limits {
        refusals_max: 2,
        ..few(1)
    };
    let mut simulation = simulate(limits, echo);
    let _inside = simulation.connect();
    simulation.run_for(ms(10));
    let lingering: Vec<_> = (1..=4)
        .map(|_| {
            let refused = simulation.connect();
            // A client that keeps its side open, so that only the loop can end the wait.
            refused.stop_reading();
            simulation.run_for(ms(10));
            simulation.reactor().usage().refused
        })
        .collect();
    assert_eq!(lingering, [1, 2, 2, 2]);
}

#[test]
fn refused_connection_above_the_maximum_is_gone_though_its_message_had_to_wait() {
    let limits = Limits {
        refusals_max: 0,
        turn_bytes_max: 1,
        ..few(1)
    };
    let mut simulation = simulate(limits, echo);
    simulation.reactor_mut().service_mut().refusal = vec![b'x'; 1000];
    let _inside = simulation.connect();
    simulation.run_for(ms(10));
    simulation.network().set_faults(Faults {
        short_writes: 1.0,
        ..Faults::NONE
    });
    let _refused = simulation.connect();
    simulation.turn();
    simulation.turn();
    assert_eq!(simulation.reactor().usage().refused, 0);
}

#[test]
fn address_with_its_share_is_refused_and_served_again_when_one_leaves() {
    let limits = Limits {
        connections_per_address_max: Some(2),
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    let clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    assert_eq!(simulation.reactor().usage().refused, 1);
    clients[0].close();
    simulation.run_for(ms(10));
    let next = simulation.connect();
    next.send(b"hello");
    simulation.run_for(ms(10));
    assert_eq!(next.received(), b"hello");
    let counters = simulation.reactor().counters();
    assert_eq!(
        (counters.accepted(), counters.ended(EndReason::AddressLimit)),
        (4, 0)
    );
    simulation.run_for(5 * SECOND);
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::AddressLimit), 1);
}

/// Returns a server without a free descriptor, and the one client that is connected.
fn exhausted(retry: Duration, when_full: WhenFull) -> (oneloop_sim::Simulation<Probe>, Client) {
    let limits = Limits {
        accept_retry: retry,
        when_full,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    simulation.network().set_fd_limit(1);
    let inside = simulation.connect();
    simulation.run_for(ms(10));
    (simulation, inside)
}

#[test]
fn accepting_without_descriptors_rests_for_its_time_and_no_longer() {
    let (mut simulation, _inside) = exhausted(ms(500), WhenFull::Queue);
    let _waiting = simulation.connect();
    simulation.run_for(ms(10));
    let before = simulation.network().call_counts().accepts;
    simulation.run_for(ms(480));
    assert_eq!(simulation.network().call_counts().accepts, before);
    simulation.run_for(5 * SECOND);
    let tries = simulation.network().call_counts().accepts - before;
    assert!((9..=11).contains(&tries), "{tries} tries in 5 s");
}

#[test]
fn accepting_without_descriptors_is_tried_again_when_one_is_free() {
    let (mut simulation, inside) = exhausted(HOUR, WhenFull::Queue);
    let waiting = simulation.connect();
    simulation.run_for(ms(10));
    inside.close();
    waiting.send(b"hello");
    simulation.run_for(ms(10));
    assert_eq!(waiting.received(), b"hello");
}

#[test]
fn accepting_without_descriptors_refuses_with_the_message() {
    let (mut simulation, _inside) = exhausted(HOUR, WhenFull::Refuse);
    simulation.reactor_mut().service_mut().refusal = b"full\n".to_vec();
    let before = simulation.reactor().counters().accept_exhausted();
    let clients: Vec<_> = (0..5).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    for client in &clients {
        assert_eq!(client.received(), b"full\n");
        assert!(client.at_end());
    }
    let counters = simulation.reactor().counters();
    assert_eq!(counters.accepted(), 6);
    assert_eq!(counters.ended(EndReason::ServerFull), 5);
    // Once for each client, and once for the empty queue.
    assert_eq!(counters.accept_exhausted(), before + 6);
}

#[test]
fn accepting_that_fails_as_often_as_a_turn_may_accept_rests() {
    let limits = Limits {
        turn_accepts_max: 5,
        accept_retry: ms(500),
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    simulation.network().set_faults(Faults {
        interruptions: 1.0,
        ..Faults::NONE
    });
    let client = simulation.connect();
    simulation.run_for(ms(400));
    assert_eq!(simulation.network().call_counts().accepts, 5);
    assert_eq!(simulation.reactor().counters().accept_failures(), 5);
    simulation.run_for(ms(500));
    assert_eq!(simulation.network().call_counts().accepts, 10);
    simulation.network().set_faults(Faults::NONE);
    client.send(b"hello");
    simulation.run_for(ms(500));
    assert_eq!(client.received(), b"hello");
}

#[test]
fn accepting_goes_on_after_one_connection_failed() {
    let mut simulation = simulate(Limits::default(), echo);
    let failing = simulation.connect();
    simulation.network().set_faults(Faults {
        aborted_accepts: 1.0,
        ..Faults::NONE
    });
    simulation.turn();
    assert_eq!(simulation.reactor().counters().accept_failures(), 1);
    simulation.network().set_faults(Faults::NONE);
    drop(failing);
    let next = simulation.connect();
    next.send(b"hello");
    simulation.run_for(ms(10));
    assert_eq!(next.received(), b"hello");
}

#[test]
fn every_connection_of_one_event_is_accepted() {
    let mut simulation = simulate(Limits::default(), echo);
    let clients: Vec<_> = (0..5).map(|_| simulation.connect()).collect();
    simulation.turn();
    assert_eq!(simulation.reactor().counters().accepted(), 5);
    drop(clients);
}

#[test]
fn listener_that_cannot_be_had_is_an_error_and_no_listener() {
    let mut simulation = simulate(Limits::default(), echo);
    let address = simulation.address();
    let error = simulation.reactor_mut().listen(address).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let mut network = simulation.network().clone();
    let buffers = oneloop::net::BufferSizes {
        send_bytes: 1,
        receive_bytes: 1,
    };
    let options = ListenOptions::new(1, buffers);
    let (token, at) = (oneloop::net::Token(7), ListenAt::Address(address.into()));
    assert!(Net::listen(&mut network, at, &options, token).is_err());
}

#[test]
fn refusal_longer_than_the_output_s_mark_is_sent_whole() {
    let limits = Limits {
        input_bytes_max: 10,
        output_bytes_mark: 10,
        output_bytes_max: 2000,
        ..few(1)
    };
    let mut simulation = simulate(limits, echo);
    simulation.reactor_mut().service_mut().refusal = vec![b'x'; 2000];
    let _inside = simulation.connect();
    simulation.run_for(ms(10));
    let refused = simulation.connect();
    simulation.run_for(ms(10));
    assert_eq!(refused.received(), vec![b'x'; 2000]);
    assert!(refused.at_end());
}

#[test]
fn session_that_its_service_refuses_frees_its_place() {
    let mut simulation = simulate(few(4), |mut step| match step.take().is_empty() {
        true => step.read_for(MINUTE),
        false => oneloop::Next::Close(oneloop::CloseReason::Refused),
    });
    for _ in 0..10 {
        let client = simulation.connect();
        client.send(b"let me in");
        simulation.run_for(ms(10));
        assert!(client.at_end());
        client.close();
        simulation.run_for(ms(10));
    }
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::Refused), 10);
    assert_eq!(counters.ended(EndReason::ServerFull), 0);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn accepting_that_succeeds_now_and_then_does_not_rest() {
    let limits = Limits {
        turn_accepts_max: 20,
        accept_retry: HOUR,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    simulation.network().set_faults(Faults {
        aborted_accepts: 0.5,
        ..Faults::NONE
    });
    let _clients: Vec<_> = (0..400).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    let counters = simulation.reactor().counters();
    assert_eq!(counters.accepted() + counters.accept_failures(), 400);
    assert!(counters.accept_failures() > 100);
}

/// A service with the default refusal.
struct Plain;

impl Service for Plain {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
        Next::Read {
            until: cx.after(HOUR),
        }
    }
}

#[test]
fn refusal_by_default_ends_the_connection_without_a_byte() {
    let mut simulation = Simulation::new(Plain, few(1), 1);
    let _inside = simulation.connect();
    simulation.run_for(ms(10));
    let refused = simulation.connect();
    simulation.run_for(ms(10));
    assert_eq!(refused.received(), b"");
    assert!(refused.at_end());
}
