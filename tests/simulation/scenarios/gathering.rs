//! Events gather between polls, if the limits allow it and many come.

use std::time::Duration;

use oneloop::{Event, Limits, Next};
use oneloop_sim::{Client, LinkProfile, Network, Simulation};

use super::probe::*;

const GATHER_TIME: Duration = Duration::from_millis(10);

fn limits(gather_time: Duration) -> Limits {
    Limits {
        gather_time,
        gather_events: 16,
        ..Limits::default()
    }
}

/// Answers each byte with one, and waits ten seconds for more.
fn answer(mut step: Step<'_, '_>) -> Next {
    let bytes = step.take().len();
    step.cx.write(&[b'x'; 8][..bytes.min(8)]);
    step.read_for(10 * SECOND)
}

/// Starts a server for clients whose bytes arrive after these times.
fn serve(
    gather_time: Duration,
    latencies: impl IntoIterator<Item = Duration>,
) -> (Simulation<Probe>, Vec<Client>) {
    let mut simulation = simulate(limits(gather_time), answer);
    let clients = latencies.into_iter().map(|latency| {
        simulation.connect_over(LinkProfile {
            latency: latency..=latency,
            ..LinkProfile::ideal()
        })
    });
    let clients = clients.collect();
    simulation.run_for(SECOND);
    (simulation, clients)
}

/// Returns the turns in which the bytes of 1,000 clients come, five every millisecond.
fn turns_of_a_busy_time(gather_time: Duration) -> u64 {
    let latencies = (0..1_000).map(|number| ms(1 + number / 5));
    let at_first = [ms(1); 16];
    let (mut simulation, clients) = serve(gather_time, latencies.chain(at_first));
    let before = simulation.reactor().counters().turns();
    clients.iter().for_each(|client| client.send(b"."));
    simulation.run_for(SECOND);
    assert!(clients.iter().all(|client| client.received() == b"x"));
    simulation.reactor().counters().turns() - before
}

#[test]
fn events_of_many_connections_share_turns_only_if_they_may_gather() {
    let turns = turns_of_a_busy_time(Duration::ZERO);
    assert!(turns >= 200, "{turns} turns");
    let turns = turns_of_a_busy_time(GATHER_TIME);
    assert!(turns <= 25, "{turns} turns");
}

#[test]
fn events_gather_in_proportion_to_those_before() {
    for (others, gathered) in [(7, 1), (8, 5), (12, 7), (16, 10), (100, 10)] {
        let at_once = vec![ms(1); others];
        let (mut simulation, clients) = serve(GATHER_TIME, at_once.into_iter().chain([ms(2)]));
        let sent = simulation.network().time();
        clients.iter().for_each(|client| client.send(b"."));
        simulation.run_for(ms(50));
        let (stepped, _) = simulation.reactor().service().calls.last().expect("a step");
        // The last byte comes 1 ms behind the others.
        let behind = *stepped - (sent + ms(1));
        assert!(
            (ms(gathered)..ms(gathered + 1)).contains(&behind),
            "{behind:?} for {others}"
        );
    }
}

#[test]
fn deadline_is_kept_while_events_gather() {
    let mut simulation = simulate(limits(GATHER_TIME), |step| match step.number {
        0 => step.read_for(ms(20)),
        _ => answer(step),
    });
    let _waits = simulation.connect();
    let clients: Vec<_> = (0..50).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(12));
    clients.iter().for_each(|client| client.send(b"."));
    simulation.run_for(ms(20));
    let probe = simulation.reactor().service();
    let opened = probe
        .time_of(Call::Step(0, Event::Open))
        .expect("a session");
    let ended = probe
        .time_of(Call::Step(0, Event::Timeout))
        .expect("a deadline");
    assert!(ended - opened < ms(22), "{:?}", ended - opened);
}

#[test]
fn unfinished_work_goes_on_at_once() {
    let limits = Limits {
        // A read uses up the budget: the rest waits for the next turn.
        turn_bytes_max: 1,
        input_bytes_max: 4,
        ..limits(GATHER_TIME)
    };
    let mut simulation = simulate(limits, answer);
    let clients: Vec<_> = (0..20).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(20));
    clients.iter().for_each(|client| client.send(&[b'.'; 100]));
    simulation.run_for(ms(5));
    let turns = simulation.reactor().counters().turns();
    assert!(turns > 20, "{turns} turns");
}

#[test]
fn turn_that_must_not_wait_does_not_let_events_gather() {
    let (mut simulation, clients) = serve(GATHER_TIME, vec![ms(1); 50]);
    clients.iter().for_each(|client| client.send(b"."));
    simulation.run_for(Duration::from_micros(500));
    simulation.network().advance(ms(1));
    let before = simulation.network().time();
    for _ in 0..10 {
        let turn = simulation.reactor_mut().turn_within(Duration::ZERO);
        turn.expect("a turn");
    }
    let steps = simulation.reactor().counters().steps();
    assert_eq!(steps, 2 * 50, "the bytes have come");
    let took = simulation.network().time() - before;
    assert!(took < ms(1), "{took:?}");
}

#[test]
fn turns_that_take_long_are_not_made_longer() {
    let network: Network = Network::new(1);
    let clock = network.clone();
    let slow = Probe::new(move |step| {
        if step.event == Event::Data {
            clock.advance(ms(1));
        }
        answer(step)
    });
    let mut simulation = Simulation::with_network(network, slow, limits(GATHER_TIME));
    let clients: Vec<_> = (0..20).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(20));
    for _ in 0..3 {
        clients.iter().for_each(|client| client.send(b"."));
        simulation.turn();
    }
    let begun = simulation.network().time();
    clients.iter().for_each(|client| client.send(b"."));
    simulation.turn();
    // The turn with 20 steps of 1 ms, and nothing before it.
    let took = simulation.network().time() - begun;
    assert!(took < ms(21), "{took:?}");
}
