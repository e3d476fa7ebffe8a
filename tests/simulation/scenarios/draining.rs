//! Draining and stopping.

use std::panic::resume_unwind;

use oneloop::{CloseReason, EndReason, Event, Limits, Listen, Next, Reactor, Turn};
use oneloop_sim::{Client, Faults, LinkProfile, Network, Simulation, Status};

use super::probe::*;

/// Echoes, and ignores the drain.
fn stubborn(mut step: Step<'_, '_>) -> Next {
    let input = step.take();
    step.cx.write(&input);
    step.read_for(HOUR)
}

fn grace(drain_timeout: std::time::Duration) -> Limits {
    Limits {
        drain_timeout,
        ..Limits::default()
    }
}

#[test]
fn drain_gives_its_time_and_then_cuts() {
    let mut simulation = simulate(grace(5 * SECOND), stubborn);
    let client = simulation.connect();
    simulation.run_for(SECOND);
    let begun = simulation.network().time();
    assert_eq!(simulation.drain().aborted, 1);
    let taken = simulation.network().time() - begun;
    assert!(
        (5 * SECOND..5 * SECOND + ms(5)).contains(&taken),
        "{taken:?}"
    );
    let probe = simulation.reactor().service();
    assert_eq!(probe.events(0), [Event::Open, Event::Drain]);
    assert_eq!(probe.end(0), Some(EndReason::DrainTimeout));
    assert_eq!(client.status(), Status::Open, "the reset is on its way");
}

#[test]
fn drain_is_over_when_the_last_one_has_left() {
    let mut simulation = simulate(grace(HOUR), echo);
    let clients: Vec<_> = (0..5).map(|_| simulation.connect()).collect();
    simulation.run_for(SECOND);
    let begun = simulation.network().time();
    assert_eq!(simulation.drain().aborted, 0);
    // The connections linger until the peers close or `linger_timeout` ends.
    assert!(simulation.network().time() - begun <= 3 * SECOND);
    assert!(clients.iter().all(|client| client.at_end()));
    let ended = simulation.reactor().counters().ended(EndReason::Shutdown);
    assert_eq!(ended, 5);
}

#[test]
fn drain_counts_as_cut_what_is_unfinished_and_not_what_lingers() {
    let limits = Limits {
        linger_timeout: HOUR,
        ..grace(SECOND)
    };
    let mut simulation = simulate(limits, |step| match step.number {
        0 => stubborn(step),
        _ => echo(step),
    });
    let _clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.run_for(SECOND);
    assert_eq!(simulation.drain().aborted, 1);
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::DrainTimeout), 1);
    assert_eq!(counters.ended(EndReason::Shutdown), 2);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn drain_answers_what_had_arrived_before_it_is_told() {
    let mut simulation = simulate(grace(SECOND), echo);
    let clients: Vec<_> = (0..100).map(|_| simulation.connect()).collect();
    simulation.run_for(SECOND);
    // Input has arrived, but its event is late.
    simulation.network().set_faults(Faults {
        late_events: 1.0,
        ..Faults::NONE
    });
    clients.iter().for_each(|client| client.send(b"waiting"));
    simulation.run_for(ms(1));
    simulation.reactor_mut().drain();
    simulation.run_for(ms(100));
    let answered = clients
        .iter()
        .filter(|client| client.received() == b"waiting");
    assert_eq!(answered.count(), 100);
}

#[test]
fn drain_accepts_who_was_in_the_queue_and_tells_them_too() {
    let limits = Limits {
        turn_accepts_max: 2,
        ..grace(SECOND)
    };
    let mut simulation = simulate(limits, |mut step| {
        let input = step.take();
        step.cx.write(&input);
        if step.event == Event::Drain {
            step.cx.write(b"bye");
            return Next::Close(CloseReason::Shutdown);
        }
        step.read_for(HOUR)
    });
    simulation.run_for(ms(1));
    let clients: Vec<_> = (0..10).map(|_| simulation.connect()).collect();
    clients.iter().for_each(|client| client.send(b"hi "));
    simulation.network().stop();
    simulation.run_for(ms(500));
    for client in &clients {
        assert_eq!(client.received(), b"hi bye");
    }
    assert_eq!(simulation.network().call_counts().abandoned, 0);
    let late = simulation.connect();
    simulation.run_for(ms(10));
    assert!(
        matches!(late.status(), Status::Failed(_)),
        "refused at once"
    );
}

#[test]
fn session_that_reads_on_in_a_drain_gets_its_input() {
    let mut simulation = simulate(grace(HOUR), |mut step| {
        let input = step.take();
        step.cx.write(&input);
        match input.ends_with(b".") {
            true => Next::Close(CloseReason::Shutdown),
            false => step.read_for(HOUR),
        }
    });
    let client = simulation.connect();
    simulation.run_for(SECOND);
    simulation.reactor_mut().drain();
    simulation.run_for(SECOND);
    client.send(b"half a request");
    simulation.run_for(SECOND);
    client.send(b", and its rest.");
    simulation.run_for(SECOND);
    assert_eq!(client.received(), b"half a request, and its rest.");
    client.close();
    simulation.run_for(SECOND);
    let probe = simulation.reactor().service();
    let events = [Event::Open, Event::Drain, Event::Data, Event::Data];
    assert_eq!(probe.events(0), events);
    assert_eq!(probe.end(0), Some(EndReason::Shutdown));
}

#[test]
fn drain_is_told_once_to_the_service_and_to_each_session() {
    let mut simulation = simulate(grace(SECOND), stubborn);
    let _clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.run_for(SECOND);
    simulation.reactor_mut().drain();
    simulation.reactor_mut().drain();
    simulation.network().stop();
    simulation.run_for(ms(900));
    let probe = simulation.reactor().service();
    assert_eq!(probe.count(Call::Draining(3)), 1);
    for number in 0..3 {
        assert_eq!(probe.count(Call::Step(number, Event::Drain)), 1);
    }
}

#[test]
fn drain_that_a_session_asks_for_is_the_same() {
    let mut simulation = simulate(grace(SECOND), |step| match step.event {
        Event::Data => {
            step.cx.drain();
            stubborn(step)
        }
        Event::Drain => Next::Close(CloseReason::Shutdown),
        _ => stubborn(step),
    });
    let client = simulation.connect();
    client.send(b"stop");
    let turn = simulation.run_for(10 * SECOND);
    assert!(matches!(turn, Turn::Stopped(stopped) if stopped.aborted == 0));
    assert_eq!(client.received(), b"stop");
}

#[test]
fn drain_after_other_work_gives_its_whole_time() {
    let mut simulation = simulate(grace(SECOND), stubborn);
    let _client = simulation.connect();
    simulation.run_for(ms(10));
    simulation.network().advance(ms(1500));
    simulation.reactor_mut().drain();
    let begun = simulation.network().time();
    while simulation.turn() == Turn::Running {}
    let taken = simulation.network().time() - begun;
    assert!(taken >= SECOND, "{taken:?}");
}

#[test]
fn drain_with_a_paused_session_ends_in_its_time_though_nothing_else_is_due() {
    let mut simulation = simulate(grace(SECOND), |step| step.pause_for(HOUR));
    let _client = simulation.connect();
    simulation.run_for(SECOND);
    let begun = simulation.network().time();
    assert_eq!(simulation.drain().aborted, 1);
    let taken = simulation.network().time() - begun;
    assert!(taken < SECOND + ms(5), "{taken:?}");
}

#[test]
fn drain_cuts_with_a_reset_so_that_nothing_looks_whole() {
    let mut simulation = simulate(grace(ms(100)), |mut step| {
        step.take();
        step.cx.write(&[b'x'; 500_000]);
        step.read_for(HOUR)
    });
    let client = simulation.connect_over(LinkProfile {
        bytes_per_second: 10_000,
        ..LinkProfile::ideal()
    });
    simulation.run_for(ms(100));
    assert_eq!(simulation.drain().aborted, 1);
    simulation.network().stop_poll_at(None);
    let mut network = simulation.network().clone();
    let soon = Some(MINUTE);
    let _ = oneloop::net::Net::poll(&mut network, &mut Vec::new(), soon);
    assert_eq!(
        client.status(),
        Status::Failed(std::io::ErrorKind::ConnectionReset)
    );
}

#[test]
fn drain_accepts_no_more_late_comers_than_the_queue_can_hold() {
    let limits = Limits {
        backlog: 4,
        turn_accepts_max: 1,
        ..grace(HOUR)
    };
    let mut simulation = simulate(limits, stubborn);
    simulation.run_for(ms(1));
    simulation.reactor_mut().drain();
    let _clients: Vec<_> = (0..20)
        .map(|_| {
            let client = simulation.connect();
            simulation.turn();
            client
        })
        .collect();
    assert_eq!(simulation.reactor().counters().accepted(), 4);
}

#[test]
fn drain_is_not_over_while_connections_wait_in_the_queue() {
    let limits = Limits {
        turn_accepts_max: 1,
        ..grace(HOUR)
    };
    // Each session ends in the turn in which it was accepted.
    let mut probe = Probe::new(stubborn);
    probe.besides = Box::new(|call, _| {
        if matches!(call, Call::Open(_)) {
            resume_unwind(Box::new("as planned"));
        }
    });
    let mut simulation = Simulation::new(probe, limits, 1);
    simulation.run_for(ms(1));
    let _clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.drain();
    assert_eq!(simulation.reactor().counters().accepted(), 3);
    assert_eq!(simulation.network().call_counts().abandoned, 0);
}

/// Returns a server with a listener that another process has open, and two clients in its queue.
fn with_a_queue(listen: Listen) -> (Simulation<Probe>, [Client; 2]) {
    let limits = grace(SECOND);
    let builder = Reactor::builder(Probe::new(echo)).limits(limits);
    let mut simulation = Simulation::from_builder(Network::new(1), builder.listen(listen));
    simulation.run_for(ms(1));
    let network = simulation.network().clone();
    network.set_faults(Faults {
        late_events: 1.0,
        ..Faults::NONE
    });
    let clients = [(); 2].map(|()| simulation.connect());
    let turn = simulation.reactor_mut().turn_within(ms(0));
    assert_eq!(turn.expect("the poller works"), Turn::Running);
    assert_eq!(network.call_counts().accepts, 0, "the event is late");
    (simulation, clients)
}

fn public() -> Listen {
    Listen::tcp(([10, 0, 0, 1], 80).into())
}

#[test]
fn drain_leaves_the_queue_of_a_shared_listener() {
    let (mut simulation, clients) = with_a_queue(public().shared());
    assert_eq!(simulation.drain().aborted, 0);
    let counts = simulation.network().call_counts();
    assert_eq!((counts.released, counts.abandoned), (2, 0));
    assert_eq!(simulation.reactor().counters().accepted(), 0);
    assert!(clients.iter().all(|client| client.status() == Status::Open));
}

#[test]
fn drain_of_nothing_is_over_at_once() {
    let builder = Reactor::builder(Probe::new(echo)).listen(public().shared());
    let mut simulation: Simulation<Probe> = Simulation::from_builder(Network::new(1), builder);
    simulation.run_for(ms(1));
    simulation.network().stop_poll_at(None);
    let begun = simulation.network().time();
    simulation.reactor_mut().drain();
    while simulation.turn() == Turn::Running {}
    let taken = simulation.network().time() - begun;
    assert!(taken < ms(100), "{taken:?}");
}

#[test]
fn handed_over_listener_accepts_no_more() {
    let (mut simulation, clients) = with_a_queue(public());
    simulation.reactor_mut().hand_over();
    assert_eq!(simulation.run_for(SECOND), Turn::Running);
    let counts = simulation.network().call_counts();
    assert_eq!((counts.released, counts.abandoned), (2, 0));
    assert_eq!(simulation.reactor().counters().accepted(), 0);
    assert!(clients.iter().all(|client| client.status() == Status::Open));
}

#[test]
fn handed_over_listener_leaves_connections_open_until_the_drain() {
    let mut simulation = simulate(grace(SECOND), echo);
    let client = simulation.connect();
    simulation.run_for(ms(10));
    simulation.reactor_mut().hand_over();
    client.send(b"still here");
    simulation.run_for(SECOND);
    assert_eq!(client.received(), b"still here");
    assert_eq!(simulation.drain().aborted, 0);
    assert!(client.at_end());
    let late = simulation.connect();
    simulation.run_for(ms(10));
    assert_eq!(late.status(), Status::Open, "another process has it open");
}
