//! The scaling plots.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::scenario::{CPU, PER_SECOND};
use oneloop_bench::figures::Figures;

/// Writes a plot over the number of connections for each unit.
pub(crate) fn write(figures: &Figures, folder: &Path) -> Result<(), Failure> {
    let curves = curves(figures, CPU);
    let path = folder.join("scaling-cpu.svg");
    draw(
        &path,
        "Server CPU time per exchange, µs (less is better)",
        &curves,
    )?;
    let curves = self::curves(figures, PER_SECOND);
    let path = folder.join("scaling-throughput.svg");
    draw(
        &path,
        "Verified exchanges per second (more is better)",
        &curves,
    )
}

/// An error of plotters.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// One contestant's medians over the number of connections.
struct Curve {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

fn curves(figures: &Figures, unit: &str) -> Vec<Curve> {
    let of = |(number, &name): (usize, &&'static str)| {
        let points = figures.figures().iter().filter_map(|figure| {
            let connections = figure.name.strip_prefix("exchange/")?.strip_suffix(unit)?;
            let connections = connections.trim().parse().ok()?;
            Some((connections, figure.spread(number)?.median))
        });
        let points = points.collect();
        Curve { name, points }
    };
    figures.contestants().iter().enumerate().map(of).collect()
}

fn draw(path: &Path, caption: &str, curves: &[Curve]) -> Result<(), Failure> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let highest = points().map(|point| point.1).fold(f64::MIN, f64::max);
    let lowest = points().map(|point| point.1).fold(f64::MAX, f64::min);
    let widest = points().map(|point| point.0).fold(1.0, f64::max);
    if points().next().is_none() {
        return Ok(());
    }
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(caption, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (0.8..widest * 2.0).log_scale(),
            (lowest * 0.8..highest * 1.25).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("connections, all active")
        .x_label_formatter(&|connections| format!("{connections:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()?;
    for (number, curve) in curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        // The first is our server.
        let style = colour.stroke_width(if number == 0 { 3 } else { 1 });
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), style).point_size(2))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        // Above the curves, where only falling ones come near.
        .position(SeriesLabelPosition::Coordinate(185, 16))
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    root.present()?;
    Ok(())
}

const SIZE: (u32, u32) = (800, 500);

/// Distinct without full colour vision (Okabe and Ito), and two greys.
const COLOURS: [RGBColor; 10] = [
    RGBColor(213, 94, 0),
    RGBColor(170, 170, 170),
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
    RGBColor(120, 60, 160),
    RGBColor(90, 90, 90),
];
