//! The random parts of the runs in which layers surround the [strict](super::strict) service.

use oneloop::Limits;
use oneloop_sim::{Faults, LinkProfile, Rng};

use super::super::probe::ms;
use super::strict::{answered, pattern};

/// Draws up to `most` commands.
pub(super) fn commands(random: &mut Rng, most: u64) -> Vec<u8> {
    let mut commands = Vec::new();
    for _ in 0..random.magnitude(1..=most) {
        commands.push(random.choose(b"wwwwnnnspa"));
        commands.push(random.magnitude(1..=255) as u8);
    }
    commands
}

/// Returns the answer to the commands.
pub(super) fn answer(commands: &[u8]) -> Vec<u8> {
    (0..answered(commands)).map(pattern).collect()
}

/// Draws the limits of a server that holds `input` bytes of unread input, and whose steps write up
/// to `output_max` bytes.
pub(crate) fn limits(random: &mut Rng, input: usize, (mark, output_max): (usize, usize)) -> Limits {
    let limits = Limits {
        input_bytes_max: input,
        output_bytes_mark: mark,
        output_bytes_max: output_max,
        turn_bytes_max: random.magnitude(1..=100_000) as usize,
        send_buffer_bytes: random.magnitude(1..=65_536) as u32,
        receive_buffer_bytes: random.magnitude(1..=65_536) as u32,
        write_progress_bytes: 1,
        ..Limits::default()
    };
    limits.validate().expect("limits that hold");
    limits
}

pub(super) fn link(random: &mut Rng) -> LinkProfile {
    LinkProfile {
        latency: ms(0)..=ms(3),
        segment_bytes: 1..=random.magnitude(1..=65_536),
        receive_buffer_bytes: random.magnitude(1000..=65_536) as usize,
        ..LinkProfile::ideal()
    }
}

/// Draws faults in spite of which every byte arrives.
pub(super) fn mild_faults(random: &mut Rng) -> Faults {
    Faults {
        short_writes: random.choose(&[0.0, 0.3]),
        short_reads: random.choose(&[0.0, 0.3]),
        needless_blocks: random.choose(&[0.0, 0.2]),
        interruptions: random.choose(&[0.0, 0.2]),
        spurious_events: random.choose(&[0.0, 0.2]),
        late_events: random.choose(&[0.0, 0.2]),
        ..Faults::NONE
    }
}
