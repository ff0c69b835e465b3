//! Draws what the dashboard showed while the issuer was away for a while: `make dashboard-picture` has a real Prometheus
//! read the real operator for it.
//!
//! `cargo run --example dashboard-picture -- data.json picture.svg`

use std::env;
use std::error::Error;
use std::fs;

use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

const SIZE: (u32, u32) = (1000, 760);
/// Room for the names at the right of the curves.
const WIDER: f64 = 1.9;
const FONT: &str = "sans-serif";
/// A part of the picture: its caption, and the panels of the dashboard that it shows.
const PARTS: [(&str, &[&str]); 6] = [
    ("SyniverseTokens: live, dying, dead", &["Live", "Dying", "Dead"]),
    ("Time to expiry, s", &["Time to expiry, the nearest 20"]),
    ("Dead seconds in 30 s", &["Dead seconds"]),
    ("Calls to issuers a second, by outcome", &["Calls by outcome"]),
    ("Overlap, s: median, and all but one in a hundred", &["Overlap"]),
    ("Pods told a second", &["Pods told"]),
];
/// Curves that lie on each other can be told apart.
const COLORS: [RGBColor; 8] = [
    RGBColor(40, 110, 180),
    RGBColor(230, 150, 30),
    RGBColor(200, 60, 40),
    RGBColor(60, 150, 90),
    RGBColor(130, 90, 170),
    RGBColor(120, 120, 120),
    RGBColor(20, 160, 170),
    RGBColor(210, 100, 160),
];

/// A curve, by the seconds since the begin.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [data, picture] = arguments.as_slice() else {
        return Err("name the file with the data and that of the picture".into());
    };
    let series: Vec<Value> = serde_json::from_str(&fs::read_to_string(data)?)?;
    // When the first token was there.
    let firsts = series.iter().filter(|one| one["title"] == "Live").filter_map(|one| one["points"][0][0].as_f64());
    let begun = firsts.fold(f64::MAX, f64::min);
    let root = SVGBackend::new(picture, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (caption, panels)) in root.split_evenly((3, 2)).iter().zip(PARTS) {
        let shown = series.iter().filter(|one| panels.iter().any(|title| one["title"] == *title));
        draw(area, caption, &shown.map(|one| curve(one, begun)).collect::<Vec<_>>())?;
    }
    root.present()?;
    Ok(())
}

/// What is no number, such as a quantile of nothing, has no point.
fn curve(series: &Value, begun: f64) -> Curve {
    let point = |pair: &Value| Some((pair[0].as_f64()? - begun, pair[1].as_str()?.parse::<f64>().ok()?));
    let points = series["points"].as_array().into_iter().flatten().filter_map(point);
    let points = points.filter(|(at, value)| *at >= 0.0 && value.is_finite()).collect();
    Curve { name: series["name"].as_str().unwrap_or_default().to_owned(), points }
}

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, caption: &str, curves: &[Curve]) -> Result<(), Box<dyn Error>> {
    let curves: Vec<_> = curves.iter().filter(|curve| curve.points.iter().any(|(_, value)| *value != 0.0)).collect();
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let last = points().map(|(at, _)| *at).fold(1.0, f64::max);
    let (lowest, highest) =
        points().fold((0.0, 0.1), |(low, high): (f64, f64), (_, value)| (low.min(*value), high.max(*value)));
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 15))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..last * WIDER, lowest * 1.1..highest * 1.15)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds")
        .x_labels(6)
        .label_style((FONT, 12))
        .draw()?;
    for (curve, color) in curves.iter().zip(COLORS.iter().cycle()) {
        chart
            .draw_series(LineSeries::new(curve.points.clone(), color.stroke_width(2)))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 14, y)], color.stroke_width(2)));
    }
    if !curves.is_empty() {
        let labels = &mut chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperRight).background_style(WHITE).label_font((FONT, 11)).draw()?;
    }
    Ok(())
}
