//! Two services in one loop.

use std::collections::HashSet;

use oneloop::layer::{Compose, Either, Fork, Idle, Side};
use oneloop::{EndReason, Event, Limits, Peer, Service};
use oneloop_sim::{LinkProfile, Simulation};

use super::super::probe::*;

fn by_host(peer: &Peer) -> Side {
    match peer.address.ip().is_some_and(|ip| ip.is_loopback()) {
        true => Side::Second,
        false => Side::First,
    }
}

fn forked() -> Simulation<impl Service<Session = Either<u32, Box<u32>>>> {
    let service = Probe::new(echo).beside(Probe::new(echo).boxed(), by_host);
    Simulation::new(service, Limits::default(), 1)
}

#[test]
fn session_belongs_to_the_side_that_is_chosen() {
    let service = Probe::new(echo).beside(
        Probe::new(|mut step| {
            step.take();
            step.cx.write(b"admin");
            step.read_for(MINUTE)
        })
        .with(Idle::after(SECOND)),
        by_host,
    );
    let mut simulation = Simulation::new(service, Limits::default(), 1);
    let (network, to) = (simulation.network().clone(), simulation.address());
    let link = LinkProfile::ideal;
    let main = network.connect(([10, 0, 0, 7], 1000).into(), to, link());
    let admin = network.connect(([127, 0, 0, 1], 1000).into(), to, link());
    main.send(b"hello");
    simulation.run_for(ms(10));
    assert_eq!(main.received(), b"hello");
    assert_eq!(admin.received(), b"admin");
    simulation.run_for(2 * SECOND);
    admin.close();
    simulation.run_for(ms(10));
    let fork: &Fork<_, _, _> = simulation.reactor().service();
    assert_eq!(fork.second().inner().end(0), Some(EndReason::Timeout));
    assert_eq!(fork.first().events(0), [Event::Open, Event::Data]);
    assert_eq!(fork.first().end(0), None);
}

#[test]
fn drain_reaches_both_sides() {
    let mut simulation = forked();
    let (network, to) = (simulation.network().clone(), simulation.address());
    let clients: HashSet<_> = [[10, 0, 0, 7], [127, 0, 0, 1]]
        .into_iter()
        .map(|host| {
            network
                .connect((host, 1000).into(), to, LinkProfile::ideal())
                .address()
        })
        .collect();
    assert_eq!(clients.len(), 2);
    simulation.run_for(ms(10));
    assert_eq!(simulation.drain().aborted, 0);
    assert_eq!(
        simulation.reactor().counters().ended(EndReason::Shutdown),
        2
    );
}
