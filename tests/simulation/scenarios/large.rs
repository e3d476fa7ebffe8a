//! Large messages: shared output, and input above the maximum of most sessions.

use std::io::ErrorKind;
use std::sync::Arc;

use oneloop::{CloseReason, EndReason, Event, Limits, Next, Shared};
use oneloop_sim::{Client, Faults, LinkProfile, Simulation, Status};

use super::probe::*;

fn pattern(bytes: usize) -> Arc<[u8]> {
    (0..bytes).map(|number| (number % 251) as u8).collect()
}

/// Opens connections to a server whose sessions read nothing until they are told to.
fn connect_many<const EDGE: bool>(
    simulation: &mut Simulation<Probe, EDGE>,
    many: usize,
) -> Vec<Client> {
    let clients: Vec<_> = (0..many).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    clients
}

/// Answers any input with the shared bytes between two copied words.
fn page(bytes: Arc<[u8]>) -> impl FnMut(Step<'_, '_>) -> Next {
    move |mut step| {
        if !step.take().is_empty() {
            step.cx.write(b"head ");
            step.cx.write_shared(Arc::clone(&bytes).into());
            step.cx.write(b" foot");
        }
        step.read_for(HOUR)
    }
}

fn whole_page(bytes: &[u8]) -> Vec<u8> {
    [b"head ", bytes, b" foot"].concat()
}

#[test]
fn shared_output_leaves_in_one_write_with_its_surroundings() {
    let bytes = pattern(10_000);
    let mut simulation = simulate(Limits::default(), page(Arc::clone(&bytes)));
    let clients = connect_many(&mut simulation, 1);
    for round in 1..=3 {
        clients[0].send(b"?");
        simulation.run_for(ms(10));
        assert_eq!(clients[0].received(), whole_page(&bytes));
        assert_eq!(simulation.network().call_counts().writes, round);
        let sent = simulation.reactor().counters().bytes_out();
        assert_eq!(sent, round * 10_010);
    }
}

#[test]
fn shared_output_taken_in_any_parts_arrives_whole_and_once() {
    let bytes = pattern(700);
    let faults = Faults {
        short_writes: 1.0,
        interruptions: 0.3,
        needless_blocks: 0.3,
        ..Faults::NONE
    };
    // The first write may end at any of its 710 bytes.
    let mut simulation = simulate(Limits::default(), page(Arc::clone(&bytes)));
    simulation.network().set_faults(faults);
    let clients = connect_many(&mut simulation, 1);
    for round in 0..3_000 {
        clients[0].send(b"?");
        simulation.run_for(ms(200));
        assert_eq!(clients[0].received(), whole_page(&bytes), "round {round}");
    }
    assert_eq!(simulation.reactor().usage().buffered_bytes, 0);
}

#[test]
fn shared_output_of_many_slices_leaves_in_several_writes() {
    let bytes = pattern(100_000);
    let parts = Shared::from(Arc::clone(&bytes));
    let mut simulation = simulate(Limits::default(), move |mut step| {
        if !step.take().is_empty() {
            for from in (0..100_000).step_by(500) {
                step.cx.write_shared(parts.slice(from..from + 500));
            }
        }
        step.read_for(HOUR)
    });
    let clients = connect_many(&mut simulation, 1);
    clients[0].send(b"?");
    simulation.run_for(SECOND);
    assert!(clients[0].received() == *bytes);
}

#[test]
fn broadcast_to_peers_that_do_not_read_is_held_once() {
    let bytes = pattern(500_000);
    let mut simulation = simulate(
        Limits {
            send_buffer_bytes: 1000,
            write_timeout: MINUTE,
            ..Limits::default()
        },
        page(Arc::clone(&bytes)),
    );
    let clients = connect_many(&mut simulation, 100);
    let free = Arc::strong_count(&bytes);
    for client in &clients {
        client.stop_reading();
        client.send(b"?");
    }
    simulation.run_for(SECOND);
    assert_eq!(Arc::strong_count(&bytes), free + 100);
    let held = simulation.reactor().usage().buffered_bytes;
    assert!(held <= 100 * 300, "{held} bytes are held");
    for client in &clients[..50] {
        client.resume_reading();
    }
    simulation.run_for(SECOND);
    for client in &clients[..50] {
        assert!(client.received() == whole_page(&bytes));
    }
    assert_eq!(Arc::strong_count(&bytes), free + 50);
    // The others time out.
    simulation.run_for(2 * MINUTE);
    assert_eq!(Arc::strong_count(&bytes), free);
    for client in &clients[50..] {
        assert_eq!(client.status(), Status::Failed(ErrorKind::ConnectionReset));
    }
    let timed_out = simulation
        .reactor()
        .counters()
        .ended(EndReason::WriteTimeout);
    assert_eq!(timed_out, 50);
}

#[test]
fn shared_output_that_is_taken_steadily_makes_progress() {
    let limits = Limits {
        write_timeout: 5 * SECOND,
        write_progress_bytes: 4096,
        send_buffer_bytes: 1000,
        ..Limits::default()
    };
    let bytes = pattern(60_000);
    let mut simulation = simulate(limits, page(Arc::clone(&bytes)));
    // 4,096 bytes in four seconds: 58 seconds for all of it.
    let client = simulation.connect_over(LinkProfile {
        bytes_per_second: 1024,
        receive_buffer_bytes: 4096,
        ..LinkProfile::ideal()
    });
    client.send(b"?");
    simulation.run_for(70 * SECOND);
    assert_eq!(simulation.reactor().service().end(0), None);
    assert_eq!(client.received(), whole_page(&bytes));
}

#[test]
fn shared_output_counts_to_the_mark_and_to_the_maximum() {
    let limits = Limits {
        input_bytes_max: 100,
        output_bytes_mark: 800,
        output_bytes_max: 1000,
        ..Limits::default()
    };
    let bytes = Shared::from(pattern(1001));
    let mut simulation = simulate(limits, move |mut step| {
        for length in step.take() {
            let length = 4 * usize::from(length) + 1;
            step.cx.write_shared(bytes.slice(..length));
            assert_eq!(step.cx.room(), 800_usize.saturating_sub(step.cx.written()));
        }
        step.read_for(HOUR)
    });
    let clients = connect_many(&mut simulation, 3);
    clients[0].send(&[249, 0, 0]); // 999 bytes, with two copied ones
    clients[1].send(&[249, 0, 0, 0]);
    clients[2].send(&[250]);
    simulation.run_for(SECOND);
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(0), None);
    assert_eq!(clients[0].received().len(), 999);
    let overflow = Some(EndReason::OutputOverflow);
    assert_eq!((probe.end(1), probe.end(2)), (None, overflow));
    assert_eq!(clients[1].received().len(), 1000);
    clients[0].send(&[250]);
    simulation.run_for(SECOND);
    assert_eq!(simulation.reactor().service().end(0), overflow);
    assert_eq!(clients[0].received(), b"");
}

#[test]
fn shared_output_of_a_session_that_closes_arrives_before_the_end() {
    let bytes = pattern(300_000);
    let shared = Shared::from(Arc::clone(&bytes));
    let mut simulation = simulate(Limits::default(), move |mut step| {
        if step.take().is_empty() {
            return step.read_for(HOUR);
        }
        step.cx.write_shared(shared.clone());
        Next::Close(CloseReason::Completed)
    });
    let clients = connect_many(&mut simulation, 1);
    clients[0].send(b"?");
    simulation.run_for(SECOND);
    assert!(clients[0].received() == *bytes && clients[0].at_end());
    assert_eq!(clients[0].status(), Status::Open);
}

#[test]
fn shared_output_of_a_session_that_panics_is_not_sent() {
    let bytes = Shared::from(pattern(1000));
    let mut simulation = simulate(raising(100, 1000), move |mut step| {
        let input = step.take();
        if input == b"panic" {
            step.cx.write(b"not this");
            step.cx.write_shared(bytes.clone());
            let _ = step.cx.raise_input_max(1000);
            std::panic::resume_unwind(Box::new("as planned"));
        }
        step.cx.write(&input);
        step.read_for(HOUR)
    });
    let clients = connect_many(&mut simulation, 3);
    clients[0].send(b"panic");
    clients[1].send(b"mine");
    clients[2].send(b"");
    simulation.run_for(SECOND);
    assert_eq!(clients[0].received(), b"");
    assert_eq!(clients[1].received(), b"mine");
}

#[test]
fn stream_of_shared_chunks_takes_one_write_for_each() {
    const CHUNK: usize = 10_000;
    let bytes = pattern(100 * CHUNK);
    let whole = Shared::from(Arc::clone(&bytes));
    let mut sent = 0;
    let limits = Limits {
        send_buffer_bytes: 100 * CHUNK as u32,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, move |mut step| {
        step.take();
        if matches!(step.event, Event::Data | Event::Flushed) && sent < whole.len() {
            step.cx.write_shared(whole.slice(sent..sent + CHUNK));
            assert!(!step.cx.has_room());
            sent += CHUNK;
            return Next::Flush;
        }
        step.read_for(HOUR)
    });
    let clients = connect_many(&mut simulation, 1);
    clients[0].send(b"?");
    simulation.run_for(SECOND);
    assert!(clients[0].received() == *bytes);
    assert_eq!(simulation.network().call_counts().writes, 100);
}

/// Returns how much of an output of `bytes` bytes leaves while its peer does not read.
fn taken_of(bytes: usize) -> u64 {
    let bytes = Shared::from(pattern(bytes));
    let mut simulation = simulate(Limits::default(), move |step| {
        if step.event == Event::Open {
            step.cx.write_shared(bytes.clone());
        }
        step.read_for(HOUR)
    });
    let client = simulation.connect_over(LinkProfile {
        receive_buffer_bytes: 1,
        ..LinkProfile::ideal()
    });
    client.stop_reading();
    simulation.run_for(SECOND);
    simulation.reactor().counters().bytes_out()
}

#[test]
fn large_output_gets_a_large_send_buffer() {
    const DEFAULT: u64 = 32 * 1024;
    assert_eq!(taken_of(64 * 1024 - 1), DEFAULT);
    assert_eq!(taken_of(64 * 1024), 64 * 1024);
    assert_eq!(taken_of(500_000), 256 * 1024);
}

fn raising(most: usize, hard: usize) -> Limits {
    Limits {
        input_bytes_max: most,
        input_bytes_hard_max: Some(hard),
        ..Limits::default()
    }
}

/// Answers messages, whose length is in their first four bytes, with that length. Refuses those
/// that are too long.
fn by_length(step: Step<'_, '_>) -> Next {
    while let Some((head, _)) = step.cx.input().split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*head) as usize;
        if step.cx.input().len() < length {
            if !step.cx.raise_input_max(length) {
                step.cx.write(b"too long");
                return Next::Close(CloseReason::ProtocolError);
            }
            break;
        }
        let body = step.cx.input()[4..length].to_vec();
        assert!(body.iter().all(|&byte| byte == body[0]));
        step.cx.consume(length);
        write!(step.cx, "{length} ");
    }
    step.read_for(HOUR)
}

fn message(length: usize, fill: u8) -> Vec<u8> {
    let mut message = vec![fill; length];
    message[..4].copy_from_slice(&(length as u32).to_be_bytes());
    message
}

#[test]
fn message_longer_than_the_maximum_is_read_after_the_session_raised_it() {
    let mut simulation = simulate(raising(1000, 500_000), by_length);
    let clients = connect_many(&mut simulation, 1);
    for length in [5, 999, 1000, 1001, 5000, 500_000, 50, 30_000] {
        clients[0].send(&message(length, 7));
        simulation.run_for(SECOND);
        assert_eq!(clients[0].received(), format!("{length} ").into_bytes());
        assert_eq!(simulation.reactor().usage().buffered_bytes, 0);
    }
    // Several at once, and in the smallest pieces.
    let all: Vec<_> = [5, 4000, 1001, 2, 20_000]
        .map(|length| message(length.max(5), 9))
        .concat();
    clients[0].send(&all);
    simulation.run_for(SECOND);
    assert_eq!(clients[0].received(), b"5 4000 1001 5 20000 ");
    for byte in &all[..5100] {
        clients[0].send(&[*byte]);
        simulation.run_for(ms(1));
    }
    assert_eq!(clients[0].received(), b"5 4000 1001 5 ");
}

#[test]
fn message_longer_than_the_hard_maximum_is_refused() {
    let mut simulation = simulate(raising(1000, 5000), by_length);
    let clients = connect_many(&mut simulation, 1);
    clients[0].send(&message(5001, 7));
    simulation.run_for(3 * SECOND);
    assert_eq!(clients[0].received(), b"too long");
    let end = simulation.reactor().service().end(0);
    assert_eq!(end, Some(EndReason::ProtocolError));
}

#[test]
fn input_maximum_is_raised_for_one_session_and_one_message() {
    // Raises it at the letter R, and consumes up to the last C.
    let mut simulation = simulate(raising(1000, 5000), |step| {
        let input = step.cx.input();
        if input.last() == Some(&b'R') {
            assert!(step.cx.raise_input_max(3000));
        }
        if let Some(last) = input.iter().rposition(|&byte| byte == b'C') {
            step.cx.consume(last + 1);
        }
        step.read_for(HOUR)
    });
    let clients = connect_many(&mut simulation, 5);
    let send = |simulation: &mut Simulation<Probe>, number: usize, bytes: &[u8]| {
        clients[number].send(bytes);
        simulation.run_for(3 * SECOND);
        simulation.reactor().service().end(number as u32)
    };
    let overflow = Some(EndReason::InputOverflow);
    // Up to the raised maximum, and not a byte more.
    assert_eq!(send(&mut simulation, 0, b"R"), None);
    assert_eq!(send(&mut simulation, 0, &[b'.'; 2999]), None);
    assert_eq!(send(&mut simulation, 0, b"."), overflow);
    // Not for another session, also not after one that has raised it for nothing.
    assert_eq!(send(&mut simulation, 1, b"CR"), None);
    assert_eq!(send(&mut simulation, 2, &[b'.'; 1000]), None);
    assert_eq!(send(&mut simulation, 2, b"."), overflow);
    // Not once input is consumed.
    assert_eq!(send(&mut simulation, 1, &[b'.'; 1500]), None);
    assert_eq!(send(&mut simulation, 1, b"C."), None);
    assert_eq!(send(&mut simulation, 1, &[b'.'; 999]), None);
    assert_eq!(send(&mut simulation, 1, b"."), overflow);
    // Also not if all of it is consumed in the step that raises it.
    let mut simulation = simulate(raising(1000, 5000), |mut step| {
        if step.cx.input() == b"R" {
            assert!(step.cx.raise_input_max(3000));
            step.take();
        }
        step.read_for(HOUR)
    });
    let clients = connect_many(&mut simulation, 1);
    clients[0].send(b"R");
    simulation.run_for(ms(10));
    clients[0].send(&[b'.'; 1001]);
    simulation.run_for(3 * SECOND);
    assert_eq!(simulation.reactor().service().end(0), overflow);
}

#[test]
fn session_sees_its_limits() {
    let mut simulation = simulate(raising(1000, 5000), |step| {
        let (limits, seen) = (Limits::default(), step.cx.limits());
        assert_eq!(
            (seen.input_bytes_max, seen.input_bytes_hard_max),
            (1000, 5000)
        );
        assert_eq!(seen.output_bytes_mark, limits.output_bytes_mark);
        assert_eq!(seen.output_bytes_max, limits.output_bytes_max);
        Next::Close(CloseReason::Completed)
    });
    let clients = connect_many(&mut simulation, 1);
    simulation.run_for(3 * SECOND);
    assert!(clients[0].at_end());
    let end = simulation.reactor().service().end(0);
    assert_eq!(end, Some(EndReason::Completed));
}
