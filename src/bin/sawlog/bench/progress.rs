//! The bar on a terminal's standard error; nothing where there is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Steps of one row: writing takes the longer part of its time.
const ROW: u64 = 1000;
const WRITING: u64 = 650;

/// Where the whole bench is.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    row: std::cell::Cell<u64>,
}

impl Progress {
    pub(crate) fn new(rows: usize) -> Progress {
        // Draws on standard error, and only if that is a terminal.
        let bar = ProgressBar::new(ROW * u64::try_from(rows).unwrap_or(1));
        if let Ok(style) = ProgressStyle::with_template("[{elapsed_precise}] {bar:32} {percent:>3} %  {msg}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar, row: 0.into() }
    }

    /// The next row begins.
    pub(crate) fn row(&self, number: usize, name: String) {
        self.row.set(u64::try_from(number).unwrap_or(0) * ROW);
        self.bar.set_position(self.row.get());
        self.bar.set_message(name);
    }

    /// A share of the row's writing is done.
    pub(crate) fn writing(&self, share: f64) {
        self.bar.set_position(self.row.get() + steps(share, WRITING));
    }

    /// A share of the row's reading is done.
    pub(crate) fn reading(&self, share: f64) {
        self.bar.set_position(self.row.get() + WRITING + steps(share, ROW - WRITING));
    }
}

/// Shares beyond the whole count as the whole.
fn steps(share: f64, of: u64) -> u64 {
    let whole = Duration::from_millis(of);
    Duration::try_from_secs_f64(whole.as_secs_f64() * share)
        .map_or(of, |part| u64::try_from(part.as_millis()).map_or(of, |part| part.min(of)))
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
