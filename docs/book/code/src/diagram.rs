//! Draws the figures of the book, as SVG, from captures, measurements and models.

use std::fmt::Write;

use crate::pcap::Segment;
use crate::turns::Turn;
use crate::wheel::Wheel;

const INK: &str = "#222";
const FAINT: &str = "#bbb";
const COLOURS: [&str; 3] = ["#2563a8", "#b0402c", "#3c7d3c"];

/// An SVG document in the making.
struct Picture {
    body: String,
    width: f64,
    height: f64,
}

impl Picture {
    fn new(width: f64, height: f64) -> Self {
        let body = String::new();
        Self {
            body,
            width,
            height,
        }
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str) {
        self.stroke(from, to, colour, "");
    }

    fn arrow(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.stroke(from, to, INK, " marker-end=\"url(#head)\"");
    }

    fn stroke(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, more: &str) {
        let _ = writeln!(
            self.body,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"{more}/>",
            from.0, from.1, to.0, to.1
        );
    }

    fn text(&mut self, at: (f64, f64), anchor: &str, text: &str) {
        self.coloured_text(at, anchor, INK, text);
    }

    fn coloured_text(&mut self, at: (f64, f64), anchor: &str, colour: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            self.body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>",
            at.0, at.1
        );
    }

    fn rect(&mut self, at: (f64, f64), size: (f64, f64), fill: &str) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\" stroke=\"{INK}\"/>",
            at.0, at.1, size.0, size.1
        );
    }

    fn polyline(&mut self, points: &[(f64, f64)], colour: &str) {
        let points: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            self.body,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
    }

    fn finish(self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
             font-family=\"monospace\" font-size=\"12\">\n\
             <defs><marker id=\"head\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" \
             markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 L10 5 L0 10 z\" fill=\"{INK}\"/></marker></defs>\n\
             <rect width=\"{w}\" height=\"{h}\" fill=\"#fff\"/>\n{body}</svg>\n",
            w = self.width,
            h = self.height,
            body = self.body
        )
    }
}

/// Draws segments as a sequence diagram: time goes down, and the numbers are absolute. `client` is
/// the port of the client.
pub fn sequence(segments: &[Segment], client: u16) -> String {
    const STEP: f64 = 56.0;
    let (client_x, server_x, top) = (60.0, 620.0, 50.0);
    let bottom = top + STEP * segments.len() as f64 + 10.0;
    let mut picture = Picture::new(680.0, bottom + 20.0);
    for (x, name) in [(client_x, "client"), (server_x, "server")] {
        picture.text((x, 22.0), "middle", name);
        picture.line((x, 32.0), (x, bottom), FAINT);
    }
    for (number, segment) in segments.iter().enumerate() {
        let y = top + STEP * number as f64;
        let (from, to) = match segment.from == client {
            true => (client_x, server_x),
            false => (server_x, client_x),
        };
        picture.arrow((from, y + 8.0), (to, y + 26.0));
        let label = format!("{} seq={} ack={}", segment.flags, segment.seq, segment.ack);
        let middle = (client_x + server_x) / 2.0;
        picture.text((middle, y + 5.0), "middle", &label);
        let data = segment.text();
        picture.coloured_text((middle, y + 36.0), "middle", COLOURS[0], &data);
    }
    picture.finish()
}

/// Draws a wheel: its slots, the deadlines in them, the hand.
pub fn wheel(wheel: &Wheel) -> String {
    let centre = (230.0, 220.0);
    let slots = wheel.slots().len();
    let at = |slot: usize, radius: f64| {
        let angle = slot as f64 / slots as f64 * std::f64::consts::TAU;
        (
            centre.0 + radius * angle.sin(),
            centre.1 - radius * angle.cos(),
        )
    };
    let mut picture = Picture::new(460.0, 440.0);
    for slot in 0..slots {
        let (x, y) = at(slot, 120.0);
        picture.rect((x - 12.0, y - 10.0), (24.0, 20.0), "#eef3f8");
        picture.text((x, y + 4.0), "middle", &slot.to_string());
        for (place, (tick, key)) in wheel.slots()[slot].iter().enumerate() {
            let (x, y) = at(slot, 165.0);
            let text = format!("#{key}@{tick}");
            let colour = COLOURS[usize::from(*tick > wheel.now() + slots as u64)];
            let y = y + 4.0 + 14.0 * place as f64;
            picture.coloured_text((x, y), "middle", colour, &text);
        }
    }
    let hand = (wheel.now() % slots as u64) as usize;
    picture.arrow(centre, at(hand, 104.0));
    let now = format!("now = tick {}", wheel.now());
    picture.text((centre.0, centre.1 + 22.0), "middle", &now);
    picture.finish()
}

/// Draws the ready queue, turn by turn.
pub fn turns(turns: &[Turn]) -> String {
    const STEP: f64 = 54.0;
    let mut picture = Picture::new(640.0, 50.0 + STEP * turns.len() as f64);
    picture.text((20.0, 24.0), "start", "turn");
    picture.text(
        (90.0, 24.0),
        "start",
        "ready queue, first on the left: connection (names left)",
    );
    for (number, turn) in turns.iter().enumerate() {
        let y = 40.0 + STEP * number as f64;
        picture.text((20.0, y + 24.0), "start", &format!("{}", number + 1));
        for (place, (key, names)) in turn.queue.iter().enumerate() {
            let x = 90.0 + 95.0 * place as f64;
            picture.rect((x, y), (85.0, 36.0), "#eef3f8");
            picture.text((x + 42.0, y + 22.0), "middle", &format!("#{key} ({names})"));
        }
        let x = 100.0 + 95.0 * turn.queue.len() as f64;
        picture.text((x, y + 22.0), "start", &turn.note);
    }
    picture.finish()
}

/// A line of a chart.
#[derive(Clone, Debug)]
pub struct Line {
    /// What the line stands for.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// The texts and scales of a chart.
#[derive(Clone, Copy, Debug)]
pub struct Axes {
    /// What goes from left to right.
    pub x: &'static str,
    /// What goes from bottom to top.
    pub y: &'static str,
    /// How far apart numbers are from left to right. From bottom to top, the scale is linear.
    pub x_scale: Scale,
}

/// How far apart numbers are on a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally far apart.
    Linear,
    /// Equal ratios are equally far apart.
    Logarithmic,
}

/// Draws lines over two axes.
pub fn chart(axes: Axes, lines: &[Line]) -> String {
    let (left, right, top, bottom) = (80.0, 600.0, 30.0, 300.0);
    let mut picture = Picture::new(720.0, 350.0);
    let place = |value: f64| match axes.x_scale {
        Scale::Linear => value,
        Scale::Logarithmic => value.max(1e-9).log10(),
    };
    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let x_low = all().map(|point| place(point.0)).fold(f64::MAX, f64::min);
    let x_high = all().map(|point| place(point.0)).fold(f64::MIN, f64::max);
    let y_high = all().map(|point| point.1).fold(f64::MIN, f64::max);
    let at = |(x, y): (f64, f64)| {
        (
            left + (right - left) * (place(x) - x_low) / (x_high - x_low).max(1e-9),
            bottom - (bottom - top) * y / y_high.max(1e-9),
        )
    };
    picture.line((left, bottom), (right, bottom), INK);
    picture.line((left, bottom), (left, top), INK);
    picture.text(((left + right) / 2.0, bottom + 40.0), "middle", axes.x);
    picture.text((left - 60.0, top - 12.0), "start", axes.y);
    let x_marks = match axes.x_scale {
        Scale::Linear => round_marks(x_high),
        Scale::Logarithmic => (x_low as i32..=x_high as i32)
            .map(|power| 10_f64.powi(power))
            .collect(),
    };
    for mark in x_marks {
        let (x, _) = at((mark, 1.0));
        picture.line((x, bottom), (x, bottom + 5.0), INK);
        picture.text((x, bottom + 18.0), "middle", &short(mark));
    }
    for mark in round_marks(y_high) {
        let (_, y) = at((1.0, mark));
        picture.line((left - 5.0, y), (right, y), FAINT);
        picture.text((left - 8.0, y + 4.0), "end", &short(mark));
    }
    for (number, line) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<_> = line.points.iter().map(|point| at(*point)).collect();
        picture.polyline(&points, colour);
        let y = top + 18.0 + 14.0 * number as f64;
        picture.coloured_text((left + 14.0, y + 4.0), "start", colour, &line.name);
    }
    picture.finish()
}

/// Returns multiples of a round number from zero to `high`, five or so.
fn round_marks(high: f64) -> Vec<f64> {
    let power = 10_f64.powf((high / 5.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = steps.into_iter().find(|step| high / step <= 5.0);
    let step = step.unwrap_or(high);
    (0..=(high / step) as usize)
        .map(|number| number as f64 * step)
        .collect()
}

fn short(value: f64) -> String {
    match value {
        value if value >= 10.0 || value == 0.0 => format!("{value:.0}"),
        value => format!("{value}"),
    }
}
