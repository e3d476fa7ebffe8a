//! Limits that change while the loop runs.

use oneloop::{EndReason, Event, Limits, Listen, Next, Reactor, WhenFull};
use oneloop_sim::{Client, Network, Simulation};

use super::probe::*;

/// Changes the limits of a running server.
fn adjust(simulation: &mut Simulation<Probe>, change: impl FnOnce(&mut Limits)) {
    let mut limits = simulation.reactor().limits().clone();
    change(&mut limits);
    let changed = simulation.reactor_mut().set_limits(limits);
    changed.expect("valid limits, and none that is fixed");
}

/// Returns why limits are not taken over, and checks that nothing has changed.
fn refusal(simulation: &mut Simulation<Probe>, change: impl FnOnce(&mut Limits)) -> String {
    let before = simulation.reactor().limits().clone();
    let mut limits = before.clone();
    change(&mut limits);
    let refused = simulation.reactor_mut().set_limits(limits);
    assert_eq!(*simulation.reactor().limits(), before);
    refused.expect_err("a limit that cannot be").to_string()
}

fn connect<const N: usize>(simulation: &mut Simulation<Probe>) -> [Client; N] {
    let clients = [(); N].map(|()| simulation.connect());
    // Refused ones linger for two seconds before they are counted.
    simulation.run_for(3 * SECOND);
    clients
}

fn ended(simulation: &Simulation<Probe>, reason: EndReason) -> u64 {
    simulation.reactor().counters().ended(reason)
}

#[test]
fn lower_maximum_ends_no_connection_and_refuses_new_ones() {
    let mut simulation = simulate(Limits::default(), echo);
    let inside = connect::<3>(&mut simulation);
    adjust(&mut simulation, |limits| limits.connections_max = 2);
    let [_refused] = connect(&mut simulation);
    assert_eq!(ended(&simulation, EndReason::ServerFull), 1);
    inside.iter().for_each(|client| client.send(b"here"));
    simulation.run_for(ms(10));
    assert!(inside.iter().all(|client| client.received() == b"here"));
    inside[..2].iter().for_each(Client::close);
    simulation.run_for(SECOND);
    let [_admitted] = connect(&mut simulation);
    assert_eq!(ended(&simulation, EndReason::ServerFull), 1);
}

#[test]
fn higher_maximum_lets_the_queue_in_at_once() {
    let limits = Limits {
        connections_max: 1,
        when_full: WhenFull::Queue,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    let clients = connect::<3>(&mut simulation);
    assert_eq!(simulation.reactor().counters().accepted(), 1);
    adjust(&mut simulation, |limits| limits.connections_max = 2);
    clients.iter().for_each(|client| client.send(b"here"));
    simulation.run_for(ms(10));
    let served = clients.iter().filter(|client| client.received() == b"here");
    assert_eq!(served.count(), 2);
}

#[test]
fn treatment_when_full_changes_unless_it_is_the_listeners_own() {
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    let listeners = [
        Listen::tcp(([10, 0, 0, 1], 80).into()).name("public"),
        Listen::tcp(([10, 0, 0, 1], 81).into())
            .name("admin")
            .when_full(WhenFull::Refuse),
    ];
    let builder = Reactor::builder(Probe::new(echo)).limits(limits);
    let builder = listeners
        .into_iter()
        .fold(builder, |all, one| all.listen(one));
    let mut simulation = Simulation::from_builder(Network::new(1), builder);
    let [_inside] = connect(&mut simulation);
    adjust(&mut simulation, |limits| limits.when_full = WhenFull::Queue);
    let (public, admin) = (
        simulation.connect_to("public"),
        simulation.connect_to("admin"),
    );
    simulation.run_for(SECOND);
    assert!(!public.at_end() && admin.at_end());
}

#[test]
fn addresses_are_counted_from_the_change_on() {
    let mut simulation = simulate(Limits::default(), echo);
    // All clients have one address.
    let inside = connect::<3>(&mut simulation);
    adjust(&mut simulation, |limits| {
        limits.connections_per_address_max = Some(4)
    });
    assert_eq!(simulation.reactor().usage().addresses, 1);
    let _clients = connect::<2>(&mut simulation);
    assert_eq!(ended(&simulation, EndReason::AddressLimit), 1);
    inside.iter().for_each(Client::close);
    simulation.run_for(SECOND);
    let _clients = connect::<4>(&mut simulation);
    assert_eq!(ended(&simulation, EndReason::AddressLimit), 2);
}

#[test]
fn addresses_are_forgotten_when_they_are_not_limited_any_more() {
    let limits = Limits {
        connections_per_address_max: Some(2),
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    let inside = connect::<2>(&mut simulation);
    adjust(&mut simulation, |limits| {
        limits.connections_per_address_max = None
    });
    assert_eq!(simulation.reactor().usage().addresses, 0);
    inside.iter().for_each(Client::close);
    simulation.run_for(SECOND);
    adjust(&mut simulation, |limits| {
        limits.connections_per_address_max = Some(2)
    });
    let _clients = connect::<3>(&mut simulation);
    assert_eq!(ended(&simulation, EndReason::AddressLimit), 1);
    assert_eq!(simulation.drain().aborted, 0);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn timeouts_hold_for_waits_that_begin_later() {
    let mut simulation = simulate(Limits::default(), |step| match step.event {
        Event::Timeout => Next::Close(oneloop::CloseReason::Timeout),
        _ => step.read_for(HOUR),
    });
    let [_before] = connect(&mut simulation);
    adjust(&mut simulation, |limits| limits.wait_max = MINUTE);
    let [_after] = connect(&mut simulation);
    simulation.run_for(2 * MINUTE);
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(0), None);
    assert_eq!(probe.end(1), Some(EndReason::Timeout));
}

#[test]
fn drain_has_the_time_that_was_set_last() {
    let mut simulation = simulate(Limits::default(), |step| step.read_for(HOUR));
    let [_stays] = connect(&mut simulation);
    adjust(&mut simulation, |limits| limits.drain_timeout = SECOND);
    let begun = simulation.network().time();
    assert_eq!(simulation.drain().aborted, 1);
    let taken = simulation.network().time() - begun;
    assert!((SECOND..SECOND + ms(5)).contains(&taken), "{taken:?}");
}

#[test]
fn waits_become_shorter_if_a_lower_maximum_makes_the_server_full() {
    let mut simulation = simulate(Limits::default(), echo);
    let _clients = connect::<9>(&mut simulation);
    adjust(&mut simulation, |limits| limits.connections_max = 10);
    simulation.run_for(20 * SECOND);
    // A quarter of a minute.
    assert_eq!(ended(&simulation, EndReason::Timeout), 9);
}

#[test]
fn invalid_and_fixed_limits_change_nothing() {
    let mut simulation = simulate(Limits::default(), |step| match step.event {
        Event::Timeout => Next::Close(oneloop::CloseReason::Timeout),
        _ => step.read_for(HOUR),
    });
    let error = refusal(&mut simulation, |limits| {
        limits.connections_max = 0;
        limits.wait_max = MINUTE;
    });
    assert!(error.contains("connections_max must be from 1"), "{error}");
    let error = refusal(&mut simulation, |limits| {
        limits.backlog = 7;
        limits.wait_max = MINUTE;
    });
    assert!(error.contains("backlog must stay 4096"), "{error}");
    let [_waits] = connect(&mut simulation);
    simulation.run_for(2 * MINUTE);
    assert_eq!(simulation.reactor().service().end(0), None);
}

#[test]
fn maximum_below_the_reserved_places_is_refused() {
    let listen = Listen::tcp(([10, 0, 0, 1], 80).into()).reserve(5);
    let builder = Reactor::builder(Probe::new(echo)).listen(listen);
    let mut simulation = Simulation::from_builder(Network::new(1), builder);
    let error = refusal(&mut simulation, |limits| limits.connections_max = 4);
    assert!(
        error.contains("connections_max must be at least the 5"),
        "{error}"
    );
    adjust(&mut simulation, |limits| limits.connections_max = 5);
}
