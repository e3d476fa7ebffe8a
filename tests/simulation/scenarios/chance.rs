//! The random numbers of a service.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use oneloop::{CloseReason, Limits, Next};
use oneloop_sim::Simulation;

use super::probe::*;

/// Returns the numbers that a service draws on a network with this seed, and the network's digest.
fn drawn(seed: u64, count: usize) -> (Vec<u64>, u64) {
    let numbers = Rc::new(RefCell::new(Vec::new()));
    let drawn = Rc::clone(&numbers);
    let probe = Probe::new(move |step| {
        let numbers = (0..count).map(|_| step.cx.random());
        drawn.borrow_mut().extend(numbers);
        Next::Close(CloseReason::Completed)
    });
    let mut simulation = Simulation::new(probe, Limits::default(), seed);
    let _client = simulation.connect();
    simulation.run_for(SECOND);
    let numbers = numbers.borrow().clone();
    (numbers, simulation.network().digest())
}

#[test]
fn random_numbers_are_determined_by_the_seed_alone() {
    assert_eq!(drawn(7, 100), drawn(7, 100));
    let first: HashSet<_> = (0..100).flat_map(|seed| drawn(seed, 3).0).collect();
    assert_eq!(first.len(), 300);
}

#[test]
fn drawing_random_numbers_does_not_change_the_network() {
    assert_eq!(drawn(7, 0).1, drawn(7, 100).1);
}
