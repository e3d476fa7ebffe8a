//! Two services in one loop, each with a listener of its own.

use std::net::SocketAddr;

use oneloop::layer::{Boxed, ByListener, Compose, Fork};
use oneloop::{CloseReason, Connect, EndReason, Event, Limits, Listen, Next, Reactor, Tag, Turn};
use oneloop_sim::{Client, Network, Simulation};

use super::super::probe::*;

type Two = Fork<Probe, Boxed<Probe>, ByListener>;

/// Returns a server with a public listener for as many clients, and one for the administrator.
fn serving(public_max: usize) -> Simulation<Two> {
    let mut public = Probe::new(|step| match step.event {
        // It stays until its peer leaves.
        Event::Drain => step.read_for(HOUR),
        _ => echo(step),
    });
    public.refusal = b"public: full".to_vec();
    let mut admin = Probe::new(|mut step| {
        let input = step.take();
        step.cx.write(&input.to_ascii_uppercase());
        match step.event {
            Event::Eof => Next::Close(CloseReason::Eof),
            Event::Drain => Next::Close(CloseReason::Shutdown),
            _ => step.read_for(HOUR),
        }
    });
    admin.refusal = b"admin: full".to_vec();
    let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
    let builder = Reactor::builder(public.beside(admin.boxed(), ByListener("admin")))
        .limits(Limits {
            connections_max: public_max + 1,
            ..Limits::default()
        })
        .listen(Listen::tcp(at(80)).name("public"))
        .listen(
            Listen::tcp(at(81))
                .name("admin")
                .connections_max(1)
                .reserve(1)
                .drain_last(),
        );
    Simulation::from_builder(Network::new(1), builder)
}

fn connect(simulation: &mut Simulation<Two>, listener: &str) -> Client {
    let client = simulation.connect_to(listener);
    simulation.run_for(ms(10));
    client
}

fn answer(simulation: &mut Simulation<Two>, client: &Client) -> Vec<u8> {
    client.send(b"hello");
    simulation.run_for(ms(100));
    client.received()
}

#[test]
fn listener_chooses_the_service() {
    let mut simulation = serving(10);
    let public = connect(&mut simulation, "public");
    let admin = connect(&mut simulation, "admin");
    let other = connect(&mut simulation, "public");
    assert_eq!(answer(&mut simulation, &admin), b"HELLO");
    assert_eq!(answer(&mut simulation, &public), b"hello");
    assert_eq!(answer(&mut simulation, &other), b"hello");
    let fork = simulation.reactor().service();
    let listeners = |probe: &Probe| -> Vec<_> {
        let peers = probe.peers.iter();
        peers
            .map(|peer| peer.listener.expect("one").name())
            .collect()
    };
    assert_eq!(listeners(fork.first()), ["public", "public"]);
    assert_eq!(listeners(fork.second().inner()), ["admin"]);
}

#[test]
fn admin_answers_while_the_main_listener_is_full() {
    let mut simulation = serving(2);
    let _inside = [(); 2].map(|()| connect(&mut simulation, "public"));
    let refused = connect(&mut simulation, "public");
    assert_eq!(refused.received(), b"public: full");
    let admin = connect(&mut simulation, "admin");
    assert_eq!(answer(&mut simulation, &admin), b"HELLO");
    // Its own listener refuses by the words of its own service.
    let second = connect(&mut simulation, "admin");
    assert_eq!(second.received(), b"admin: full");
    simulation.run_for(MINUTE);
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::ServerFull), 2);
}

#[test]
fn admin_answers_while_the_main_service_drains() {
    let mut simulation = serving(2);
    let public = connect(&mut simulation, "public");
    let admin = connect(&mut simulation, "admin");
    simulation.network().stop();
    assert_eq!(simulation.run_for(ms(50)), Turn::Running);
    let late = connect(&mut simulation, "admin");
    assert_eq!(late.received(), b"admin: full");
    assert_eq!(answer(&mut simulation, &admin), b"HELLO");
    let fork = simulation.reactor().service();
    assert_eq!(fork.second().inner().count(Call::Step(0, Event::Drain)), 0);
    assert_eq!(answer(&mut simulation, &public), b"hello");
    public.close();
    assert_eq!(simulation.drain().aborted, 0);
    let admin = simulation.reactor().service().second().inner();
    assert_eq!(admin.end(0), Some(EndReason::Shutdown));
}

#[test]
fn outbound_connection_of_the_admin_is_its_own() {
    let mut simulation = serving(2);
    let handle = simulation.reactor_mut().handle();
    let connect = Connect::tcp(elsewhere()).tag(Tag::new(3));
    let request = move |two: &mut Two, cx: &mut _| {
        two.with_second(cx, |_, cx| cx.connect(connect));
    };
    handle.run(request).expect("room for a call");
    simulation.run_for(SECOND);
    let fork = simulation.reactor().service();
    assert_eq!(fork.first().calls(), []);
    assert!(matches!(
        fork.second().inner().calls()[..],
        [Call::ConnectFailed(3, _)]
    ));
}
