//! All rows of a run, and what is made of them: medians, ranges, ratios of the same round.

use std::collections::BTreeMap;
use std::path::Path;

use crate::row::Row;

pub(crate) const BASELINE: &str = "raw";

/// Which figures are meant, of whichever engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of<'a> {
    pub(crate) work: &'a str,
    pub(crate) size: usize,
    pub(crate) load: usize,
    pub(crate) metric: &'a str,
}

/// Median, least and greatest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) count: usize,
}

pub(crate) struct Figures {
    rows: Vec<Row>,
}

impl Figures {
    pub(crate) fn load(path: &Path) -> std::io::Result<Figures> {
        let text = std::fs::read_to_string(path)?;
        let rows: Result<Vec<Row>, String> = text.lines().skip(1).map(str::parse).collect();
        Ok(Figures { rows: rows.map_err(std::io::Error::other)? })
    }

    fn by_round(&self, engine: &str, of: Of<'_>) -> BTreeMap<u32, f64> {
        let matching = self.rows.iter().filter(|row| {
            row.engine == engine
                && row.work == of.work
                && row.size_bytes == of.size
                && row.load == of.load
                && row.metric == of.metric
        });
        matching.map(|row| (row.round, row.value)).collect()
    }

    pub(crate) fn spread(&self, engine: &str, of: Of<'_>) -> Option<Spread> {
        spread(self.by_round(engine, of).into_values().collect())
    }

    /// Of each round in which both were measured: the engine's figure over the baseline's, whose metric may be another.
    pub(crate) fn ratios(&self, engine: &str, of: Of<'_>, baseline_metric: &str) -> Vec<f64> {
        let base = self.by_round(BASELINE, Of { metric: baseline_metric, ..of });
        let ours = self.by_round(engine, of);
        ours.into_iter().filter_map(|(round, value)| Some(value / base.get(&round)?)).collect()
    }

    /// In the order in which they were first measured, the baseline first.
    pub(crate) fn engines(&self, work: &str) -> Vec<&str> {
        let mut engines: Vec<&str> = Vec::new();
        for row in self.rows.iter().filter(|row| row.work == work) {
            if !engines.contains(&row.engine.as_str()) {
                engines.push(&row.engine);
            }
        }
        engines.sort_by_key(|engine| *engine != BASELINE);
        engines
    }

    /// The sizes and loads with which a work was done, ascending.
    pub(crate) fn shapes(&self, work: &str) -> Vec<(usize, usize)> {
        let of_work = self.rows.iter().filter(|row| row.work == work);
        let mut shapes: Vec<_> = of_work.map(|row| (row.size_bytes, row.load)).collect();
        shapes.sort_unstable();
        shapes.dedup();
        shapes
    }

    /// The metrics of a work that begin with these letters, in the order in which they were measured.
    pub(crate) fn metrics(&self, work: &str, begin: &str) -> Vec<&str> {
        let mut metrics: Vec<&str> = Vec::new();
        for row in self.rows.iter().filter(|row| row.work == work && row.metric.starts_with(begin)) {
            if !metrics.contains(&row.metric.as_str()) {
                metrics.push(&row.metric);
            }
        }
        metrics
    }

    /// The round behind the last one of a work's shape.
    pub(crate) fn next_round(&self, work: &str, size: usize, load: usize) -> u32 {
        let of_shape =
            self.rows.iter().filter(|row| row.work == work && row.size_bytes == size && row.load == load);
        of_shape.map(|row| row.round + 1).max().unwrap_or(0)
    }
}

pub(crate) fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let (least, most) = (*values.first()?, *values.last()?);
    let count = values.len();
    let median = f64::midpoint(values[(count - 1) / 2], values[count / 2]);
    Some(Spread { median, least, most, count })
}

/// Below this the mean ratio is with a probability of 5 %: Student's t on the logarithms of the rounds' ratios.
pub(crate) fn lower_bound(ratios: &[f64]) -> Option<f64> {
    /// One-sided 95 % quantiles for 1 to 14 degrees of freedom; behind them it is hardly less.
    const T: [f64; 14] =
        [6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761];
    let n = ratios.len();
    let t = T.get(n.checked_sub(2)?.min(T.len() - 1))?;
    let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
    let mean = logs.iter().sum::<f64>() / n as f64;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    Some((mean - t * (variance / n as f64).sqrt()).exp())
}
