//! Waits shorten as the server fills, and lengthen again.

use std::time::Duration;

use oneloop::{CloseReason, EndReason, Event, Limits, Next};
use oneloop_sim::{Client, Simulation};

use super::probe::*;

fn room_for(connections_max: usize) -> Limits {
    Limits {
        connections_max,
        ..Limits::default()
    }
}

/// Waits a minute for input, then closes.
fn patient(mut step: Step<'_, '_>) -> Next {
    step.take();
    match step.event {
        Event::Timeout => Next::Close(CloseReason::Timeout),
        Event::Eof => Next::Close(CloseReason::Eof),
        _ => step.read_for(MINUTE),
    }
}

fn crowd(simulation: &mut Simulation<Probe>, clients: usize) -> Vec<Client> {
    let crowd = (0..clients).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    crowd
}

/// Returns the length of the wait of a session that is opened now.
fn wait_of_next(simulation: &mut Simulation<Probe>) -> Duration {
    let number = simulation.reactor().service().peers.len() as u32;
    let begun = simulation.network().time();
    let _client = simulation.connect();
    simulation.run_for(2 * MINUTE);
    let probe = simulation.reactor().service();
    let ended = probe.time_of(Call::Step(number, Event::Timeout));
    ended.expect("it was told") - begun
}

fn about(wait: Duration) -> std::ops::Range<Duration> {
    wait - ms(10)..wait + ms(20)
}

#[test]
fn wait_is_whole_below_eighty_percent_then_half_then_a_quarter() {
    for (inside, part) in [(0, 1), (78, 1), (79, 2), (88, 2), (89, 4), (99, 4)] {
        let mut simulation = simulate(room_for(100), |step| match step.number {
            100.. => patient(step),
            _ => Next::Read {
                until: oneloop::Time::UNBOUNDED,
            },
        });
        let mut probe_numbers = 100 - inside;
        // Sessions are numbered in the order of opening; this uses up the numbers below 100.
        while probe_numbers > 0 {
            let gone = simulation.connect();
            simulation.run_for(ms(1));
            gone.reset();
            simulation.run_for(ms(1));
            probe_numbers -= 1;
        }
        let _crowd = crowd(&mut simulation, inside);
        let wait = wait_of_next(&mut simulation);
        assert!(
            about(MINUTE / part).contains(&wait),
            "{wait:?} behind {inside}"
        );
    }
}

#[test]
fn wait_under_way_is_shortened_when_the_server_fills() {
    let mut simulation = simulate(room_for(10), patient);
    let _first = crowd(&mut simulation, 1);
    simulation.run_for(10 * SECOND);
    let filled = simulation.network().time();
    let _others = crowd(&mut simulation, 9);
    simulation.run_for(MINUTE);
    let ended = simulation
        .reactor()
        .service()
        .time_of(Call::Step(0, Event::Timeout));
    // A quarter of the fifty seconds that remained.
    let waited = ended.unwrap() - filled;
    assert!(about(ms(12_500)).contains(&waited), "{waited:?}");
}

#[test]
fn wait_that_is_nearly_over_is_not_lengthened_by_being_shortened_again() {
    let mut simulation = simulate(room_for(10), patient);
    let _eight = crowd(&mut simulation, 8);
    simulation.run_for(28 * SECOND);
    let filled = simulation.network().time();
    // The eight have two of their thirty seconds to go; a quarter of their requested wait would be
    // eight.
    let _two = crowd(&mut simulation, 2);
    simulation.run_for(MINUTE);
    for number in 0..7 {
        let ended = simulation
            .reactor()
            .service()
            .time_of(Call::Step(number, Event::Timeout));
        let waited = ended.unwrap() - filled;
        assert!(waited < ms(2100), "{waited:?}");
    }
}

#[test]
fn wait_is_whole_again_when_others_have_left() {
    let mut simulation = simulate(room_for(20), patient);
    let crowd = crowd(&mut simulation, 20);
    crowd[..10].iter().for_each(Client::close);
    simulation.run_for(ms(100));
    let wait = wait_of_next(&mut simulation);
    assert!(about(MINUTE).contains(&wait), "{wait:?}");
}

#[test]
fn wait_stays_short_while_there_is_hardly_more_room() {
    let mut simulation = simulate(room_for(100), |step| match step.number {
        0..80 => Next::Read {
            until: oneloop::Time::UNBOUNDED,
        },
        _ => patient(step),
    });
    let crowd = crowd(&mut simulation, 80);
    crowd[..4].iter().for_each(Client::reset);
    simulation.run_for(ms(100));
    // 76 and the next one: five more would be 82.
    let wait = wait_of_next(&mut simulation);
    assert!(about(MINUTE / 2).contains(&wait), "{wait:?}");
    crowd[4..6].iter().for_each(Client::reset);
    simulation.run_for(ms(100));
    let wait = wait_of_next(&mut simulation);
    assert!(about(MINUTE).contains(&wait), "{wait:?}");
}

#[test]
fn waits_of_more_slots_than_one_turn_looks_at_are_all_shortened() {
    let mut simulation = simulate(room_for(3000), patient);
    let _crowd = crowd(&mut simulation, 3000);
    // A quarter of a minute, and two seconds for the peers to close.
    simulation.run_for(18 * SECOND);
    assert_eq!(
        simulation.reactor().counters().ended(EndReason::Timeout),
        3000
    );
}

#[test]
fn no_wait_is_shortened_below_the_shortest() {
    let limits = Limits {
        timeout_min_under_load: 20 * SECOND,
        ..room_for(1)
    };
    let mut simulation = simulate(limits, patient);
    let wait = wait_of_next(&mut simulation);
    assert!(about(20 * SECOND).contains(&wait), "{wait:?}");
    let mut simulation = simulate(room_for(1), |step| match step.event {
        Event::Timeout => Next::Close(CloseReason::Timeout),
        _ => step.read_for(SECOND),
    });
    let wait = wait_of_next(&mut simulation);
    assert!(about(SECOND).contains(&wait), "{wait:?}");
}

#[test]
fn input_that_drips_in_does_not_lengthen_a_wait_that_was_shortened() {
    let mut simulation = simulate(room_for(1), |mut step| {
        step.take();
        match step.event {
            Event::Timeout => Next::Close(CloseReason::Timeout),
            // The same deadline each time.
            _ => Next::Read {
                until: oneloop::Time::START + MINUTE,
            },
        }
    });
    let client = simulation.connect();
    for _ in 0..20 {
        simulation.run_for(SECOND);
        client.send(b"x");
    }
    let ended = simulation
        .reactor()
        .service()
        .time_of(Call::Step(0, Event::Timeout));
    let ended = ended.expect("it has ended by now") - oneloop::Time::START;
    assert!(about(15 * SECOND).contains(&ended), "{ended:?}");
}

#[test]
fn write_deadline_is_shortened_when_the_server_is_full() {
    let limits = Limits {
        send_buffer_bytes: 100,
        write_timeout: MINUTE,
        ..room_for(1)
    };
    let mut simulation = simulate(limits, |step| {
        step.cx.write(&[b'x'; 1_000_000]);
        step.read_for(HOUR)
    });
    let _client = connect_deaf(&mut simulation);
    simulation.run_for(14 * SECOND);
    assert_eq!(simulation.reactor().open_connections(), 1);
    simulation.run_for(2 * SECOND);
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::WriteTimeout), 1);
}

#[test]
fn write_deadline_that_is_shortened_twice_is_shortened_from_what_it_was() {
    let limits = Limits {
        send_buffer_bytes: 100,
        write_timeout: 80 * SECOND,
        ..room_for(20)
    };
    let mut simulation = simulate(limits, |mut step| {
        step.take();
        if step.number == 0 && step.event == Event::Open {
            step.cx.write(&[b'x'; 1_000_000]);
        }
        step.read_for(HOUR)
    });
    let _slow = connect_deaf(&mut simulation);
    simulation.run_for(ms(10));
    let mut crowd = crowd(&mut simulation, 15);
    // Cross the threshold several times: each time all waits are shortened anew.
    for _ in 0..5 {
        crowd.push(simulation.connect());
        simulation.run_for(ms(100));
        for _ in 0..3 {
            crowd.pop().unwrap().reset();
        }
        simulation.run_for(ms(100));
        crowd.push(simulation.connect());
        crowd.push(simulation.connect());
        simulation.run_for(ms(100));
    }
    simulation.run_for(37 * SECOND);
    assert!(simulation.reactor().service().end(0).is_none());
    simulation.run_for(3 * SECOND);
    let end = simulation.reactor().service().end(0);
    assert_eq!(end, Some(EndReason::WriteTimeout));
}
