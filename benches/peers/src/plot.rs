//! Line plots as SVG: panels side by side, values on a logarithmic scale, one colour for each engine.

use std::fmt::Write;

const COLOURS: [&str; 8] =
    ["#000000", "#d62728", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#17becf"];
const PANEL: (f64, f64) = (330.0, 300.0);
const MARGIN: (f64, f64) = (70.0, 50.0);
const LEGEND: f64 = 150.0;
const PANELS_OF_A_ROW: usize = 3;

/// One plot: what stands on its axes, and a line for each engine.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x_name: &'static str,
    pub(crate) y_name: &'static str,
    pub(crate) xs: Vec<String>,
    pub(crate) lines: Vec<Line>,
}

/// An engine's values, one for each of [`Panel::xs`] that it has.
pub(crate) struct Line {
    pub(crate) engine: String,
    pub(crate) ys: Vec<Option<f64>>,
}

/// `engines` says which colour is whose, in all plots the same.
pub(crate) fn svg(panels: &[Panel], engines: &[&str]) -> String {
    let columns = panels.len().min(PANELS_OF_A_ROW);
    let rows = panels.len().div_ceil(PANELS_OF_A_ROW);
    let across = PANEL.0 + MARGIN.0 + 20.0;
    let down = PANEL.1 + 2.0 * MARGIN.1;
    let (width, height) = (columns as f64 * across + LEGEND, rows as f64 * down);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        let (row, column) = (number / PANELS_OF_A_ROW, number % PANELS_OF_A_ROW);
        panel.draw(&mut out, (column as f64 * across + MARGIN.0, row as f64 * down + MARGIN.1), engines);
    }
    let left = width - LEGEND + 10.0;
    for (number, engine) in engines.iter().enumerate() {
        let y = MARGIN.1 + 18.0 * number as f64;
        let (colour, to) = (colour(engines, engine), left + 24.0);
        let _ = writeln!(out, "<path d=\"M{left} {y}H{to}\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        text(&mut out, (to + 6.0, y + 4.0), "start", engine);
    }
    out.push_str("</svg>\n");
    out
}

fn colour(engines: &[&str], engine: &str) -> &'static str {
    let number = engines.iter().position(|known| *known == engine).unwrap_or(0);
    COLOURS[number % COLOURS.len()]
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

impl Panel {
    fn draw(&self, out: &mut String, (left, top): (f64, f64), engines: &[&str]) {
        let bottom = top + PANEL.1;
        let values = self.lines.iter().flat_map(|line| line.ys.iter().flatten().copied());
        let logs = values.filter(|value| *value > 0.0).map(f64::log10);
        let (least, most) =
            logs.fold((f64::MAX, f64::MIN), |(least, most), log| (least.min(log), most.max(log)));
        if least > most {
            return;
        }
        let (low, high) = (least.floor() as i32, (most.ceil() as i32).max(least.floor() as i32 + 1));
        let y_of = |log: f64| bottom - (log - f64::from(low)) / f64::from(high - low) * PANEL.1;
        let step = PANEL.0 / self.xs.len() as f64;
        let x_of = |at: usize| left + step * (at as f64 + 0.5);
        text(out, (left + PANEL.0 / 2.0, top - 28.0), "middle", &self.title);
        text(out, (left - 60.0, top - 10.0), "start", self.y_name);
        text(out, (left + PANEL.0 / 2.0, bottom + 38.0), "middle", self.x_name);
        for power in low..=high {
            let y = y_of(f64::from(power));
            let right = left + PANEL.0;
            let _ = writeln!(out, "<path d=\"M{left} {y:.1}H{right}\" stroke=\"#dddddd\"/>");
            text(out, (left - 6.0, y + 4.0), "end", &short(10_f64.powi(power)));
        }
        // Where there are many, every other one is named.
        let every = if self.xs.len() > 10 { 2 } else { 1 };
        for (at, x) in self.xs.iter().enumerate().step_by(every) {
            text(out, (x_of(at), bottom + 18.0), "middle", x);
        }
        for line in &self.lines {
            let colour = colour(engines, &line.engine);
            let points: Vec<_> = (0..).zip(&line.ys).filter_map(|(at, y)| Some((x_of(at), (*y)?))).collect();
            let points: Vec<_> =
                points.into_iter().filter(|(_, y)| *y > 0.0).map(|(x, y)| (x, y_of(y.log10()))).collect();
            let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            if path.len() > 1 {
                let path = path.join("L");
                let _ = writeln!(
                    out,
                    "<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
                );
            }
            for (x, y) in points {
                let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }
        }
    }
}

/// A power of ten, for an axis.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 1e3 => format!("{} k", v / 1e3),
        v => format!("{v}"),
    }
}
