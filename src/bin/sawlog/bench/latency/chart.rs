//! The percentiles as a picture: a line for each policy, waits upwards by powers of ten, percentiles to the right by
//! powers of what is left to 100 %.

use std::fmt::Write;

use hdrhistogram::Histogram;

use super::table::shown;
use super::{Run, f64_of};
use crate::bench::Policy;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 40.0;
/// The last percentile is 99.999: five powers of ten.
const DECADES: f64 = 5.0;
const STEPS: u32 = 100;
const TICKS: [(&str, f64); 6] =
    [("0", 0.0), ("90", 1.0), ("99", 2.0), ("99.9", 3.0), ("99.99", 4.0), ("99.999", 5.0)];
/// Between these powers of ten of nanoseconds at the most: 100 ns to 100 s.
const LEAST_POWER: i32 = 2;
const MOST_POWER: i32 = 11;

/// See the file's text.
pub(super) fn svg(runs: &[Run], title: &str) -> String {
    let (low, high) = powers(runs);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"13\">Wait for an acknowledgement: {title}</text>\n"
    );
    let bottom = HEIGHT - BOTTOM;
    for (name, at) in TICKS {
        let x = x_of(at);
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#ddd\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name} %</text>\n",
            bottom + 18.0
        );
    }
    for power in low..=high {
        let y = y_of(f64::from(power), low, high);
        let wait = shown(10_u64.saturating_pow(power.unsigned_abs()));
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{wait}</text>\n",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0
        );
    }
    for run in runs {
        let points = points(&run.waits, low, high);
        let (colour, row) = match run.policy {
            Policy::Sync => ("#c0392b", 0.0),
            Policy::Async => ("#2471a3", 16.0),
        };
        let (x, y) = (LEFT + 12.0, TOP + 16.0 + row);
        let _ = write!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{points}\"/>\n\
             <text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\">{}: {} messages</text>\n",
            run.policy,
            run.waits.len()
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// The powers of ten between which all waits lie.
fn powers(runs: &[Run]) -> (i32, i32) {
    let mut waits =
        runs.iter().filter(|run| !run.waits.is_empty()).flat_map(|run| [run.waits.min(), run.waits.max()]);
    let first = waits.next().unwrap_or(1_000);
    let (least, most) = waits.fold((first, first), |(least, most), wait| (least.min(wait), most.max(wait)));
    let above = |wait: u64| {
        (LEAST_POWER..MOST_POWER).find(|power| 10_u64.saturating_pow(power.unsigned_abs()) >= wait)
    };
    let high = above(most).unwrap_or(MOST_POWER);
    let low = above(least).map_or(MOST_POWER, |power| power - 1).clamp(LEAST_POWER, high - 1);
    (low, high.max(low + 1))
}

fn points(waits: &Histogram<u64>, low: i32, high: i32) -> String {
    let mut points = String::new();
    for step in 0..=STEPS {
        let at = DECADES * f64::from(step) / f64::from(STEPS);
        let quantile = 1.0 - 10_f64.powf(-at);
        let power = f64_of(waits.value_at_quantile(quantile).max(1)).log10();
        let _ = write!(points, "{:.1},{:.1} ", x_of(at), y_of(power, low, high));
    }
    points
}

fn x_of(at: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * at / DECADES
}

fn y_of(power: f64, low: i32, high: i32) -> f64 {
    let (low, high) = (f64::from(low), f64::from(high));
    let part = ((power - low) / (high - low)).clamp(0.0, 1.0);
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part
}

#[cfg(test)]
#[path = "chart_tests.rs"]
mod tests;
