//! Lines in an SVG, with a white ground, so that it can be read in a dark viewer as well.

use std::fmt::Display;
use std::io;

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

const SIZE: (u32, u32) = (840, 420);

/// The width of what stands to the right of the lines and says whose they are.
const LEGEND: u32 = 190;

/// Okabe and Ito's, who chose them to be told apart by everybody.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// One axis.
#[derive(Debug, Clone)]
pub struct Axis {
    name: String,
    logarithmic: bool,
    least: Option<f64>,
}

impl Axis {
    /// From zero, or from below if there is anything.
    pub fn linear(name: impl Into<String>) -> Self {
        Self { name: name.into(), logarithmic: false, least: None }
    }

    /// Each step ten times the last.
    pub fn logarithmic(name: impl Into<String>) -> Self {
        Self { name: name.into(), logarithmic: true, least: None }
    }

    /// Reaching at least to this, so that plots beside each other can be compared.
    #[must_use]
    pub fn reaching(self, most: f64) -> Self {
        Self { least: Some(most), ..self }
    }

    fn range(&self, values: impl Iterator<Item = f64> + Clone) -> std::ops::Range<f64> {
        let most = values.clone().chain(self.least).fold(f64::MIN_POSITIVE, f64::max);
        let least = values.fold(f64::INFINITY, f64::min);
        match self.logarithmic {
            true => 10_f64.powf(least.log10().floor())..most * 1.3,
            false => least.min(0.0)..most * 1.05,
        }
    }
}

/// Lines over one another.
#[derive(Debug, Clone)]
pub struct Chart {
    title: String,
    x: Axis,
    y: Axis,
    lines: Vec<(String, Vec<(f64, f64)>)>,
    dotted: bool,
}

impl Chart {
    /// Without a line yet.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), x, y, lines: Vec::new(), dotted: true }
    }

    /// Without a dot at each point, where there are many.
    #[must_use]
    pub fn undotted(self) -> Self {
        Self { dotted: false, ..self }
    }

    /// One more line.
    pub fn line(&mut self, name: &dyn Display, points: impl IntoIterator<Item = (f64, f64)>) {
        self.lines.push((name.to_string(), points.into_iter().collect()));
    }

    /// As an SVG.
    ///
    /// # Panics
    ///
    /// If there is nothing to draw.
    pub fn svg(&self) -> io::Result<String> {
        let drawn = self.lines.iter().any(|(_, points)| !points.is_empty());
        assert!(drawn, "a chart without a point has no axes: {}", self.title);
        let points = self.lines.iter().flat_map(|(_, points)| points);
        let x = self.x.range(points.clone().map(|point| point.0));
        let y = self.y.range(points.map(|point| point.1));
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            let drawn = match (self.x.logarithmic, self.y.logarithmic) {
                (false, false) => self.draw(&root, x, y),
                (false, true) => self.draw(&root, x, y.log_scale()),
                (true, false) => self.draw(&root, x.log_scale(), y),
                (true, true) => self.draw(&root, x.log_scale(), y.log_scale()),
            };
            drawn.map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(svg)
    }

    fn draw<X, Y>(
        &self,
        root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
        x: X,
        y: Y,
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        X: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
        Y: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
    {
        root.fill(&WHITE)?;
        let (plot, legend) = root.split_horizontally(SIZE.0 - LEGEND);
        let mut chart = ChartBuilder::on(&plot)
            .caption(&self.title, ("sans-serif", 17))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(70)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(&self.x.name)
            .y_desc(&self.y.name)
            .label_style(("sans-serif", 13))
            .axis_desc_style(("sans-serif", 14))
            .max_light_lines(0)
            .bold_line_style(RGBColor(225, 225, 225))
            .x_labels(8)
            .y_labels(8)
            .x_label_formatter(&|value| short(*value))
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        for (nth, ((name, points), y)) in self.lines.iter().zip((50..).step_by(22)).enumerate() {
            let colour = COLOURS[nth % COLOURS.len()];
            chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
            if self.dotted {
                let dots = points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
                chart.draw_series(dots)?;
            }
            legend.draw(&PathElement::new([(4, y + 7), (26, y + 7)], colour.stroke_width(3)))?;
            legend.draw(&Text::new(name.as_str(), (32, y), ("sans-serif", 14)))?;
        }
        root.present()?;
        Ok(())
    }
}

/// A number as briefly as it can be read: 10k, 2.5, 0.01.
fn short(value: f64) -> String {
    let size = value.abs();
    let (value, unit) = match size {
        1e6.. => (value / 1e6, "M"),
        1e3.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = if size >= 0.1 || size == 0.0 { 2 } else { 4 };
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_as_short_as_it_can_be() {
        let shorts = [0.0, 0.01, 0.5, 10.0, 2500.0, 10_000.0, 1e7].map(short);
        assert_eq!(shorts, ["0", "0.01", "0.5", "10", "2.5k", "10k", "10M"]);
    }

    #[test]
    fn a_chart_has_every_line_and_its_name() {
        let mut chart = Chart::new("t", Axis::logarithmic("n"), Axis::linear("s"));
        chart.line(&"one of them", [(1.0, 2.0), (1000.0, 3.0)]);
        let svg = chart.svg().unwrap();
        assert!(svg.contains("one of them") && svg.contains("polyline") && svg.contains("1k"));
    }
}
