//! Panics in a service: each ends one session, or one call, and nothing else.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::rc::Rc;

use oneloop::{CloseReason, EndReason, Event, Limits, Next};
use oneloop_sim::Status;

use super::probe::*;

/// Panics, but not by `panic!`, which would write to stderr.
fn panics() -> ! {
    resume_unwind(Box::new("as planned"))
}

#[test]
fn panic_leaves_none_of_its_output_to_the_next_session() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        if step.take() == b"panic" {
            step.cx.write(b"the secret of the first");
            panics();
        }
        step.cx.write(b"mine");
        step.read_for(HOUR)
    });
    let first = simulation.connect();
    let second = simulation.connect();
    simulation.run_for(ms(10));
    assert_eq!(second.received(), b"mine");
    first.send(b"panic");
    second.send(b"more");
    simulation.run_for(ms(10));
    assert_eq!(second.received(), b"mine");
    assert_eq!(
        simulation.reactor().service().end(0),
        Some(EndReason::Panicked)
    );
    assert_eq!(simulation.reactor().service().end(1), None);
}

#[test]
fn panic_after_too_much_output_does_not_end_the_next_session() {
    let limits = Limits {
        input_bytes_max: 10,
        output_bytes_mark: 90,
        output_bytes_max: 100,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, |mut step| {
        if step.take() == b"panic" {
            step.cx.write(&[b'x'; 101]);
            panics();
        }
        if step.number == 1 {
            step.cx.write(b"mine");
        }
        step.read_for(HOUR)
    });
    let clients: Vec<_> = (0..4).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    for panicking in [0, 3] {
        clients[panicking].send(b"panic");
        simulation.run_for(ms(10));
        // The first of them answers, the second does not.
        clients[1].send(b"more");
        clients[2].send(b"more");
        simulation.run_for(ms(10));
        clients[2].send(b"more");
        simulation.run_for(ms(10));
    }
    assert_eq!(clients[1].received(), b"mine".repeat(3));
    assert_eq!(simulation.reactor().service().end(2), None);
}

#[test]
fn panic_resets_its_connection_and_serves_the_others() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        if step.take() == b"panic" {
            panics();
        }
        step.cx.write(b"fine");
        step.read_for(HOUR)
    });
    let clients: Vec<_> = (0..10).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    for (number, client) in clients.iter().enumerate() {
        let _ = client.received();
        client.send(if number % 2 == 0 { b"panic" } else { b"hello" });
    }
    simulation.run_for(ms(10));
    for (number, client) in clients.iter().enumerate() {
        if number % 2 == 0 {
            let reset = Status::Failed(std::io::ErrorKind::ConnectionReset);
            assert_eq!(client.status(), reset);
        } else {
            assert_eq!(client.received(), b"fine");
        }
    }
    assert_eq!(
        simulation.reactor().counters().ended(EndReason::Panicked),
        5
    );
}

#[test]
fn panic_while_accepting_does_not_renew_the_budget() {
    let limits = Limits {
        turn_accepts_max: 4,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, |_| panics());
    let _clients: Vec<_> = (0..10).map(|_| simulation.connect()).collect();
    simulation.turn();
    assert_eq!(simulation.reactor().counters().accepted(), 4);
    simulation.turn();
    assert_eq!(simulation.reactor().counters().accepted(), 8);
    simulation.run_for(SECOND);
    assert_eq!(
        simulation.reactor().counters().ended(EndReason::Panicked),
        10
    );
}

#[test]
fn panic_at_a_deadline_does_not_renew_the_budget() {
    let limits = Limits {
        turn_deadlines_max: 4,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, |step| match step.event {
        Event::Timeout => panics(),
        _ => step.read_for(SECOND),
    });
    let _clients: Vec<_> = (0..10).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(990));
    let mut most = 0;
    while simulation.reactor().open_connections() > 0 {
        let before = simulation.reactor().counters().ended(EndReason::Panicked);
        simulation.turn();
        let after = simulation.reactor().counters().ended(EndReason::Panicked);
        most = most.max(after - before);
    }
    assert_eq!(most, 4);
}

#[test]
fn panic_in_a_turn_serves_each_event_of_it_once() {
    let steps = Rc::new(Cell::new(0));
    let count = Rc::clone(&steps);
    let mut simulation = simulate(Limits::default(), move |mut step| {
        if step.event == Event::Data {
            count.set(count.get() + 1);
            if step.number % 3 == 0 {
                panics();
            }
        }
        let input = step.take();
        step.cx.write(&input);
        step.read_for(HOUR)
    });
    let clients: Vec<_> = (0..30).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    clients.iter().for_each(|client| client.send(b"x"));
    simulation.turn();
    assert_eq!(steps.get(), 30);
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::Panicked), 10);
    assert_eq!(counters.events(), simulation.network().call_counts().events);
    simulation.run_for(ms(10));
    let answered = clients.iter().filter(|client| client.received() == b"x");
    assert_eq!(answered.count(), 20);
}

#[test]
fn panic_in_open_ends_that_connection_alone() {
    let mut simulation = simulate(Limits::default(), echo);
    simulation.reactor_mut().service_mut().besides = Box::new(|call, _| {
        if call == Call::Open(1) {
            panics();
        }
    });
    let clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    clients.iter().for_each(|client| client.send(b"hello"));
    simulation.run_for(SECOND);
    assert_eq!(clients[0].received(), b"hello");
    assert_eq!(clients[1].received(), b"");
    assert_eq!(clients[2].received(), b"hello");
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::Panicked), 1);
    assert_eq!(counters.service_panics(), 1);
    assert_eq!(simulation.reactor().usage().connections, 2);
}

#[test]
fn panic_in_closed_is_counted_and_leaves_nothing_behind() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        match step.event {
            Event::Eof => Next::Close(CloseReason::Eof),
            _ => step.read_for(HOUR),
        }
    });
    simulation.reactor_mut().service_mut().besides = Box::new(|call, _| {
        if let Call::Closed(..) = call {
            panics();
        }
    });
    let clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    clients.iter().for_each(|client| client.close());
    simulation.run_for(SECOND);
    assert_eq!(simulation.reactor().counters().service_panics(), 3);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn panic_in_an_alarm_is_counted_and_the_alarm_comes_again() {
    let mut simulation = simulate(Limits::default(), |step| {
        let at = step.cx.after(SECOND);
        step.cx.set_service_timer(1, at);
        step.read_for(HOUR)
    });
    let alarms = Rc::new(Cell::new(0));
    let count = Rc::clone(&alarms);
    simulation.reactor_mut().service_mut().besides = Box::new(move |call, _| {
        if call == Call::Timer(1) {
            count.set(count.get() + 1);
            if count.get() == 1 {
                panics();
            }
        }
    });
    let _client = simulation.connect();
    simulation.run_for(ms(1500));
    assert_eq!(alarms.get(), 1);
    simulation.run_for(ms(1000));
    assert_eq!(alarms.get(), 2);
    simulation.run_for(MINUTE);
    assert_eq!(alarms.get(), 2);
    assert_eq!(simulation.reactor().counters().service_panics(), 1);
}

#[test]
fn panic_in_draining_does_not_keep_the_sessions_from_being_told() {
    let mut simulation = simulate(Limits::default(), echo);
    simulation.reactor_mut().service_mut().besides = Box::new(|call, _| {
        if let Call::Draining(_) = call {
            panics();
        }
    });
    let _client = simulation.connect();
    simulation.run_for(ms(10));
    simulation.drain();
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(0), Some(EndReason::Shutdown));
}
