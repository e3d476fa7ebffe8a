//! Two services in one loop.

use std::collections::HashSet;
use std::io::ErrorKind;

use oneloop::layer::{Compose, Either, Fork, Idle, Side};
use oneloop::{Connect, EndReason, Event, Limits, Peer, Service, Tag, Time};
use oneloop_sim::{LinkProfile, RemotePeer, Script, Simulation};

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

/// Acts at its first event as `acts` does, and waits.
fn acting(acts: impl Fn(&mut Step<'_, '_>) + 'static) -> Probe {
    Probe::new(move |mut step| {
        if step.event == Event::Open && step.number == 0 {
            acts(&mut step);
        }
        step.take();
        step.read_for(HOUR)
    })
}

/// Three services, of which the second is within a fork of the first.
type Three = Fork<Fork<Probe, Probe, fn(&Peer) -> Side>, Probe, fn(&Peer) -> Side>;

fn three(acts: impl Fn(u8, &mut Step<'_, '_>) + Clone + 'static) -> Simulation<Three> {
    fn host(peer: &Peer) -> u8 {
        match peer.address.ip().map(|ip| ip.to_string()).as_deref() {
            Some("10.0.0.1") => 1,
            Some("10.0.0.2") => 2,
            _ => 3,
        }
    }
    fn side(second: bool) -> Side {
        match second {
            true => Side::Second,
            false => Side::First,
        }
    }
    let of = |number: u8| {
        let acts = acts.clone();
        acting(move |step| acts(number, step))
    };
    let inner: fn(&Peer) -> Side = |peer| side(host(peer) == 2);
    let outer: fn(&Peer) -> Side = |peer| side(host(peer) == 3);
    let service = of(1).beside(of(2), inner).beside(of(3), outer);
    let simulation = Simulation::new(service, Limits::default(), 1);
    let (network, to) = (simulation.network().clone(), simulation.address());
    for host in [1, 2, 3] {
        let _client = network.connect(([10, 0, 0, host], 1000).into(), to, LinkProfile::ideal());
    }
    simulation
}

fn probes(three: &Three) -> [&Probe; 3] {
    [
        three.first().first(),
        three.first().second(),
        three.second(),
    ]
}

#[test]
fn failed_connection_is_reported_to_the_side_that_has_requested_it() {
    let mut simulation = three(|number, step| {
        step.cx
            .connect(Connect::tcp(elsewhere()).tag(Tag::new(number.into())));
        step.cx.connect(Connect::tcp(elsewhere()).tag(Tag::new(7)));
    });
    simulation.run_for(SECOND);
    for (probe, number) in probes(simulation.reactor().service()).into_iter().zip(1..) {
        for tag in [number, 7] {
            let failed = Call::ConnectFailed(tag, ErrorKind::ConnectionRefused);
            assert_eq!(probe.count(failed), 1, "{number}: {:?}", probe.calls());
        }
        assert_eq!(probe.calls().len(), 4, "{number}");
    }
}

#[test]
fn outbound_session_is_of_the_side_that_has_requested_it() {
    let mut simulation = three(|_, step| {
        step.cx.connect(Connect::tcp(elsewhere()).tag(Tag::new(7)));
    });
    simulation.network().serve(elsewhere(), || Silent);
    simulation.run_for(SECOND);
    for probe in probes(simulation.reactor().service()) {
        assert_eq!(probe.peers.len(), 2);
        assert_eq!(probe.peers[1].tag, Some(Tag::new(7)), "as it was given");
    }
    // The probes check that the peer is the same at the end.
    simulation.drain();
    for probe in probes(simulation.reactor().service()) {
        assert!(probe.end(1).is_some());
    }
}

struct Silent;

impl Script for Silent {
    fn run(&mut self, _: &mut RemotePeer<'_>) -> Option<Time> {
        None
    }
}

#[test]
fn timers_of_the_sides_are_kept_apart() {
    let mut simulation = three(|number, step| {
        let at = step.cx.after(SECOND * u32::from(number));
        step.cx.set_service_timer(1, at);
        step.cx.set_timer(5, at);
    });
    simulation.run_for(MINUTE);
    for (probe, number) in probes(simulation.reactor().service()).into_iter().zip(1..) {
        let fired = probe.time_of(Call::Timer(1)).expect("a timer") - Time::START;
        assert!((number * SECOND..number * SECOND + ms(50)).contains(&fired));
        assert_eq!(probe.count(Call::Timer(1)), 1);
        assert_eq!(probe.events(0)[..2], [Event::Open, Event::Timer(5)]);
    }
}

#[test]
fn call_from_outside_is_of_its_side() {
    let mut simulation = three(|_, _| {});
    simulation.run_for(ms(10));
    let handle = simulation.reactor_mut().handle();
    handle
        .run(|three, cx| {
            three.with_first(cx, |fork, cx| {
                fork.with_second(cx, |_, cx| cx.set_service_timer(1, cx.now()));
            });
            three.with_second(cx, |_, cx| cx.set_service_timer(1, cx.now()));
        })
        .expect("room for a call");
    simulation.run_for(SECOND);
    let fired = probes(simulation.reactor().service()).map(|probe| probe.count(Call::Timer(1)));
    assert_eq!(fired, [0, 1, 1]);
}

#[test]
fn panic_of_one_side_leaves_requests_their_side() {
    let mut simulation = three(|number, step| {
        if number == 2 {
            panic!("as planned");
        }
        step.cx.set_service_timer(1, step.cx.now());
    });
    simulation.run_for(SECOND);
    let fired = probes(simulation.reactor().service()).map(|probe| probe.count(Call::Timer(1)));
    assert_eq!(fired, [1, 0, 1]);
}
