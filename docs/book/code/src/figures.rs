//! The figures of the book: what each is drawn from.

use std::collections::BTreeMap;
use std::fs;

use crate::diagram::{self, Axes, Line, Scale};
use crate::pages::{book, repository_capture};
use crate::pcap::Segment;
use crate::turns::take_turns;
use crate::wheel::Wheel;

/// Returns the name and the SVG of every figure.
///
/// # Panics
///
/// Panics if a capture or a measurement of the repository cannot be read.
pub fn all() -> Vec<(&'static str, String)> {
    let captured = |name| repository_capture(name).expect("a capture");
    let draw = |segments: &[Segment], from: usize, to: usize| {
        diagram::sequence(&segments[from..to], segments[0].from)
    };
    let conversation = captured("conversation");
    let end = conversation.len() - 5;
    let half_close = captured("half-close");
    let reset = captured("reset");
    vec![
        ("handshake", draw(&conversation, 0, 3)),
        ("data", draw(&conversation, 3, end)),
        ("end", draw(&conversation, end, end + 5)),
        ("half-close", draw(&half_close, 5, half_close.len())),
        ("reset", draw(&reset, 0, reset.len())),
        ("ready-queue", diagram::turns(&take_turns(&[7, 2, 1], 3))),
        ("timer-wheel", diagram::wheel(&example_wheel())),
        ("back-pressure", back_pressure()),
        ("scaling", scaling()),
    ]
}

/// Returns the wheel of chapter 9: twelve slots, the hand at tick 26, five deadlines.
pub fn example_wheel() -> Wheel {
    let mut wheel = Wheel::new(12, 26);
    for (key, tick) in [28, 31, 31, 36, 43].into_iter().enumerate() {
        wheel.add(tick, key);
    }
    wheel
}

fn back_pressure() -> String {
    let lines = lines(&table("pressure.txt"), 1, 2);
    let axes = Axes {
        x: "KiB sent by a client that does not read",
        y: "memory of the server, KiB",
        x_scale: Scale::Linear,
    };
    diagram::chart(axes, &lines)
}

fn scaling() -> String {
    let lines = lines(&table("scaling.txt"), 1, 2);
    let axes = Axes {
        x: "connections",
        y: "processor time for each exchange, microseconds",
        x_scale: Scale::Logarithmic,
    };
    diagram::chart(axes, &lines)
}

/// Returns the rows of a measurement, without the heading.
///
/// # Panics
///
/// Panics if the file cannot be read.
pub fn table(file: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(book().join("code/data").join(file)).expect("a measurement");
    let rows = text.lines().skip(1);
    rows.map(|row| row.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// Returns a line for each word in the first column.
fn lines(rows: &[Vec<String>], x: usize, y: usize) -> Vec<Line> {
    let mut points: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows {
        let number = |column: usize| row[column].parse().expect("a number");
        points
            .entry(&row[0])
            .or_default()
            .push((number(x), number(y)));
    }
    let lines = points.into_iter();
    lines
        .map(|(name, points)| Line {
            name: name.to_owned(),
            points,
        })
        .collect()
}
