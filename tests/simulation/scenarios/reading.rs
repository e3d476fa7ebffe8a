//! Unread input: its limits, and when it is offered.

use std::cell::RefCell;
use std::rc::Rc;

use oneloop::{CloseReason, EndReason, Event, Limits, Next};
use oneloop_sim::{Faults, LinkProfile, Network, Simulation};

use super::probe::*;

fn input_max(input_bytes_max: usize) -> Limits {
    Limits {
        input_bytes_max,
        output_bytes_max: 2 << 20,
        ..Limits::default()
    }
}

#[test]
fn unread_input_stays_and_grows_in_order() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = Rc::clone(&seen);
    let mut simulation = simulate(Limits::default(), move |step| {
        if step.event == Event::Data {
            note.borrow_mut().push(step.cx.input().to_vec());
        }
        if step.cx.input().len() == 6 {
            step.cx.consume(4);
        }
        step.read_for(HOUR)
    });
    let client = simulation.connect();
    for piece in ["ab", "cd", "ef", "gh"] {
        client.send(piece.as_bytes());
        simulation.run_for(ms(10));
    }
    assert_eq!(*seen.borrow(), [&b"ab"[..], b"abcd", b"abcdef", b"efgh"]);
}

#[test]
fn unread_input_may_be_as_much_as_its_maximum_and_no_more() {
    let mut simulation = simulate(input_max(8), |step| step.read_for(HOUR));
    let client = simulation.connect();
    client.send(b"12345678");
    simulation.run_for(SECOND);
    assert_eq!(simulation.reactor().open_connections(), 1);
    client.send(b"9");
    simulation.run_for(SECOND);
    assert_eq!(
        simulation
            .reactor()
            .service()
            .calls
            .last()
            .map(|&(_, call)| call),
        Some(Call::Step(0, Event::Data))
    );
    simulation.run_for(5 * SECOND);
    assert_eq!(
        simulation.reactor().service().end(0),
        Some(EndReason::InputOverflow)
    );
}

#[test]
fn unread_input_may_reach_its_maximum_byte_by_byte() {
    let mut simulation = simulate(input_max(8), |step| step.read_for(HOUR));
    let client = simulation.connect();
    for _ in 0..8 {
        client.send(b"x");
        simulation.run_for(ms(10));
    }
    assert_eq!(simulation.reactor().service().events(0).len(), 9);
    assert_eq!(simulation.reactor().open_connections(), 1);
}

#[test]
fn unread_input_that_is_as_much_as_its_maximum_is_answered_at_the_end() {
    let mut simulation = simulate(input_max(8), |mut step| match step.event {
        Event::Eof => {
            let input = step.take();
            step.cx.write(&input);
            Next::Close(CloseReason::Eof)
        }
        _ => step.read_for(HOUR),
    });
    let client = simulation.connect();
    client.send(b"12345678");
    simulation.run_for(SECOND);
    client.finish();
    simulation.run_for(SECOND);
    assert_eq!(client.received(), b"12345678");
}

#[test]
fn input_left_for_want_of_room_is_offered_again_when_there_is_some() {
    let limits = Limits {
        input_bytes_max: 10,
        output_bytes_mark: 10,
        output_bytes_max: 20,
        send_buffer_bytes: 16,
        ..Limits::default()
    };
    // One answer of ten bytes for each byte, as long as there is room.
    let mut simulation = simulate(limits, |step| {
        while step.cx.has_room() && !step.cx.input().is_empty() {
            step.cx.consume(1);
            step.cx.write(b"0123456789");
        }
        step.read_for(HOUR)
    });
    let client = simulation.connect_over(LinkProfile {
        latency: ms(5)..=ms(5),
        ..LinkProfile::ideal()
    });
    client.send(&[1; 100]);
    simulation.run_for(10 * SECOND);
    assert_eq!(client.received(), b"0123456789".repeat(100));
}

#[test]
fn end_of_the_stream_comes_again_for_input_left_for_want_of_room() {
    let limits = Limits {
        input_bytes_max: 10,
        output_bytes_mark: 10,
        output_bytes_max: 20,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, |step| {
        while step.cx.has_room() && !step.cx.input().is_empty() {
            step.cx.consume(1);
            step.cx.write(b"0123456789");
        }
        match step.event {
            Event::Eof if step.cx.input().is_empty() => Next::Close(CloseReason::Eof),
            _ => step.read_for(HOUR),
        }
    });
    let client = simulation.connect();
    client.send(&[1; 5]);
    client.finish();
    simulation.run_for(10 * SECOND);
    assert_eq!(client.received(), b"0123456789".repeat(5));
    assert_eq!(simulation.reactor().service().end(0), Some(EndReason::Eof));
}

#[test]
fn interruption_of_a_read_is_no_reason_to_stop_reading() {
    let mut simulation = simulate(Limits::default(), echo);
    let clients: Vec<_> = (0..50).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    simulation.network().set_faults(Faults {
        interruptions: 0.5,
        ..Faults::NONE
    });
    clients.iter().for_each(|client| client.send(b"hello"));
    simulation.run_for(SECOND);
    let answered = clients
        .iter()
        .filter(|client| client.received() == b"hello");
    assert_eq!(answered.count(), 50);
}

#[test]
fn short_read_with_the_end_behind_it_is_not_the_last() {
    for seed in 0..20 {
        let mut simulation = Simulation::new(Probe::new(echo), Limits::default(), seed);
        let client = simulation.connect();
        simulation.run_for(ms(10));
        client.send(b"hello");
        client.finish();
        simulation.run_for(ms(100));
        assert_eq!(client.received(), b"hello");
        assert!(client.at_end(), "it waits for an event that came already");
    }
}

#[test]
fn input_without_an_end_is_read_on_a_poller_that_must_be_rearmed() {
    let network = Network::<false>::new(1);
    let mut simulation = Simulation::with_network(network, Probe::new(echo), Limits::default());
    let client = simulation.connect();
    for round in 0..20 {
        client.send(b"hello");
        simulation.run_for(ms(10));
        assert_eq!(client.received(), b"hello", "round {round}");
    }
}

#[test]
fn large_input_is_offered_whole_with_room_for_it() {
    let mut simulation = simulate(input_max(1 << 20), |step| match step.cx.input().len() {
        1_000_000 => {
            let sum: u64 = step.cx.input().iter().map(|&byte| u64::from(byte)).sum();
            step.cx.consume(1_000_000);
            step.cx.write(&sum.to_be_bytes());
            step.read_for(HOUR)
        }
        _ => step.read_for(HOUR),
    });
    let client = simulation.connect();
    let message: Vec<_> = (0..1_000_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let sum: u64 = message.iter().map(|&byte| u64::from(byte)).sum();
    for _ in 0..2 {
        client.send(&message);
        simulation.run_for(10 * SECOND);
        assert_eq!(client.received(), sum.to_be_bytes());
    }
}

#[test]
fn memory_of_input_and_output_is_given_back() {
    let mut simulation = simulate(input_max(100_000), |step| {
        if step.cx.input().len() >= 50_000 {
            step.cx.consume(step.cx.input().len());
            step.cx.write(&[b'x'; 1_000_000]);
        }
        step.read_for(HOUR)
    });
    let client = simulation.connect();
    client.send(&[1; 49_999]);
    simulation.run_for(SECOND);
    let held = simulation.reactor().usage().buffered_bytes;
    assert!((49_999..=100_000).contains(&held), "{held} bytes");
    client.stop_reading();
    client.send(b"1");
    simulation.run_for(SECOND);
    let held = simulation.reactor().usage().buffered_bytes;
    // With the queue of its one segment.
    assert!((1..=1_000_064).contains(&held), "{held} bytes");
    client.resume_reading();
    simulation.run_for(SECOND);
    assert_eq!(client.received().len(), 1_000_000);
    assert_eq!(simulation.reactor().usage().buffered_bytes, 0);
}

#[test]
fn input_left_before_a_pause_is_offered_again_after_it() {
    let mut simulation = simulate(Limits::default(), |mut step| match step.event {
        Event::Data if step.cx.now() < oneloop::Time::START + SECOND => step.pause_for(2 * SECOND),
        Event::Data => {
            let input = step.take();
            step.cx.write(&input);
            step.read_for(HOUR)
        }
        _ => step.read_for(HOUR),
    });
    let client = simulation.connect();
    client.send(b"left");
    simulation.run_for(SECOND);
    assert_eq!(client.received(), b"");
    simulation.run_for(2 * SECOND);
    assert_eq!(client.received(), b"left");
}

#[test]
fn exchange_costs_one_read_and_one_write() {
    let mut simulation = simulate(Limits::default(), echo);
    let client = simulation.connect();
    simulation.run_for(SECOND);
    let before = simulation.network().call_counts();
    for _ in 0..100 {
        client.send(b"ping");
        simulation.run_for(ms(1));
        assert_eq!(client.received(), b"ping");
    }
    let after = simulation.network().call_counts();
    assert_eq!(after.reads - before.reads, 100);
    assert_eq!(after.writes - before.writes, 100);
}

#[test]
fn end_noticed_in_a_pause_comes_once_though_input_is_left_unread() {
    let mut simulation = simulate(Limits::default(), |step| match step.event {
        Event::Open => step.pause_for(HOUR),
        Event::Timeout => Next::Close(CloseReason::Timeout),
        _ => step.read_for(SECOND),
    });
    let client = simulation.connect();
    client.send(b"abc");
    client.finish();
    simulation.run_for(MINUTE);
    let events = simulation.reactor().service().events(0);
    assert_eq!(events, [Event::Open, Event::Eof, Event::Timeout]);
}
