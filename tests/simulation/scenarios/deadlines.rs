//! The end of a session's wait.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use oneloop::{CloseReason, Event, Limits, Next, Time};
use oneloop_sim::{Faults, LinkProfile, Network};

use super::probe::*;

/// Waits `wait` for input, then closes.
fn patient(wait: Duration) -> impl FnMut(Step<'_, '_>) -> Next {
    move |mut step| {
        step.take();
        match step.event {
            Event::Timeout => Next::Close(CloseReason::Timeout),
            _ => step.read_for(wait),
        }
    }
}

#[test]
fn deadline_comes_once_and_on_time() {
    let mut simulation = simulate(Limits::default(), patient(SECOND));
    let _client = simulation.connect();
    simulation.run_for(10 * SECOND);
    let probe = simulation.reactor().service();
    let opened = probe.time_of(Call::Step(0, Event::Open)).unwrap();
    let ended = probe.time_of(Call::Step(0, Event::Timeout)).unwrap();
    let waited = ended - opened;
    assert!((SECOND..SECOND + ms(4)).contains(&waited), "{waited:?}");
    assert_eq!(probe.events(0), [Event::Open, Event::Timeout]);
}

#[test]
fn deadline_that_input_has_moved_comes_when_it_was_moved_to() {
    let mut simulation = simulate(Limits::default(), patient(SECOND));
    let client = simulation.connect();
    simulation.run_for(ms(900));
    client.send(b"more");
    simulation.run_for(ms(900));
    assert!(!client.at_end());
    simulation.run_for(ms(110));
    assert!(client.at_end());
}

#[test]
fn deadline_in_the_past_comes_at_once_and_holds_up_no_other() {
    let times = Rc::new(Cell::new(0));
    let count = Rc::clone(&times);
    let mut simulation = simulate(Limits::default(), move |mut step| {
        step.take();
        match (step.number, step.event) {
            (0, _) => {
                count.set(count.get() + 1);
                Next::Read { until: Time::START }
            }
            (_, Event::Timeout) => Next::Close(CloseReason::Timeout),
            _ => step.read_for(SECOND),
        }
    });
    let _restless = simulation.connect();
    let patient = simulation.connect();
    simulation.run_for(ms(1010));
    assert!(patient.at_end());
    assert!(times.get() > 100, "it was told {} times", times.get());
}

#[test]
fn deadlines_of_one_turn_end_at_their_bound_and_the_others_follow() {
    let limits = Limits {
        turn_deadlines_max: 4,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, patient(SECOND));
    let _clients: Vec<_> = (0..30).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(990));
    simulation.network().stop_poll_at(None);
    let mut ended = Vec::new();
    for _ in 0..200 {
        let before = simulation.reactor().service().calls.len();
        simulation.turn();
        let calls = &simulation.reactor().service().calls[before..];
        let deadline = |&&(_, call): &&(_, Call)| matches!(call, Call::Step(_, Event::Timeout));
        ended.push(calls.iter().filter(deadline).count());
        if ended.iter().sum::<usize>() == 30 {
            break;
        }
    }
    assert_eq!(ended.iter().sum::<usize>(), 30);
    assert_eq!(ended.iter().max(), Some(&4), "{ended:?}");
}

#[test]
fn input_that_came_in_time_counts_though_its_event_is_late() {
    let mut simulation = simulate(Limits::default(), patient(SECOND));
    let clients: Vec<_> = (0..50).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(985));
    simulation.network().set_faults(Faults {
        late_events: 1.0,
        ..Faults::NONE
    });
    clients.iter().for_each(|client| client.send(b"in time"));
    simulation.run_for(ms(500));
    let gone = clients.iter().filter(|client| client.at_end()).count();
    assert_eq!(gone, 0, "cut off though they had sent");
}

#[test]
fn input_that_came_while_the_process_slept_counts() {
    let mut simulation = simulate(Limits::default(), patient(SECOND));
    let clients: Vec<_> = (0..50)
        .map(|_| {
            simulation.connect_over(LinkProfile {
                latency: ms(10)..=ms(10),
                ..LinkProfile::ideal()
            })
        })
        .collect();
    simulation.run_for(ms(900));
    clients.iter().for_each(|client| client.send(b"in time"));
    simulation.run_for(ms(1));
    simulation.network().advance(10 * SECOND);
    simulation.network().set_faults(Faults {
        shuffled_polls: 1.0,
        ..Faults::NONE
    });
    simulation.run_for(ms(500));
    let gone = clients.iter().filter(|client| client.at_end()).count();
    assert_eq!(gone, 0, "cut off though they had sent");
}

#[test]
fn poll_that_was_interrupted_is_made_again_before_deadlines_are_looked_at() {
    let mut simulation = simulate(Limits::default(), patient(SECOND));
    let _client = simulation.connect();
    simulation.run_for(ms(10));
    simulation.network().set_faults(Faults {
        interrupted_polls: 1.0,
        ..Faults::NONE
    });
    let before = simulation.network().call_counts().polls;
    simulation.turn();
    assert_eq!(simulation.network().call_counts().polls, before + 2);
}

#[test]
fn poll_waits_from_the_present_and_not_from_the_turn_before() {
    let mut simulation = simulate(Limits::default(), patient(2 * SECOND));
    let _client = simulation.connect();
    simulation.turn();
    let opened = simulation.network().time();
    // No more events are due: the next poll waits for the deadline.
    simulation.turn();
    // The embedding program has done other work for a while.
    simulation.network().advance(ms(1500));
    while !matches!(
        simulation.reactor().service().events(0)[..],
        [.., Event::Timeout]
    ) {
        simulation.turn();
    }
    let waited = simulation.network().time() - opened;
    assert!(waited < ms(2010), "{waited:?}");
}

#[test]
fn alarm_comes_once_and_on_time_and_moves_when_it_is_set_again() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        let wait = match step.event {
            Event::Open => MINUTE,
            _ => 2 * SECOND,
        };
        let at = step.cx.after(wait);
        step.cx.set_service_timer(1, at);
        step.read_for(HOUR)
    });
    let client = simulation.connect();
    simulation.run_for(SECOND);
    client.send(b"sooner");
    simulation.run_for(ms(1990));
    assert_eq!(simulation.reactor().service().count(Call::Timer(1)), 0);
    simulation.run_for(ms(20));
    assert_eq!(simulation.reactor().service().count(Call::Timer(1)), 1);
    simulation.run_for(2 * MINUTE);
    assert_eq!(simulation.reactor().service().count(Call::Timer(1)), 1);
}

#[test]
fn alarm_set_by_an_alarm_comes_too() {
    let mut simulation = simulate(Limits::default(), |step| {
        let at = step.cx.after(SECOND);
        step.cx.set_service_timer(1, at);
        step.read_for(HOUR)
    });
    simulation.reactor_mut().service_mut().besides = Box::new(|call, cx| {
        if call == Call::Timer(1) {
            let at = cx.after(SECOND);
            cx.set_service_timer(1, at);
        }
    });
    let _client = simulation.connect();
    simulation.run_for(ms(5500));
    assert_eq!(simulation.reactor().service().count(Call::Timer(1)), 5);
}

#[test]
fn wait_without_bound_has_none_and_any_other_has_the_longest() {
    let limits = Limits {
        wait_max: MINUTE,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, |step| match (step.number, step.event) {
        (_, Event::Timeout) => Next::Close(CloseReason::Timeout),
        (0, _) => Next::Read {
            until: Time::UNBOUNDED,
        },
        _ => step.read_for(Duration::MAX),
    });
    let trusted = simulation.connect();
    let other = simulation.connect();
    simulation.run_for(MINUTE - SECOND);
    assert!(!other.at_end());
    simulation.run_for(2 * SECOND);
    assert!(other.at_end());
    simulation.run_for(1000 * HOUR);
    assert!(!trusted.at_end());
}

#[test]
fn idle_server_sleeps() {
    let mut simulation = simulate(Limits::default(), patient(HOUR));
    let _clients: Vec<_> = (0..100).map(|_| simulation.connect()).collect();
    simulation.run_for(SECOND);
    let before = simulation.reactor().counters().turns();
    simulation.run_for(MINUTE * 50);
    let turns = simulation.reactor().counters().turns() - before;
    assert!(turns < 100, "{turns} turns in 50 idle minutes");
}

#[test]
fn wait_that_begins_late_in_a_long_turn_ends_late() {
    let network: Rc<RefCell<Option<Network>>> = Rc::default();
    let busy = Rc::clone(&network);
    let mut simulation = simulate(Limits::default(), move |mut step| {
        step.take();
        if step.event == Event::Data {
            // A step that takes a millisecond.
            if let Some(network) = &*busy.borrow() {
                network.advance(ms(1));
            }
        }
        match step.event {
            Event::Timeout => Next::Close(CloseReason::Timeout),
            Event::Data => step.read_for(ms(500)),
            _ => step.read_for(HOUR),
        }
    });
    *network.borrow_mut() = Some(simulation.network().clone());
    let clients: Vec<_> = (0..300).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    clients.iter().for_each(|client| client.send(b"x"));
    simulation.run_for(ms(1));
    let end_of_turn = simulation.network().time();
    // The loop reads the clock at every 64th event.
    simulation.run_for(ms(490 - 64));
    assert!(!clients.last().unwrap().at_end());
    simulation.run_for(ms(1000));
    let last = simulation
        .reactor()
        .service()
        .time_of(Call::Step(299, Event::Timeout));
    let waited = last.expect("its deadline has come") - end_of_turn;
    assert!(waited >= ms(500 - 64), "{waited:?}");
}

#[test]
fn deadline_that_a_step_moves_once_it_has_come_is_not_told() {
    let limits = Limits {
        input_bytes_max: 1000,
        output_bytes_mark: 10,
        output_bytes_max: 1010,
        turn_bytes_max: 1,
        ..Limits::default()
    };
    let network: Rc<RefCell<Option<Network>>> = Rc::default();
    let clock = Rc::clone(&network);
    let due = Time::START + ms(200);
    let (mut turn, mut steps, mut moved) = (Time::START, 0, false);
    // Each step fills the output and keeps input, so that there is always a next one.
    let mut simulation = simulate(limits, move |step| {
        if step.event == Event::Data {
            step.cx.consume(1);
            step.cx.write(&[b'x'; 10]);
            if let Some(network) = &*clock.borrow()
                && network.time() < due
            {
                network.advance(ms(20));
            }
        }
        // The step's turn, the look before the deadline, and the deadline itself.
        if step.cx.now() > turn {
            (turn, steps) = (step.cx.now(), 0);
        }
        steps += 1;
        moved |= steps == 3;
        match moved {
            true => step.read_for(HOUR),
            false => Next::Read { until: due },
        }
    });
    *network.borrow_mut() = Some(simulation.network().clone());
    let client = simulation.connect();
    simulation.run_for(ms(1));
    client.send(&[1; 500]);
    simulation.run_for(MINUTE);
    assert_eq!(client.received().len(), 5000);
    let events = simulation.reactor().service().events(0);
    assert!(!events.contains(&Event::Timeout));
}

#[test]
fn deadline_of_a_session_that_is_stepped_in_every_turn_comes() {
    let due = Time::START + ms(20);
    let mut simulation = simulate(Limits::default(), move |step| {
        let id = step.cx.id();
        step.cx.wake(id);
        match step.event {
            Event::Timeout => Next::Close(CloseReason::Timeout),
            _ => Next::Read { until: due },
        }
    });
    let _client = simulation.connect();
    simulation.run_for(ms(100));
    let ended = simulation
        .reactor()
        .service()
        .time_of(Call::Step(0, Event::Timeout));
    let ended = ended.expect("it has come by now");
    assert!(ended - due < ms(3), "{ended:?}");
}

#[test]
fn deadline_that_moves_on_with_each_message_causes_no_look_and_no_event() {
    let mut simulation = simulate(Limits::default(), echo);
    let client = simulation.connect();
    for _ in 0..60 {
        client.send(b"still here");
        simulation.run_for(10 * SECOND);
    }
    assert_eq!(simulation.reactor().counters().looks(), 0);
    let events = simulation.reactor().service().events(0);
    assert_eq!(events.len(), 1 + 60, "{events:?}");
}
