//! Draws what `make bench-scale JSON=figures.jsonl` has measured: memory, and the time of a start, by the number of
//! resources.
//!
//! `cargo run --example scale-picture -- figures.jsonl picture.svg`

use std::env;
use std::error::Error;
use std::fs;

use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

const SIZE: (u32, u32) = (1000, 400);
const FONT: &str = "sans-serif";
/// A curve: the figure that it shows, its name, and its colour.
type Curve = (&'static str, &'static str, RGBColor);
const MEMORY: [Curve; 3] = [
    ("first sync: resident, peak", "first tokens, at most", RGBColor(200, 60, 40)),
    ("restart: resident, peak", "restart, at most", RGBColor(230, 150, 30)),
    ("at rest: resident", "at rest", RGBColor(40, 110, 180)),
];
const TIMES: [Curve; 3] = [
    ("first sync: time", "first token for all", RGBColor(200, 60, 40)),
    ("restart: every resource was looked at", "restart: all looked at", RGBColor(230, 150, 30)),
    ("restart: ready: every resource is known", "restart: all known", RGBColor(40, 110, 180)),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [figures, picture] = arguments.as_slice() else {
        return Err("name the file with the figures and that of the picture".into());
    };
    let runs = fs::read_to_string(figures)?;
    let runs: Vec<Value> = runs.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let machine = runs.first().and_then(|run| run["machine"].as_str()).unwrap_or_default();
    // The kernel, and what the machine was doing before, do not belong in a title.
    let machine = machine.split(", Linux").next().unwrap_or_default();
    let root = SVGBackend::new(picture, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(&format!("{machine}, which ran all of it"), (FONT, 14))?;
    let (left, right) = root.split_horizontally(SIZE.0 / 2);
    draw(&left, "Memory, MiB", &MEMORY, &runs)?;
    draw(&right, "Time of a start, s", &TIMES, &runs)?;
    root.present()?;
    Ok(())
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    curves: &[Curve],
    runs: &[Value],
) -> Result<(), Box<dyn Error>> {
    let drawn: Vec<_> = curves.iter().map(|curve| (curve, points(runs, curve.0))).collect();
    let all = || drawn.iter().flat_map(|(_, points)| points);
    let widest = all().map(|(size, _)| *size).fold(1000.0, f64::max);
    let highest = all().map(|(_, value)| *value).fold(10.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 16))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..widest * 1.05, 0.0..highest * 1.15)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("resources")
        .x_labels(6)
        .label_style((FONT, 13))
        .draw()?;
    for ((_, name, color), points) in drawn {
        chart
            .draw_series(LineSeries::new(points.clone(), color.stroke_width(2)).point_size(4))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .label_font((FONT, 13))
        .draw()?;
    Ok(())
}

/// The value of a figure by the number of resources, of the runs that have it.
fn points(runs: &[Value], figure: &str) -> Vec<(f64, f64)> {
    let size = |run: &Value| {
        let settings = run["run"].as_str()?;
        settings.split(' ').find_map(|part| part.strip_prefix("SIZE=")?.parse::<f64>().ok())
    };
    let mut points: Vec<_> =
        runs.iter().filter_map(|run| Some((size(run)?, run["figures"][figure].as_f64()?))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}
