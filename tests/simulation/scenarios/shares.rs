//! Fairness: no connection holds up the others.

use std::cell::Cell;
use std::rc::Rc;

use oneloop::{Event, Limits, Next};

use super::probe::*;

fn share(turn_bytes_max: usize) -> Limits {
    Limits {
        turn_bytes_max,
        ..Limits::default()
    }
}

/// Counts the steps that one turn takes.
fn steps_of_a_turn(simulation: &mut oneloop_sim::Simulation<Probe>) -> u64 {
    let before = simulation.reactor().counters().steps();
    simulation.turn();
    simulation.reactor().counters().steps() - before
}

#[test]
fn share_of_a_turn_bounds_steps_that_move_no_bytes() {
    let rounds = Rc::new(Cell::new(0));
    let count = Rc::clone(&rounds);
    let mut simulation = simulate(share(6400), move |step| {
        count.set(count.get() + 1);
        match step.event {
            _ if count.get() >= 10_000 => step.read_for(HOUR),
            _ => Next::Flush,
        }
    });
    let _client = simulation.connect();
    simulation.turn();
    for _ in 0..10 {
        let steps = steps_of_a_turn(&mut simulation);
        assert!((100..=102).contains(&steps), "{steps} steps");
    }
}

#[test]
fn share_of_a_turn_bounds_the_bytes_that_are_moved() {
    let limits = Limits {
        input_bytes_max: 100,
        receive_buffer_bytes: 65_536,
        ..share(1000)
    };
    let mut simulation = simulate(limits, |mut step| {
        step.take();
        step.read_for(HOUR)
    });
    let client = simulation.connect();
    simulation.turn();
    client.send(&[1; 60_000]);
    simulation.turn();
    let mut moved = Vec::new();
    for _ in 0..20 {
        let before = simulation.reactor().counters().bytes_in();
        simulation.turn();
        moved.push(simulation.reactor().counters().bytes_in() - before);
    }
    assert!(
        moved.iter().all(|bytes| (500..=1200).contains(bytes)),
        "{moved:?}"
    );
    // The remaining input needs no further event.
    simulation.run_for(SECOND);
    assert_eq!(simulation.reactor().counters().bytes_in(), 60_000);
}

#[test]
fn session_that_wakes_itself_does_not_hold_up_another() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        if step.number == 0 {
            step.cx.wake(step.ids[0]);
            return step.pause_for(HOUR);
        }
        let input = step.take();
        step.cx.write(&input);
        step.read_for(HOUR)
    });
    let _restless = simulation.connect();
    let other = simulation.connect();
    for _ in 0..5 {
        simulation.turn();
    }
    assert_eq!(steps_of_a_turn(&mut simulation), 8);
    other.send(b"hello");
    for _ in 0..3 {
        simulation.turn();
    }
    assert_eq!(other.received(), b"hello");
    let woken = simulation
        .reactor()
        .service()
        .count(Call::Step(0, Event::Wake));
    assert!(woken > 5);
}

#[test]
fn those_who_have_used_up_their_share_have_their_turns_in_order() {
    let limits = Limits {
        input_bytes_max: 10,
        ..share(1)
    };
    let mut simulation = simulate(limits, |mut step| {
        step.take();
        step.read_for(HOUR)
    });
    let clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    clients.iter().for_each(|client| client.send(&[1; 1000]));
    simulation.turn();
    for _ in 0..10 {
        let before = simulation.reactor().service().calls.len();
        simulation.turn();
        let calls = &simulation.reactor().service().calls[before..];
        let steps: Vec<_> = calls.iter().map(|&(_, call)| call).collect();
        let steps_of = |number| Call::Step(number, Event::Data);
        assert_eq!(steps, [0, 1, 2].map(steps_of));
    }
}
