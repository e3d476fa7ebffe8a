//! A session in full duplex behind a transformation: its two directions stay independent.

use oneloop::layer::{Compose, Decoded, Layered, Output, Transform, Transformed};
use oneloop::{CloseReason, Context, EndReason, Event, Limits, Next, Peer, ServiceContext, Time};
use oneloop_sim::{Client, Faults, LinkProfile, Network, Rng, Simulation};

use super::super::probe::*;
use super::rig;

/// Inverts every bit, in frames of at most 1,000 bytes; the byte 0 ends the stream.
struct Inverted;

impl Transform for Inverted {
    type State = ();

    fn open(&mut self, _: &Peer, _: &mut ServiceContext) {}

    fn decode(
        &mut self,
        (): &mut (),
        cx: &mut Context<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<Decoded, CloseReason> {
        let bytes = cx.input().len().min(1000);
        let frame = &cx.input()[..bytes];
        let end = frame.iter().position(|&byte| byte == 0);
        let frame = &frame[..end.unwrap_or(bytes)];
        plain.extend(frame.iter().map(|byte| !byte));
        cx.consume(frame.len());
        Ok(match (end, bytes) {
            (Some(_), _) => Decoded::End,
            (None, 0) => Decoded::All,
            (None, _) => Decoded::Some,
        })
    }

    fn encode(&mut self, (): &mut (), plain: &Output, cx: &mut Context<'_>) {
        plain.pieces().for_each(|piece| cx.write(&inverted(piece)));
    }

    fn finish(&mut self, (): &mut (), cx: &mut Context<'_>) {
        cx.write(&[0]);
    }
}

fn inverted(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

/// Returns bytes without 255, whose inverse ends a stream.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|number| (number % 251) as u8).collect()
}

type Behind = Layered<Transformed<Inverted>, Probe>;

/// Returns a server on a network with faults, and a client that does not read and has sent `plain`
/// and the end of the stream.
fn serving(
    (seed, faults): (u64, Faults),
    plain: &[u8],
    act: impl FnMut(Step<'_, '_>) -> Next + 'static,
) -> (Simulation<Behind>, Client) {
    let limits = Limits {
        write_progress_bytes: 1,
        ..small_buffers()
    };
    let network = Network::new(seed);
    network.set_faults(faults);
    let service = Probe::new(act).with(Transformed::new(Inverted));
    let mut simulation = Simulation::with_network(network, service, limits);
    let client = simulation.connect_over(LinkProfile {
        receive_buffer_bytes: 1000,
        ..LinkProfile::default()
    });
    client.stop_reading();
    simulation.run_for(ms(10));
    client.send(&inverted(plain));
    client.send(&[0]);
    (simulation, client)
}

/// Returns what the client has received, deciphered, without the end of the stream.
fn received(client: &Client) -> Vec<u8> {
    let mut wire = client.received();
    assert_eq!(wire.pop(), Some(0), "the end of the stream");
    inverted(&wire)
}

#[test]
fn session_in_duplex_reads_all_input_while_its_output_waits() {
    let (mut simulation, client) = serving((1, Faults::NONE), &pattern(50_000), echo_in_duplex);
    simulation.run_for(10 * SECOND);
    let counters = simulation.reactor().counters();
    assert_eq!(counters.bytes_in(), 50_001);
    assert!(counters.bytes_out() < 10_000, "{counters:?}");
    client.resume_reading();
    simulation.run_for(10 * SECOND);
    assert!(received(&client) == pattern(50_000));
    client.finish();
    simulation.run_for(10 * SECOND);
    let probe = simulation.reactor().service().inner();
    assert_eq!(probe.end(0), Some(EndReason::Eof));
    assert_eq!(simulation.reactor().usage(), Default::default());
}

/// Echoes in full duplex while there is room, and pauses while there is none.
fn echo_while_room(step: Step<'_, '_>) -> Next {
    step.cx.set_duplex(true);
    while step.cx.has_room() && !step.cx.input().is_empty() {
        let input = step.cx.input();
        let piece = &input[..input.len().min(100)];
        step.cx.write(piece);
        step.cx.consume(piece.len());
    }
    match step.event {
        Event::Eof if step.cx.input().is_empty() => Next::Close(CloseReason::Eof),
        _ if step.cx.has_room() => step.read_for(HOUR),
        _ => step.pause_for(HOUR),
    }
}

#[test]
fn unread_plaintext_in_duplex_is_presented_again_once_there_is_room() {
    let mark = Limits::default().output_bytes_mark;
    let (mut simulation, client) = serving((1, Faults::NONE), &pattern(40_000), echo_while_room);
    simulation.run_for(10 * SECOND);
    let counters = simulation.reactor().counters();
    let unsent = counters.bytes_in() - counters.bytes_out();
    // The output up to the mark, unread plaintext, and unread input.
    let most = mark + 3 * Limits::default().input_bytes_max;
    assert!((mark as u64..most as u64).contains(&unsent), "{unsent}");
    client.resume_reading();
    simulation.run_for(10 * SECOND);
    assert!(received(&client) == pattern(40_000));
    client.finish();
    simulation.run_for(10 * SECOND);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

/// Sends a stream of its own in full duplex, whatever comes, and counts that.
fn stream_both_ways(bytes: usize) -> impl FnMut(Step<'_, '_>) -> Next {
    let (mut sent, mut got, mut ended) = (0, Vec::new(), false);
    let stream = pattern(bytes);
    move |mut step| {
        if step.event == Event::Open {
            step.cx.set_duplex(true);
        }
        got.extend(step.take());
        ended |= step.event == Event::Eof;
        let piece = step.cx.room().min(bytes - sent);
        step.cx.write(&stream[sent..sent + piece]);
        sent += piece;
        match (sent < bytes, ended) {
            (false, true) => {
                assert!(got == pattern(got.len()), "input was changed");
                Next::Close(CloseReason::Completed)
            }
            _ => step.read_for(HOUR),
        }
    }
}

#[test]
fn streams_in_both_directions_are_whole_under_faults() {
    for seed in 0..100 {
        let mut random = Rng::new(seed);
        let faults = rig::mild_faults(&mut random);
        let (down, up) = (random.below(60_000), random.below(60_000));
        let (mut simulation, client) =
            serving((seed, faults), &pattern(up), stream_both_ways(down));
        // The client reads only after it has sent everything.
        simulation.run_for(20 * SECOND);
        client.resume_reading();
        simulation.run_for(MINUTE);
        assert!(received(&client) == pattern(down), "seed {seed}");
        client.finish();
        simulation.run_for(MINUTE);
        let probe = simulation.reactor().service().inner();
        assert_eq!(probe.end(0), Some(EndReason::Completed), "seed {seed}");
        assert_eq!(simulation.reactor().counters().bytes_in(), up as u64 + 1);
        assert_eq!(simulation.reactor().usage(), Default::default());
    }
}

#[test]
fn session_in_duplex_finishes_sending_and_reads_on() {
    let (mut simulation, client) = serving((1, Faults::NONE), b"", |mut step| {
        let input = step.take();
        if step.event == Event::Open {
            step.cx.set_duplex(true);
            step.cx.write(&pattern(5000));
            step.cx.finish();
        }
        assert!(input.is_empty());
        match step.event {
            Event::Eof => Next::Close(CloseReason::Eof),
            _ => step.read_for(HOUR),
        }
    });
    client.resume_reading();
    simulation.run_for(SECOND);
    assert!(received(&client) == pattern(5000));
    assert!(client.at_end());
    client.finish();
    simulation.run_for(SECOND);
    let probe = simulation.reactor().service().inner();
    assert_eq!(probe.end(0), Some(EndReason::Eof));
    assert!(probe.time_of(Call::Step(0, Event::Eof)) > Some(Time::START));
}
