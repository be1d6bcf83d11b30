//! One measured figure, as a line of the CSV file.

use std::fmt;
use std::str::FromStr;

pub(crate) const HEADER: &str = "round,work,engine,size_bytes,load,metric,value";

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) round: u32,
    pub(crate) work: String,
    pub(crate) engine: String,
    pub(crate) size_bytes: usize,
    /// Producers, acknowledgements in flight, queues or segments, as the work says.
    pub(crate) load: usize,
    pub(crate) metric: String,
    pub(crate) value: f64,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { round, work, engine, size_bytes, load, metric, value } = self;
        write!(f, "{round},{work},{engine},{size_bytes},{load},{metric},{value}")
    }
}

impl FromStr for Row {
    type Err = String;

    fn from_str(line: &str) -> Result<Row, String> {
        let mut fields = line.split(',');
        let mut field = || fields.next().ok_or_else(|| format!("too few fields in {line:?}"));
        Ok(Row {
            round: number(field()?)?,
            work: field()?.to_owned(),
            engine: field()?.to_owned(),
            size_bytes: number(field()?)?,
            load: number(field()?)?,
            metric: field()?.to_owned(),
            value: number(field()?)?,
        })
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}
