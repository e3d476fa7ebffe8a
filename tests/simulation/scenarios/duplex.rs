//! Both directions at once, finished sending sides, aborts, and wake-ups within a turn.

use std::io::ErrorKind;

use oneloop::net::Net;
use oneloop::{CloseReason, EndReason, Event, Limits, Next, Time};
use oneloop_sim::{Client, LinkProfile, Simulation, Status};

use super::probe::*;

/// Echoes input in full duplex, a hundred bytes at a time, while there is room.
fn echo_while_room(step: &mut Step<'_, '_>) {
    step.cx.set_duplex(true);
    while step.cx.has_room() && !step.cx.input().is_empty() {
        let piece = step.cx.input().len().min(100);
        let input = step.cx.input();
        step.cx.write(&input[..piece]);
        step.cx.consume(piece);
    }
}

fn now(simulation: &mut Simulation<Probe>) -> Time {
    simulation.reactor_mut().net_mut().now()
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|number| (number % 251) as u8).collect()
}

/// Connects a client that does not read, and lets its session open.
fn silent_client(simulation: &mut Simulation<Probe>) -> Client {
    let client = connect_deaf(simulation);
    simulation.run_for(ms(10));
    client
}

#[test]
fn session_in_duplex_reads_all_input_while_its_output_waits() {
    let mut simulation = simulate(small_buffers(), echo_in_duplex);
    let client = silent_client(&mut simulation);
    client.send(&pattern(50_000));
    client.finish();
    simulation.run_for(10 * SECOND);
    assert_eq!(simulation.reactor().counters().bytes_in(), 50_000);
    assert!(simulation.reactor().counters().bytes_out() < 10_000);
    client.resume_reading();
    simulation.run_for(10 * SECOND);
    assert!(client.received() == pattern(50_000));
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(0), Some(EndReason::Eof));
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn session_out_of_duplex_reads_nothing_while_its_output_waits() {
    let mut simulation = simulate(small_buffers(), |mut step| {
        step.cx.set_duplex(false);
        let input = step.take();
        step.cx.write(&input);
        step.read_for(MINUTE)
    });
    let client = silent_client(&mut simulation);
    client.send(&pattern(100_000));
    simulation.run_for(10 * SECOND);
    assert!(simulation.reactor().counters().bytes_in() < 20_000);
}

#[test]
fn output_in_duplex_beyond_the_maximum_ends_the_session() {
    let limits = Limits {
        output_bytes_max: 50_000,
        ..small_buffers()
    };
    let mut simulation = simulate(limits, echo_in_duplex);
    let client = silent_client(&mut simulation);
    client.send(&pattern(100_000));
    simulation.run_for(10 * SECOND);
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(0), Some(EndReason::OutputOverflow));
    assert_eq!(client.status(), Status::Failed(ErrorKind::ConnectionReset));
}

#[test]
fn room_in_duplex_counts_the_pending_output() {
    let mut simulation = simulate(small_buffers(), |mut step| {
        echo_while_room(&mut step);
        match (step.cx.input().is_empty(), step.cx.has_room()) {
            (true, true) => step.read_for(MINUTE),
            _ => step.pause_for(MINUTE),
        }
    });
    let client = silent_client(&mut simulation);
    client.send(&pattern(30_000));
    simulation.run_for(10 * SECOND);
    let pending = simulation.reactor().usage().buffered_bytes_max;
    assert!(pending < 30_000, "{pending}");
    let counters = simulation.reactor().counters();
    let mark = Limits::default().output_bytes_mark as u64;
    let unsent = counters.bytes_in() - counters.bytes_out();
    assert!((mark..mark + 10_000).contains(&unsent), "{unsent}");
}

#[test]
fn unread_input_in_duplex_is_offered_again_once_there_is_room() {
    let mut simulation = simulate(small_buffers(), |mut step| {
        echo_while_room(&mut step);
        step.read_for(MINUTE)
    });
    let client = silent_client(&mut simulation);
    client.send(&pattern(14_000));
    simulation.run_for(SECOND);
    // Not while there is none.
    assert!(simulation.reactor().service().calls.len() < 100);
    client.resume_reading();
    simulation.run_for(SECOND);
    assert!(client.received() == pattern(14_000));
}

#[test]
fn deadline_in_duplex_comes_while_output_waits() {
    let mut simulation = simulate(small_buffers(), |mut step| {
        step.cx.set_duplex(true);
        step.take();
        match step.event {
            Event::Data => step.cx.write(&pattern(50_000)),
            Event::Timeout => step.cx.write(b"!"),
            _ => {}
        }
        step.read_for(5 * SECOND)
    });
    let client = silent_client(&mut simulation);
    client.send(b"go");
    let before = now(&mut simulation);
    simulation.run_for(12 * SECOND);
    let probe = simulation.reactor().service();
    let timeouts: Vec<_> = (probe.calls.iter())
        .filter(|(_, call)| *call == Call::Step(0, Event::Timeout))
        .map(|&(at, _)| (at - before).as_secs())
        .collect();
    assert_eq!(timeouts, [5, 10]);
    client.resume_reading();
    simulation.run_for(SECOND);
    assert_eq!(client.received().len(), 50_002);
}

#[test]
fn write_deadline_in_duplex_ends_a_session_that_is_busy() {
    let limits = Limits {
        output_bytes_max: 10_000_000,
        ..small_buffers()
    };
    let mut simulation = simulate(limits, echo_in_duplex);
    let client = silent_client(&mut simulation);
    let began = now(&mut simulation);
    for _ in 0..40 {
        client.send(&pattern(1_000));
        simulation.run_for(SECOND);
    }
    let probe = simulation.reactor().service();
    let ended = probe.time_of(Call::Closed(0, EndReason::WriteTimeout));
    let after = ended.unwrap_or(Time::START) - began;
    assert!((30..35).contains(&after.as_secs()), "{after:?}");
    assert_eq!(client.status(), Status::Failed(ErrorKind::ConnectionReset));
}

#[test]
fn flushed_in_duplex_comes_once_all_output_is_flushed() {
    let mut simulation = simulate(small_buffers(), echo_in_duplex);
    let client = silent_client(&mut simulation);
    client.send(&pattern(20_000));
    simulation.run_for(SECOND);
    let flushed = Call::Step(0, Event::Flushed);
    assert_eq!(simulation.reactor().service().count(flushed), 0);
    client.resume_reading();
    simulation.run_for(SECOND);
    assert_eq!(simulation.reactor().service().count(flushed), 1);
}

#[test]
fn finished_session_reads_on_until_its_peer_finishes() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        match step.event {
            Event::Open => {
                step.cx.write(b"all I have");
                step.cx.finish();
                step.read_for(HOUR)
            }
            Event::Eof => Next::Close(CloseReason::Completed),
            _ => {
                step.cx.write(b"discarded");
                step.read_for(HOUR)
            }
        }
    });
    let client = simulation.connect();
    simulation.run_for(SECOND);
    assert_eq!(client.received(), b"all I have");
    assert!(client.at_end());
    for _ in 0..3 {
        client.send(b"more");
        simulation.run_for(SECOND);
    }
    assert_eq!(simulation.reactor().counters().bytes_in(), 12);
    assert_eq!(simulation.reactor().service().end(0), None);
    client.finish();
    simulation.run_for(SECOND);
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(0), Some(EndReason::Completed));
    assert_eq!(client.received(), b"");
}

#[test]
fn end_of_stream_follows_output_that_had_to_wait() {
    for closes in [false, true] {
        let mut simulation = simulate(small_buffers(), move |mut step| {
            if step.take() == b"go" {
                step.cx.write(&pattern(50_000));
                step.cx.finish();
            }
            match step.event {
                Event::Data if closes => Next::Close(CloseReason::Completed),
                Event::Eof => Next::Close(CloseReason::Eof),
                _ => step.read_for(HOUR),
            }
        });
        let client = silent_client(&mut simulation);
        client.send(b"go");
        simulation.run_for(SECOND);
        client.resume_reading();
        simulation.run_for(SECOND);
        assert!(client.received() == pattern(50_000));
        assert!(client.at_end());
        client.finish();
        simulation.run_for(SECOND);
        assert_eq!(simulation.reactor().usage(), Default::default());
    }
}

#[test]
fn session_that_aborts_resets_its_peer_and_sends_no_more() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        match step.event {
            Event::Data => {
                step.cx.write(b"of an aborted step");
                Next::Abort
            }
            _ => step.read_for(HOUR),
        }
    });
    let client = simulation.connect();
    simulation.run_for(SECOND);
    client.send(b"go");
    simulation.run_for(SECOND);
    assert_eq!(client.status(), Status::Failed(ErrorKind::ConnectionReset));
    assert_eq!(client.received(), b"");
    assert_eq!(simulation.reactor().counters().bytes_out(), 0);
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(0), Some(EndReason::Aborted));
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn session_is_ended_by_another_although_its_output_waits() {
    let mut simulation = simulate(small_buffers(), |mut step| {
        match step.take().as_slice() {
            b"flood me" => step.cx.write(&pattern(50_000)),
            b"end it" => step.cx.abort(step.ids[0]),
            _ => {}
        }
        step.read_for(HOUR)
    });
    let stuck = silent_client(&mut simulation);
    let other = simulation.connect();
    stuck.send(b"flood me");
    simulation.run_for(SECOND);
    other.send(b"end it");
    simulation.run_for(ms(10));
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(0), Some(EndReason::Aborted));
    assert_eq!(stuck.status(), Status::Failed(ErrorKind::ConnectionReset));
    // A second request is for a session that has ended.
    other.send(b"end it");
    simulation.run_for(SECOND);
    assert_eq!(simulation.reactor().open_connections(), 1);
}

#[test]
fn session_that_has_closed_is_not_aborted_while_it_lingers() {
    let mut simulation = simulate(Limits::default(), |mut step| match step.take().as_slice() {
        b"bye" => Next::Close(CloseReason::Completed),
        b"end it" => {
            step.cx.abort(step.ids[0]);
            step.read_for(HOUR)
        }
        _ => step.read_for(HOUR),
    });
    let (closed, other) = (simulation.connect(), simulation.connect());
    simulation.run_for(SECOND);
    closed.send(b"bye");
    simulation.run_for(ms(100));
    other.send(b"end it");
    simulation.run_for(10 * SECOND);
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(0), Some(EndReason::Completed));
    assert_ne!(closed.status(), Status::Failed(ErrorKind::ConnectionReset));
}

#[test]
fn all_sessions_are_woken_also_very_many() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        if step.take() == b"all" {
            step.cx.wake_all();
        }
        if step.event == Event::Wake {
            step.cx.write(b"!");
        }
        step.read_for(HOUR)
    });
    let clients: Vec<_> = (0..2500).map(|_| simulation.connect()).collect();
    simulation.run_for(SECOND);
    clients[7].send(b"all");
    simulation.run_for(SECOND);
    for client in &clients {
        assert_eq!(client.received(), b"!");
    }
}

#[test]
fn message_to_another_session_leaves_before_the_next_poll() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        if !step.take().is_empty() {
            step.cx.wake(step.ids[1]);
        }
        if step.event == Event::Wake {
            step.cx.write(b"forwarded");
        }
        step.read_for(HOUR)
    });
    let (from, to) = (simulation.connect(), simulation.connect());
    simulation.run_for(SECOND);
    for _ in 0..10 {
        let before = simulation.reactor().counters().clone();
        from.send(b"hello");
        while simulation.reactor().counters().bytes_in() == before.bytes_in() {
            simulation.turn();
        }
        // The turn that got the message has sent it on.
        let counters = simulation.reactor().counters();
        assert_eq!(counters.bytes_out(), before.bytes_out() + 9);
    }
    simulation.run_for(SECOND);
    assert_eq!(to.received(), b"forwarded".repeat(10));
}

#[test]
fn slow_link_does_not_hold_up_the_other_direction() {
    let mut simulation = simulate(small_buffers(), echo_in_duplex);
    let slow = LinkProfile {
        bytes_per_second: 1000,
        ..LinkProfile::default()
    };
    let client = simulation.connect_over(slow);
    simulation.run_for(ms(10));
    client.send(&pattern(20_000));
    client.finish();
    simulation.run_for(60 * SECOND);
    assert!(client.received() == pattern(20_000));
}
