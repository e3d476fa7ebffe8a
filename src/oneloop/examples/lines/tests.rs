//! Lines of every length, and lines in simulated storms.

use oneloop::testing::Harness;
use oneloop_sim::{Dialog, Rng, storm};

use super::*;

const LONGEST: usize = LINES.frame_bytes_max() - "\r\n".len();
const ERROR: &str = "error: a message of 4001 bytes or more, at most 4000 are allowed\n";

#[test]
fn line_of_every_length_is_echoed_whole_or_refused() {
    let limits = Limits::default();
    let around = |bytes: usize| bytes - 3..bytes + 4;
    let lengths = (0..20)
        .chain(around(LONGEST))
        .chain(around(limits.output_bytes_mark))
        .chain(around(limits.input_bytes_max));
    for length in lengths {
        for ending in ["\n", "\r\n"] {
            let line = "x".repeat(length);
            let expected = match length <= LONGEST {
                true => format!("{line}\n"),
                false => ERROR.to_owned(),
            };
            assert_eq!(answer(&[&line, ending]), expected, "{length} bytes");
            assert_eq!(answer(&[&(line + ending)]), expected, "{length} bytes");
        }
    }
}

/// Returns the answer to some pieces of input.
fn answer(pieces: &[&str]) -> String {
    let (mut lines, mut harness) = (Lines { count: 0 }, Harness::new());
    let mut session = harness.open(&mut lines);
    for piece in pieces {
        harness.receive(piece.as_bytes());
        if let Next::Close(_) = harness.step(&mut lines, &mut session, Event::Data) {
            break;
        }
    }
    String::from_utf8(harness.take_output()).expect("text")
}

#[test]
fn lines_in_a_storm_have_no_wrong_byte() {
    let mut complete = 0;
    for seed in 0..200 {
        let mut random = Rng::new(seed);
        let dialogs: Vec<_> = (0..4).map(|_| dialog(&mut random)).collect();
        complete += storm(Lines { count: 0 }, Limits::default(), seed, &dialogs).complete;
    }
    assert!(complete > 500, "only {complete} of 800 were complete");
}

/// Some lines, and perhaps one that is too long.
fn dialog(random: &mut Rng) -> Dialog {
    let mut dialog = Dialog::default();
    for _ in 0..random.magnitude(1..=12) {
        let length = random.magnitude(1..=LONGEST as u64) as usize;
        let line = [b'a' + random.below(26) as u8].repeat(length);
        let ending = random.choose(&["\n", "\r\n"]);
        dialog.sends.extend([&line, ending.as_bytes()].concat());
        dialog.expects.extend([&line[..], b"\n"].concat());
    }
    if random.random_bool(0.2) {
        dialog.sends.extend([b'x'; LONGEST + 1]);
        dialog.expects.extend(ERROR.as_bytes());
    }
    dialog
}
