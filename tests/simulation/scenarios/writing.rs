//! Output: its flushing, its timeout, and the end of a connection.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;

use oneloop::{CloseReason, EndReason, Event, Limits, Next, Time};
use oneloop_sim::{Client, Faults, LinkProfile, Observer, Simulation, Status, Syscall};

use super::probe::*;

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|number| (number % 251) as u8).collect()
}

/// Returns a server and its client. Any input is answered with `bytes` bytes, and the session then
/// closes if `closes`.
fn answering(limits: Limits, bytes: usize, closes: bool) -> (Simulation<Probe>, Client) {
    let mut simulation = simulate(limits, move |mut step| {
        if step.take().is_empty() {
            return step.read_for(HOUR);
        }
        step.cx.write(&pattern(bytes));
        match closes {
            true => Next::Close(CloseReason::Completed),
            false => step.read_for(HOUR),
        }
    });
    let client = simulation.connect();
    simulation.run_for(ms(10));
    (simulation, client)
}

fn narrow(send_buffer_bytes: u32) -> Limits {
    Limits {
        send_buffer_bytes,
        ..Limits::default()
    }
}

#[test]
fn output_that_is_taken_in_parts_arrives_whole_and_once() {
    for (seed, faults) in [
        Faults::NONE,
        Faults {
            short_writes: 0.9,
            ..Faults::NONE
        },
        Faults {
            interruptions: 0.5,
            needless_blocks: 0.3,
            ..Faults::NONE
        },
    ]
    .into_iter()
    .enumerate()
    {
        let (mut simulation, client) = answering(narrow(1000), 100_000, false);
        simulation.network().set_faults(faults);
        client.send(b"go");
        simulation.run_for(MINUTE);
        assert!(client.received() == pattern(100_000), "case {seed}");
    }
}

/// Counts the writes for which there was no room at all.
struct Blocked(Rc<Cell<u32>>);

impl Observer for Blocked {
    fn observe(&mut self, _: Time, _: SocketAddr, what: Syscall<'_>) {
        if what == Syscall::WriteFailed(ErrorKind::WouldBlock) {
            self.0.set(self.0.get() + 1);
        }
    }
}

#[test]
fn short_write_is_not_retried_before_there_is_room() {
    let (mut simulation, client) = answering(narrow(1000), 50_000, false);
    let blocked = Rc::new(Cell::new(0));
    let network = simulation.network().clone();
    network.set_observer(Blocked(Rc::clone(&blocked)));
    client.send(b"go");
    simulation.run_for(MINUTE);
    assert!(client.received() == pattern(50_000));
    assert!(network.call_counts().writes >= 50);
    assert_eq!(blocked.get(), 0);
}

#[test]
fn output_up_to_the_maximum_leaves_and_one_byte_more_ends_with_a_reset() {
    let limits = || Limits {
        input_bytes_max: 10,
        output_bytes_mark: 10,
        output_bytes_max: 1000,
        ..Limits::default()
    };
    let (mut simulation, client) = answering(limits(), 1000, false);
    client.send(b"go");
    simulation.run_for(SECOND);
    assert_eq!(client.received(), pattern(1000));
    assert_eq!(simulation.reactor().service().end(0), None);

    let (mut simulation, client) = answering(limits(), 1001, false);
    client.send(b"go");
    simulation.run_for(SECOND);
    assert_eq!(client.received(), b"");
    let end = simulation.reactor().service().end(0);
    assert_eq!(end, Some(EndReason::OutputOverflow));
    assert_eq!(client.status(), Status::Failed(ErrorKind::ConnectionReset));
}

#[test]
fn output_of_one_session_that_was_too_much_does_not_end_the_next() {
    let limits = Limits {
        input_bytes_max: 10,
        output_bytes_mark: 10,
        output_bytes_max: 1000,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, |mut step| {
        let input = step.take();
        match (step.number, step.event) {
            (0, Event::Data) => step.cx.write(&[b'x'; 1001]),
            (1, Event::Data) => step.cx.write(&input),
            _ => {}
        }
        step.read_for(HOUR)
    });
    let clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    clients[0].send(b"too much");
    simulation.run_for(ms(10));
    // One session answers nothing, one answers.
    clients[2].send(b"quiet");
    simulation.run_for(ms(10));
    clients[1].send(b"loud");
    simulation.run_for(ms(10));
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(0), Some(EndReason::OutputOverflow));
    assert_eq!((probe.end(1), probe.end(2)), (None, None));
    assert_eq!(clients[1].received(), b"loud");
}

#[test]
fn output_that_is_taken_fast_at_first_and_then_too_slowly_ends() {
    let limits = Limits {
        write_timeout: 5 * SECOND,
        write_progress_bytes: 4096,
        ..narrow(1000)
    };
    let mut simulation = simulate(limits, |step| {
        if step.event == Event::Open {
            step.cx.write(&pattern(60_000));
        }
        step.read_for(HOUR)
    });
    connect_sipping(&simulation, 500, 20_000);
    simulation.run_for(20 * SECOND);
    let end = simulation.reactor().service().end(0);
    assert_eq!(end, Some(EndReason::WriteTimeout));
}

#[test]
fn output_that_a_peer_does_not_take_ends_after_its_time_with_a_reset() {
    let limits = Limits {
        write_timeout: 5 * SECOND,
        ..narrow(1000)
    };
    let (mut simulation, _) = answering(limits, 1_000_000, false);
    let client = connect_deaf(&mut simulation);
    client.send(b"go");
    simulation.run_for(ms(4990));
    assert_eq!(simulation.reactor().service().end(1), None);
    simulation.run_for(ms(20));
    let end = simulation.reactor().service().end(1);
    assert_eq!(end, Some(EndReason::WriteTimeout));
    simulation.run_for(SECOND);
    assert_eq!(client.status(), Status::Failed(ErrorKind::ConnectionReset));
}

#[test]
fn output_of_which_nothing_is_taken_ends_after_its_time() {
    let limits = Limits {
        write_timeout: 5 * SECOND,
        ..narrow(1000)
    };
    let mut simulation = simulate(limits, |mut step| {
        step.take();
        if step.event == Event::Open {
            step.cx.write(&pattern(3000));
        }
        step.read_for(HOUR)
    });
    let latency = ms(20);
    let client = simulation.connect_over(LinkProfile {
        latency: latency..=latency,
        ..LinkProfile::ideal()
    });
    // A third has arrived, another one is on its way.
    simulation.run_for(ms(50));
    client.vanish();
    simulation.run_for(ms(4960));
    assert_eq!(simulation.reactor().service().end(0), None);
    simulation.run_for(ms(20));
    let end = simulation.reactor().service().end(0);
    assert_eq!(end, Some(EndReason::WriteTimeout));
}

#[test]
fn output_that_is_taken_steadily_has_as_long_as_it_takes() {
    let limits = Limits {
        write_timeout: 5 * SECOND,
        write_progress_bytes: 4096,
        ..narrow(1000)
    };
    let mut simulation = simulate(limits, |step| match step.event {
        Event::Open => {
            step.cx.write(&pattern(60_000));
            Next::Close(CloseReason::Completed)
        }
        _ => step.read_for(HOUR),
    });
    // 4,096 bytes in four seconds: 58 seconds for all of it.
    let client = simulation.connect_over(LinkProfile {
        bytes_per_second: 1024,
        receive_buffer_bytes: 4096,
        ..LinkProfile::ideal()
    });
    simulation.run_for(50 * SECOND);
    assert_eq!(simulation.reactor().service().end(0), None);
    simulation.run_for(20 * SECOND);
    let end = simulation.reactor().service().end(0);
    assert_eq!(end, Some(EndReason::Completed));
    assert_eq!(client.received(), pattern(60_000));
}

#[test]
fn output_that_drips_away_more_slowly_than_that_ends() {
    let limits = Limits {
        write_timeout: 5 * SECOND,
        write_progress_bytes: 4096,
        ..narrow(1000)
    };
    let mut simulation = simulate(limits, |step| {
        if step.event == Event::Open {
            step.cx.write(&pattern(60_000));
        }
        step.read_for(HOUR)
    });
    let _client = simulation.connect_over(LinkProfile {
        bytes_per_second: 700,
        receive_buffer_bytes: 4096,
        ..LinkProfile::ideal()
    });
    simulation.run_for(20 * SECOND);
    let end = simulation.reactor().service().end(0);
    assert_eq!(end, Some(EndReason::WriteTimeout));
}

#[test]
fn room_that_came_in_time_is_used_though_its_event_is_late() {
    let limits = Limits {
        write_timeout: ms(50),
        ..narrow(100)
    };
    let mut simulation = simulate(limits, |step| {
        step.cx.write(&[b'x'; 150]);
        Next::Close(CloseReason::Completed)
    });
    simulation.network().set_faults(Faults {
        late_events: 1.0,
        ..Faults::NONE
    });
    // Room for the rest comes when the first part has arrived: five milliseconds before the
    // timeout, and its event up to thirty later.
    let clients: Vec<_> = (0..200)
        .map(|_| {
            simulation.connect_over(LinkProfile {
                latency: ms(45)..=ms(45),
                ..LinkProfile::ideal()
            })
        })
        .collect();
    simulation.run_for(10 * SECOND);
    let whole = clients
        .iter()
        .filter(|client| client.received().len() == 150);
    assert_eq!(whole.count(), 200);
}

#[test]
fn deadline_of_a_session_does_not_run_while_its_output_leaves() {
    let mut simulation = simulate(narrow(1000), |mut step| {
        step.take();
        match step.event {
            Event::Data => {
                step.cx.write(&pattern(20_000));
                step.read_for(SECOND)
            }
            Event::Timeout => Next::Close(CloseReason::Timeout),
            Event::Flushed => step.read_for(SECOND),
            _ => step.read_for(HOUR),
        }
    });
    let client = simulation.connect_over(LinkProfile {
        bytes_per_second: 5000,
        ..LinkProfile::ideal()
    });
    client.send(b"go");
    simulation.run_for(ms(4500));
    assert_eq!(client.received().len(), 20_000);
    assert_eq!(
        simulation.reactor().service().events(0),
        [Event::Open, Event::Data, Event::Flushed]
    );
    simulation.run_for(2 * SECOND);
    assert_eq!(
        simulation.reactor().service().events(0).last(),
        Some(&Event::Timeout)
    );
}

#[test]
fn closing_lets_everything_leave_and_then_the_end() {
    let (mut simulation, client) = answering(narrow(1000), 50_000, true);
    client.send(b"go");
    simulation.run_for(ms(100));
    assert_eq!(client.received(), pattern(50_000));
    assert!(client.at_end());
    assert_eq!(client.status(), Status::Open);
    client.close();
    simulation.run_for(ms(10));
    let end = simulation.reactor().service().end(0);
    assert_eq!(end, Some(EndReason::Completed));
}

#[test]
fn closing_discards_what_the_peer_still_sends_so_that_it_reads_the_last_words() {
    let limits = Limits {
        linger_timeout: 2 * SECOND,
        linger_bytes_max: 1000,
        ..Limits::default()
    };
    let (mut simulation, client) = answering(limits, 5, true);
    client.send(b"go");
    simulation.run_for(ms(10));
    for _ in 0..10 {
        client.send(&[1; 100]);
        simulation.run_for(ms(100));
    }
    assert_eq!(client.status(), Status::Open);
    assert_eq!(simulation.reactor().open_connections(), 1);
    assert_eq!(simulation.reactor().counters().bytes_in(), 1002);
    // One byte more is too much.
    client.send(b"x");
    simulation.run_for(ms(10));
    assert_eq!(simulation.reactor().open_connections(), 0);
    let end = simulation.reactor().service().end(0);
    assert_eq!(end, Some(EndReason::Completed));
}

#[test]
fn closing_waits_for_the_peer_so_long_and_no_longer() {
    let limits = Limits {
        linger_timeout: 2 * SECOND,
        ..Limits::default()
    };
    let (mut simulation, client) = answering(limits, 5, true);
    client.send(b"go");
    simulation.run_for(ms(1900));
    assert_eq!(simulation.reactor().open_connections(), 1);
    simulation.run_for(ms(200));
    assert_eq!(simulation.reactor().open_connections(), 0);
    assert_eq!(client.received(), pattern(5));
    assert_eq!(client.status(), Status::Open, "an end, and no reset");
}

#[test]
fn closing_after_the_peer_has_finished_waits_for_nothing() {
    let mut simulation = simulate(Limits::default(), echo);
    let client = simulation.connect();
    client.send(b"bye");
    client.finish();
    simulation.run_for(ms(10));
    assert_eq!(simulation.reactor().open_connections(), 0);
    assert_eq!(client.received(), b"bye");
    assert!(client.at_end());
}

#[test]
fn reset_by_the_peer_ends_a_session_that_writes() {
    let (mut simulation, client) = answering(narrow(1000), 1_000_000, false);
    client.stop_reading();
    client.send(b"go");
    simulation.run_for(ms(10));
    client.reset();
    simulation.run_for(ms(10));
    assert_eq!(
        simulation.reactor().service().end(0),
        Some(EndReason::Reset)
    );
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn output_above_the_mark_keeps_further_input_waiting() {
    let limits = Limits {
        output_bytes_mark: 100,
        output_bytes_max: 10_000,
        ..narrow(100)
    };
    let (mut simulation, client) = answering(limits, 200, false);
    client.stop_reading();
    // A receive buffer of 64 KiB, then the send buffer, then the loop: each answer has 200 bytes.
    for _ in 0..1000 {
        client.send(b"x");
        simulation.run_for(ms(1));
    }
    assert_eq!(simulation.reactor().open_connections(), 1);
    let held = simulation.reactor().usage().buffered_bytes;
    // With the queue of its one segment.
    assert!(held <= 264, "{held} bytes are held");
    client.resume_reading();
    simulation.run_for(SECOND);
    client.send(b"x");
    simulation.run_for(SECOND);
    let received = client.received().len();
    assert_eq!(received % 200, 0);
    assert!(received > 65_000);
}

#[test]
fn step_that_left_no_room_is_followed_by_flushed() {
    for piece in [1000, Limits::default().output_bytes_mark] {
        let mut left = 100_000;
        let mut simulation = simulate(Limits::default(), move |mut step| {
            step.take();
            while left > 0 && step.event != Event::Open && step.cx.has_room() {
                let bytes = left.min(piece);
                step.cx.write(&vec![7; bytes]);
                left -= bytes;
            }
            step.read_for(HOUR)
        });
        let client = simulation.connect();
        simulation.run_for(ms(10));
        client.send(b"go");
        simulation.run_for(10 * SECOND);
        assert_eq!(client.received(), vec![7; 100_000]);
        // Less than the mark, and so no event.
        let probe = simulation.reactor().service();
        assert!(probe.count(Call::Step(0, Event::Flushed)) < 20);
    }
}

#[test]
fn closing_discards_what_the_peer_still_sends_though_its_reads_are_interrupted() {
    let limits = Limits {
        linger_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let (mut simulation, client) = answering(limits, 1000, true);
    simulation.network().set_faults(Faults {
        interruptions: 0.5,
        ..Faults::NONE
    });
    client.send(b"go");
    for _ in 0..100 {
        client.send(&[b'x'; 1000]);
        simulation.run_for(ms(10));
    }
    client.finish();
    simulation.run_for(SECOND);
    assert_eq!(client.received(), pattern(1000));
    assert!(client.at_end());
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::Completed), 1);
    assert_eq!(counters.bytes_in(), 2 + 100 * 1000);
}
