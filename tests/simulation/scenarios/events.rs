//! The events of a session, and their order.

use std::cell::RefCell;
use std::rc::Rc;

use oneloop::{CloseReason, EndReason, Event, Limits, Next};
use oneloop_sim::LinkProfile;

use super::probe::*;

/// Returns limits for a kernel that takes little at once.
fn narrow() -> Limits {
    Limits {
        send_buffer_bytes: 100,
        ..Limits::default()
    }
}

fn far() -> LinkProfile {
    LinkProfile {
        latency: ms(20)..=ms(20),
        ..LinkProfile::ideal()
    }
}

#[test]
fn wake_up_of_another_session_comes_once_for_several_calls() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        if !step.take().is_empty() {
            for _ in 0..3 {
                step.cx.wake(step.ids[0]);
            }
        }
        step.pause_or_read()
    });
    let _sleeper = simulation.connect();
    let waker = simulation.connect();
    waker.send(b"wake up");
    simulation.run_for(SECOND);
    let events = simulation.reactor().service().events(0);
    assert_eq!(events, [Event::Open, Event::Wake]);
}

impl Step<'_, '_> {
    /// Pauses the first session; the others read.
    fn pause_or_read(&self) -> Next {
        match self.number {
            0 => self.pause_for(HOUR),
            _ => self.read_for(HOUR),
        }
    }
}

#[test]
fn wake_ups_come_in_the_order_of_the_calls() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        if !step.take().is_empty() {
            for number in [2, 0, 1] {
                step.cx.wake(step.ids[number]);
            }
        }
        step.read_for(HOUR)
    });
    let clients: Vec<_> = (0..4).map(|_| simulation.connect()).collect();
    clients[3].send(b"wake up");
    simulation.run_for(SECOND);
    let woken: Vec<_> = simulation.reactor().service().calls();
    let woken = woken.into_iter().filter_map(|call| match call {
        Call::Step(number, Event::Wake) => Some(number),
        _ => None,
    });
    assert_eq!(woken.collect::<Vec<_>>(), [2, 0, 1]);
}

#[test]
fn wake_up_for_a_session_that_is_gone_concerns_nobody() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        if step.take() == b"wake up" {
            step.cx.wake(step.ids[0]);
        }
        match step.event {
            Event::Eof => Next::Close(CloseReason::Eof),
            _ => step.read_for(HOUR),
        }
    });
    let gone = simulation.connect();
    simulation.run_for(ms(10));
    gone.close();
    simulation.run_for(ms(10));
    // The successor reuses its slot.
    let _successor = simulation.connect();
    let waker = simulation.connect();
    waker.send(b"wake up");
    simulation.run_for(SECOND);
    assert_eq!(simulation.reactor().service().events(1), [Event::Open]);
}

#[test]
fn event_for_a_connection_that_is_gone_is_counted_and_dropped() {
    let mut simulation = simulate(Limits::default(), echo);
    simulation.network().set_faults(oneloop_sim::Faults {
        stale_events: 1.0,
        ..Default::default()
    });
    let gone = simulation.connect();
    simulation.run_for(ms(10));
    gone.close();
    simulation.turn();
    let _successor = simulation.connect();
    simulation.run_for(SECOND);
    assert_eq!(simulation.reactor().counters().stale_events(), 1);
    assert_eq!(simulation.reactor().service().events(1), [Event::Open]);
}

#[test]
fn wake_up_while_output_leaves_comes_after_it() {
    let mut simulation = simulate(narrow(), |mut step| {
        let input = step.take();
        match (step.number, step.event) {
            (0, Event::Data) => {
                step.cx.write(&[b'x'; 300]);
                Next::Flush
            }
            (1, Event::Data) => {
                assert_eq!(input, b"wake up");
                step.cx.wake(step.ids[0]);
                step.read_for(HOUR)
            }
            _ => step.read_for(HOUR),
        }
    });
    let writer = simulation.connect_over(far());
    simulation.run_for(SECOND);
    let waker = simulation.connect();
    simulation.run_for(SECOND);
    writer.send(b"go");
    simulation.run_for(ms(25));
    assert_eq!(
        simulation.reactor().service().events(0),
        [Event::Open, Event::Data]
    );
    waker.send(b"wake up");
    simulation.run_for(SECOND);
    assert_eq!(
        simulation.reactor().service().events(0),
        [Event::Open, Event::Data, Event::Flushed, Event::Wake]
    );
}

#[test]
fn flushed_comes_after_flush_though_nothing_was_written() {
    let mut simulation = simulate(Limits::default(), |step| match step.event {
        Event::Open => Next::Flush,
        _ => step.read_for(HOUR),
    });
    let _client = simulation.connect();
    simulation.run_for(SECOND);
    assert_eq!(
        simulation.reactor().service().events(0),
        [Event::Open, Event::Flushed]
    );
}

#[test]
fn flushed_comes_after_output_that_had_to_wait_and_after_no_other() {
    let mut simulation = simulate(narrow(), |mut step| {
        let wanted = step.take().len();
        step.cx.write(&vec![b'x'; wanted]);
        step.read_for(HOUR)
    });
    let client = simulation.connect_over(far());
    client.send(&[1; 100]);
    simulation.run_for(SECOND);
    assert_eq!(
        simulation.reactor().service().events(0),
        [Event::Open, Event::Data]
    );
    client.send(&[1; 101]);
    simulation.run_for(SECOND);
    assert_eq!(
        simulation.reactor().service().events(0)[2..],
        [Event::Data, Event::Flushed]
    );
    assert_eq!(client.received().len(), 201);
}

#[test]
fn end_of_the_stream_is_told_once_though_its_answer_had_to_wait() {
    let mut simulation = simulate(narrow(), |mut step| {
        step.take();
        if step.event == Event::Eof {
            step.cx.write(&[b'x'; 1000]);
            return Next::Flush;
        }
        step.read_for(HOUR)
    });
    let client = simulation.connect_over(far());
    client.finish();
    simulation.run_for(5 * SECOND);
    assert_eq!(
        simulation.reactor().service().events(0),
        [Event::Open, Event::Eof, Event::Flushed]
    );
    assert_eq!(client.received().len(), 1000);
}

#[test]
fn wake_up_in_the_turn_of_a_deadline_comes_first_and_may_move_it() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        match (step.number, step.event) {
            (0, Event::Open) => step.read_for(SECOND),
            (1, Event::Open) => step.read_for(ms(999)),
            (1, Event::Timeout) => {
                step.cx.wake(step.ids[0]);
                step.read_for(HOUR)
            }
            _ => step.read_for(HOUR),
        }
    });
    let _clients = [simulation.connect(), simulation.connect()];
    simulation.run_for(ms(100));
    // Both deadlines have passed by the turn after the next.
    simulation.network().advance(ms(898));
    simulation.run_for(10 * SECOND);
    let events = simulation.reactor().service().events(0);
    assert!(
        events == [Event::Open, Event::Wake]
            || events == [Event::Open, Event::Timeout, Event::Wake],
        "{events:?}"
    );
}

#[test]
fn paused_session_is_given_no_input_and_all_of_it_afterwards() {
    let taken = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&taken);
    let mut simulation = simulate(Limits::default(), move |mut step| match step.event {
        Event::Open => step.pause_for(SECOND),
        _ => {
            told.borrow_mut().push((step.event, step.take()));
            step.read_for(HOUR)
        }
    });
    let client = simulation.connect();
    client.send(b"in the pause");
    simulation.run_for(ms(900));
    assert_eq!(*taken.borrow(), []);
    simulation.run_for(SECOND);
    assert_eq!(
        *taken.borrow(),
        [
            (Event::Timeout, Vec::new()),
            (Event::Data, b"in the pause".to_vec())
        ]
    );
}

#[test]
fn paused_session_notices_that_its_peer_has_finished() {
    let mut simulation = simulate(Limits::default(), |mut step| match step.event {
        Event::Eof => {
            let input = step.take();
            step.cx.write(&input);
            Next::Close(CloseReason::Eof)
        }
        _ => step.pause_for(HOUR),
    });
    let client = simulation.connect();
    client.send(b"last words");
    client.finish();
    simulation.run_for(SECOND);
    assert_eq!(client.received(), b"last words");
    assert_eq!(simulation.reactor().service().end(0), Some(EndReason::Eof));
}

#[test]
fn paused_session_notices_that_its_peer_has_reset() {
    let mut simulation = simulate(Limits::default(), |step| step.pause_for(HOUR));
    let client = simulation.connect();
    simulation.run_for(ms(10));
    client.reset();
    simulation.run_for(SECOND);
    assert_eq!(
        simulation.reactor().service().end(0),
        Some(EndReason::Reset)
    );
}

#[test]
fn reset_after_a_half_close_is_noticed() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        step.read_for(HOUR)
    });
    let client = simulation.connect();
    client.finish();
    simulation.run_for(ms(10));
    client.reset();
    simulation.run_for(SECOND);
    assert_eq!(
        simulation.reactor().service().end(0),
        Some(EndReason::Reset)
    );
    assert_eq!(
        simulation.reactor().service().events(0),
        [Event::Open, Event::Eof]
    );
}

#[test]
fn every_session_is_closed_once_also_when_the_reactor_is_dropped() {
    let closed = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&closed);
    let mut simulation = simulate(Limits::default(), echo);
    simulation.reactor_mut().service_mut().besides = Box::new(move |call, _| {
        if let Call::Closed(number, why) = call {
            told.borrow_mut().push((number, why));
        }
    });
    let clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    clients[1].close();
    simulation.run_for(ms(10));
    drop(simulation);
    closed
        .borrow_mut()
        .sort_unstable_by_key(|&(number, _)| number);
    assert_eq!(
        *closed.borrow(),
        [
            (0, EndReason::Dropped),
            (1, EndReason::Eof),
            (2, EndReason::Dropped)
        ]
    );
}
