//! Charts as SVG. The page sets the colours, for a light and a dark theme.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

/// A chart. Nothing in it may be negative, and on a logarithmic axis nothing zero.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    pub(super) x: Axis<'a>,
    pub(super) y: Axis<'a>,
    pub(super) marks: Marks,
    /// The knee, which is marked by a vertical line.
    pub(super) knee: Option<f64>,
}

/// The contents of a chart.
#[derive(Debug)]
pub(super) enum Marks {
    /// Lines, in the order of the page's colours. At most [`COLOURS`].
    Lines(Vec<Vec<(f64, f64)>>),
    /// Bars: from where to where, and how high.
    Bars(Vec<(f64, f64, f64)>),
}

/// An axis.
#[derive(Clone, Copy)]
pub(super) struct Axis<'a> {
    pub(super) scale: Scale,
    /// Its title, with the unit if its figures have none.
    pub(super) label: &'a str,
    pub(super) show: &'a dyn Fn(f64) -> String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// From zero.
    Linear,
    Logarithmic,
    /// Logarithmic, from a power of ten to another, so that at least two of them are labelled.
    Decades,
}

impl std::fmt::Debug for Axis<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.scale, self.label)
    }
}

impl<'a> Chart<'a> {
    /// Returns a chart of lines.
    pub(super) fn lines(x: Axis<'a>, y: Axis<'a>, lines: Vec<Vec<(f64, f64)>>) -> Self {
        Self {
            x,
            y,
            marks: Marks::Lines(lines),
            knee: None,
        }
    }

    /// Returns the chart as an `svg` element, or nothing if there is nothing to draw.
    pub(super) fn svg(&self, size: (u32, u32)) -> Option<String> {
        let points = self.marks.corners();
        let x = range(points.iter().map(|&(x, _)| x), self.x.scale)?;
        let y = range(points.iter().map(|&(_, y)| y), self.y.scale)?;
        let mut svg = String::new();
        self.draw(&mut svg, size, x, y)
            .expect("writing into a string cannot fail");
        Some(themed(svg, size))
    }

    fn draw(&self, svg: &mut String, size: (u32, u32), x: (f64, f64), y: (f64, f64)) -> Drawn {
        let area = SVGBackend::with_string(svg, size).into_drawing_area();
        let (x_lin, y_lin) = (x.0..x.1, y.0..y.1);
        match (self.x.scale, self.y.scale) {
            (Scale::Linear, Scale::Linear) => self.draw_on(&area, y, x_lin, y_lin),
            (Scale::Linear, _) => self.draw_on(&area, y, x_lin, y_lin.log_scale()),
            (_, Scale::Linear) => self.draw_on(&area, y, x_lin.log_scale(), y_lin),
            _ => self.draw_on(&area, y, x_lin.log_scale(), y_lin.log_scale()),
        }
    }

    fn draw_on<X, Y>(
        &self,
        area: &DrawingArea<SVGBackend<'_>, Shift>,
        heights: (f64, f64),
        x: impl AsRangedCoord<CoordDescType = X, Value = f64>,
        y: impl AsRangedCoord<CoordDescType = Y, Value = f64>,
    ) -> Drawn
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let narrow = area.dim_in_pixel().0 < 500;
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(18)
            .x_label_area_size(50)
            .y_label_area_size(78)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_labels(if narrow { 5 } else { 9 })
            .y_labels(6)
            .x_desc(self.x.label)
            .y_desc(self.y.label)
            .x_label_formatter(&|x| (self.x.show)(*x))
            .y_label_formatter(&|y| (self.y.show)(*y))
            .label_style(("sans-serif", FONT).into_font().color(&INK))
            .axis_desc_style(("sans-serif", FONT).into_font().color(&INK))
            .axis_style(GRID)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        if let Some(knee) = self.knee {
            let ends = [(knee, heights.0), (knee, heights.1)];
            chart.draw_series(LineSeries::new(ends, KNEE.stroke_width(2)))?;
        }
        match &self.marks {
            Marks::Bars(bars) => {
                let bars = bars.iter().map(|&(from, to, height)| {
                    Rectangle::new([(from, heights.0), (to, height)], LINES[0].filled())
                });
                chart.draw_series(bars)?;
            }
            Marks::Lines(lines) => {
                for (line, colour) in lines.iter().zip(LINES) {
                    let points = line.iter().copied();
                    chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
                    let is_sparse = line.len() <= 24;
                    let dots = line.iter().filter(|_| is_sparse);
                    chart.draw_series(dots.map(|&at| Circle::new(at, 3, colour.filled())))?;
                }
            }
        }
        area.present()
    }
}

type Drawn = Result<(), DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>>;

impl Marks {
    /// Returns the points that must be within the axes.
    fn corners(&self) -> Vec<(f64, f64)> {
        match self {
            Self::Lines(lines) => lines.concat(),
            Self::Bars(bars) => {
                let corners = bars.iter();
                corners
                    .flat_map(|&(from, to, height)| [(from, height), (to, height)])
                    .collect()
            }
        }
    }
}

/// Returns the range of an axis, with a little air.
fn range(values: impl Iterator<Item = f64>, scale: Scale) -> Option<(f64, f64)> {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::MAX, f64::MIN), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    if low > high {
        return None;
    }
    Some(match scale {
        Scale::Linear => (0.0, (high * 1.05).max(f64::MIN_POSITIVE)),
        // One value alone makes no range.
        Scale::Logarithmic => (low * 0.9, high * 1.15),
        Scale::Decades => (
            decade(low * 0.999, f64::floor),
            decade(high * 1.001, f64::ceil),
        ),
    })
}

fn decade(value: f64, round: fn(f64) -> f64) -> f64 {
    10f64.powf(round(value.log10()))
}

/// Puts the page's colours in the place of ours, and lets the chart be as wide as the page.
fn themed(svg: String, (width, height): (u32, u32)) -> String {
    let fixed = format!("width=\"{width}\" height=\"{height}\"");
    let mut svg = svg.replacen(&fixed, "role=\"img\"", 1);
    let named = [(INK, "--ink"), (GRID, "--grid"), (KNEE, "--knee")].into_iter();
    let lines = LINES.into_iter().zip(["--line-1", "--line-2", "--line-3"]);
    for (RGBColor(r, g, b), name) in named.chain(lines) {
        svg = svg.replace(&format!("#{r:02X}{g:02X}{b:02X}"), &format!("var({name})"));
    }
    svg
}

/// In pixels.
const FONT: u32 = 14;
/// Colours that stand for those of the page.
const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);
const KNEE: RGBColor = RGBColor(6, 6, 6);
const LINES: [RGBColor; COLOURS] = [RGBColor(3, 3, 3), RGBColor(4, 4, 4), RGBColor(5, 5, 5)];
/// Lines that have a colour of their own.
pub(super) const COLOURS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(lines: Vec<Vec<(f64, f64)>>, scale: Scale) -> Option<String> {
        let axis = Axis {
            scale,
            label: "something",
            show: &|value| format!("{value:.1}"),
        };
        Chart::lines(axis, axis, lines).svg((400, 200))
    }

    #[test]
    fn chart_has_the_colours_of_the_page() {
        for scale in [Scale::Linear, Scale::Logarithmic, Scale::Decades] {
            let svg = chart(vec![vec![(1.0, 5.0), (10.0, 7.0)]], scale).expect("two points");
            for name in ["var(--ink)", "var(--grid)", "var(--line-1)", "viewBox"] {
                assert!(svg.contains(name), "{name} is not in {svg}");
            }
            assert!(!svg.contains("#0"), "a colour is left in {svg}");
            assert!(!svg.contains("width=\"400\""));
        }
    }

    #[test]
    fn both_axes_are_labelled() {
        let svg = chart(vec![vec![(1.0, 5.0), (10.0, 7.0)]], Scale::Linear).expect("two points");
        assert_eq!(svg.matches("something").count(), 2, "{svg}");
    }

    #[test]
    fn knee_is_a_line_from_bottom_to_top() {
        let axis = Axis {
            scale: Scale::Logarithmic,
            label: "something",
            show: &|value| format!("{value:.1}"),
        };
        let mut chart = Chart::lines(axis, axis, vec![vec![(1.0, 5.0), (10.0, 7.0)]]);
        chart.knee = Some(5.0);
        let svg = chart.svg((400, 200)).expect("two points");
        assert!(svg.contains("var(--knee)"), "{svg}");
    }

    #[test]
    fn bars_are_filled_rectangles() {
        let axis = Axis {
            scale: Scale::Linear,
            label: "something",
            show: &|value| format!("{value:.1}"),
        };
        let chart = Chart {
            marks: Marks::Bars(vec![(1.0, 2.0, 5.0), (2.0, 3.0, 6.0)]),
            ..Chart::lines(axis, axis, Vec::new())
        };
        let svg = chart.svg((400, 200)).expect("two bars");
        assert_eq!(svg.matches("fill=\"var(--line-1)\"").count(), 2, "{svg}");
    }

    #[test]
    fn single_point_is_drawn_and_an_empty_chart_is_not() {
        for scale in [Scale::Linear, Scale::Logarithmic, Scale::Decades] {
            let svg = chart(vec![vec![(1.0, 5.0)]], scale).expect("one point");
            assert!(!svg.contains("NaN"), "{svg}");
            assert_eq!(chart(vec![vec![]], scale), None);
        }
    }
}
