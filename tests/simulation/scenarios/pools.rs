//! Blocking work beside the loop, in virtual time.

use oneloop::{CallError, Event, JobPanicked, Limits, Next, Pool, ServiceContext, Time};
use oneloop_sim::Simulation;

use super::probe::*;

/// Builds a server and a pool in which each job takes a second.
fn pool(workers: usize, jobs_max: usize) -> (Simulation<Probe>, Pool<Probe>) {
    let mut simulation = simulate(Limits::default(), echo);
    simulation.network().set_job_time(SECOND..=SECOND);
    let pool = simulation.reactor_mut().pool("work", workers, jobs_max);
    (simulation, pool.expect("a virtual pool"))
}

/// Notes the result of a job, as a timer of the service.
fn note(probe: &mut Probe, result: Result<u64, JobPanicked>, cx: &mut ServiceContext) {
    let key = result.unwrap_or(PANICKED);
    probe.calls.push((cx.now(), Call::Timer(key)));
}

/// Returns the results that have come, and their times in seconds.
fn results(simulation: &Simulation<Probe>) -> Vec<(u64, u64)> {
    let result = |&(when, call): &(Time, Call)| match call {
        Call::Timer(key) => Some((key, (when - Time::START).as_secs())),
        _ => None,
    };
    let calls = &simulation.reactor().service().calls;
    calls.iter().filter_map(result).collect()
}

#[test]
fn results_come_as_calls_in_the_order_of_completion() {
    for (workers, expected) in [
        (1, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]),
        (2, [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3)]),
        (9, [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]),
    ] {
        let (mut simulation, pool) = pool(workers, 5);
        for number in 0..5 {
            assert_eq!(pool.run(move || number, note), Ok(()));
        }
        simulation.run_for(MINUTE);
        assert_eq!(results(&simulation), expected);
        assert_eq!(pool.under_way(), 0);
    }
}

#[test]
fn job_beyond_the_maximum_is_refused_until_a_result_was_delivered() {
    let (mut simulation, pool) = pool(1, 3);
    for number in 0..3 {
        assert_eq!(pool.run(move || number, note), Ok(()));
    }
    assert_eq!(pool.under_way(), 3);
    assert_eq!(pool.run(|| 99, note), Err(CallError::Busy));
    assert_eq!(pool.under_way(), 3);
    simulation.run_for(ms(1500));
    assert_eq!(pool.run(|| 3, note), Ok(()));
    assert_eq!(pool.run(|| 99, note), Err(CallError::Busy));
    simulation.run_for(MINUTE);
    assert_eq!(results(&simulation), [(0, 1), (1, 2), (2, 3), (3, 4)]);
}

#[test]
fn job_that_panics_reports_it_and_its_worker_goes_on() {
    let (mut simulation, pool) = pool(1, 3);
    let panics = || -> u64 { std::panic::resume_unwind(Box::new("as planned")) };
    assert_eq!(pool.run(panics, note), Ok(()));
    assert_eq!(pool.run(|| 1, note), Ok(()));
    simulation.run_for(MINUTE);
    assert_eq!(results(&simulation), [(PANICKED, 1), (1, 2)]);
    assert_eq!(simulation.reactor().counters().service_panics(), 0);
    assert_eq!(pool.under_way(), 0);
}

#[test]
fn result_whose_call_panics_is_counted_and_frees_its_place() {
    let (mut simulation, pool) = pool(1, 1);
    let panics = |_: &mut Probe, _: Result<(), JobPanicked>, _: &mut ServiceContext| {
        std::panic::resume_unwind(Box::new("as planned"))
    };
    assert_eq!(pool.run(|| (), panics), Ok(()));
    simulation.run_for(2 * SECOND);
    assert_eq!(simulation.reactor().counters().service_panics(), 1);
    assert_eq!(pool.run(|| 1, note), Ok(()));
    simulation.run_for(2 * SECOND);
    assert_eq!(results(&simulation), [(1, 3)]);
}

#[test]
fn pool_that_is_dropped_drops_what_waits_and_delivers_what_runs() {
    let (mut simulation, pool) = pool(1, 3);
    for number in 0..3 {
        assert_eq!(pool.run(move || number, note), Ok(()));
    }
    simulation.run_for(ms(500));
    drop(pool);
    simulation.run_for(MINUTE);
    assert_eq!(results(&simulation), [(0, 1)]);
}

#[test]
fn results_are_not_bounded_by_the_queue_of_handles() {
    let limits = Limits {
        calls_max: 1,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    simulation.network().set_job_time(SECOND..=SECOND);
    let pool = simulation.reactor_mut().pool("work", 9, 9).expect("a pool");
    for number in 0..9 {
        assert_eq!(pool.run(move || number, note), Ok(()));
    }
    simulation.run_for(MINUTE);
    assert_eq!(results(&simulation).len(), 9);
}

#[test]
fn session_waits_for_a_result_and_one_that_has_ended_is_skipped() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        match step.event {
            Event::Wake => step.cx.write(b"done"),
            Event::Eof => return Next::Close(oneloop::CloseReason::Eof),
            _ => {}
        }
        step.pause_for(HOUR)
    });
    simulation.network().set_job_time(SECOND..=SECOND);
    let pool = simulation.reactor_mut().pool("work", 2, 2).expect("a pool");
    let (stays, leaves) = (simulation.connect(), simulation.connect());
    simulation.run_for(ms(10));
    let ids = [0, 1].map(|number: usize| simulation.reactor().service().peers[number].id);
    for id in ids {
        let wake = move |_: &mut Probe, _: Result<(), JobPanicked>, cx: &mut ServiceContext| {
            cx.wake(id);
        };
        assert_eq!(pool.run(|| (), wake), Ok(()));
    }
    leaves.close();
    simulation.run_for(ms(500));
    assert_eq!(stays.received(), b"");
    simulation.run_for(SECOND);
    assert_eq!(stays.received(), b"done");
    assert_eq!(simulation.reactor().open_connections(), 1);
}

#[test]
fn jobs_under_way_when_the_reactor_is_dropped_are_dropped() {
    let (simulation, pool) = pool(1, 3);
    for number in 0..3 {
        assert_eq!(pool.run(move || number, note), Ok(()));
    }
    let network = simulation.network().clone();
    drop(simulation);
    assert_eq!(pool.under_way(), 3);
    assert_eq!(pool.run(|| 3, note), Err(CallError::Stopped));
    assert_eq!(pool.under_way(), 3);
    drop(pool);
    drop(network);
}

#[test]
fn pool_without_threads_or_places_is_refused() {
    let mut simulation = simulate(Limits::default(), echo);
    for (threads, jobs_max) in [(0, 1), (1, 0)] {
        let error = simulation.reactor_mut().pool("work", threads, jobs_max);
        let error = error.expect_err("no pool").kind();
        assert_eq!(error, std::io::ErrorKind::InvalidInput);
    }
}

const PANICKED: u64 = u64::MAX;
