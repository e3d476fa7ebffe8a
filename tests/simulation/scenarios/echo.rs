//! An echo of lines, under every valid configuration.

use std::time::Duration;

use oneloop::{CloseReason, Context, Event, Limits, Next, Peer, Service, ServiceContext};
use oneloop_sim::{Faults, LinkProfile, Network, Rng, Simulation};

use super::layers::rig;
use super::probe::*;

/// Echoes each line.
struct Echo {
    lines: u64,
}

impl Service for Echo {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        while cx.has_room()
            && let Some(end) = cx.input().iter().position(|&byte| byte == b'\n')
        {
            cx.write(&cx.input()[..=end]);
            cx.consume(end + 1);
            self.lines += 1;
        }
        match event {
            Event::Eof => Next::Close(CloseReason::Eof),
            Event::Timeout => Next::Close(CloseReason::Timeout),
            Event::Drain => Next::Close(CloseReason::Shutdown),
            _ => Next::Read {
                until: cx.after(Duration::from_secs(60)),
            },
        }
    }
}

/// Draws buffer sizes from all that are valid.
fn limits(random: &mut Rng) -> Limits {
    let input = random.magnitude(2..=20_000) as usize;
    let mark = random.magnitude(1..=20_000) as usize;
    let output_max = mark + input + random.magnitude(1..=10_000) as usize - 1;
    rig::limits(random, input, (mark, output_max))
}

fn lines(random: &mut Rng, longest: usize) -> Vec<u8> {
    let mut lines = Vec::new();
    for number in 0..random.magnitude(1..=60) {
        let length = random.magnitude(1..=longest as u64) as usize;
        lines.resize(lines.len() + length - 1, b'a' + (number % 26) as u8);
        lines.push(b'\n');
    }
    lines
}

fn echoes<const EDGE: bool>(seed: u64) {
    let mut random = Rng::new(seed);
    let limits = limits(&mut random);
    let sent = lines(&mut random, limits.input_bytes_max);
    let network = Network::<EDGE>::new(seed);
    network.set_faults(Faults {
        short_writes: random.choose(&[0.0, 0.3]),
        short_reads: random.choose(&[0.0, 0.3]),
        needless_blocks: random.choose(&[0.0, 0.2]),
        interruptions: random.choose(&[0.0, 0.2]),
        ..Faults::NONE
    });
    let mut simulation = Simulation::with_network(network, Echo { lines: 0 }, limits.clone());
    let client = simulation.connect_over(LinkProfile {
        latency: ms(0)..=ms(3),
        segment_bytes: 1..=random.magnitude(1..=65_536),
        receive_buffer_bytes: random.magnitude(1000..=65_536) as usize,
        ..LinkProfile::ideal()
    });
    client.send(&sent);
    if random.random_bool(0.5) {
        client.finish();
    }
    simulation.run_for(HOUR);
    let received = client.received();
    assert!(
        received == sent,
        "seed {seed}: {} of {} bytes, {limits:?}",
        received.len(),
        sent.len()
    );
}

#[test]
fn echo_of_lines_of_every_length_is_whole_under_every_valid_configuration() {
    for seed in 0..300 {
        echoes::<true>(seed);
        echoes::<false>(seed);
    }
}
