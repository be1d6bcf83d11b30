//! What the command line says.

use std::path::PathBuf;
use std::str::FromStr;

use crate::engines;
use crate::works::{self, Work};

pub(crate) const HELP: &str = "\
The same work on sawlog, a bare loop and other logs, in alternation on one disk.

  cargo run --release -- [OPTIONS]

  --works W1,W2,W2a,W3,W4,W5,W6,W6-mark,W6-unsynced,W7,tail,idle,
          queues,segments     default: all
  --engines raw,sawlog,...    default: all that this build has
  --sizes 128,1024,16384      bodies of W1 and W3, in bytes; the other works take 1024
  --rounds N                  default: W1 15, others 3 to 5
  --seconds S                 of each run; default: by work
  --rate N                    messages a second of `tail`; default: half of what the slowest reaches
  --dir FOLDER                where logs are written, on the disk to measure; default: target/bench
  --out FOLDER                peers.csv, peers.md and the plots; default: target/peers
  --keep                      go on with the rows of an earlier run's peers.csv
  --report                    measure nothing: tables and plots from peers.csv
  --smoke                     raw and sawlog, everything for a moment; the figures say nothing
";

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) works: Vec<Work>,
    pub(crate) engines: Vec<String>,
    pub(crate) sizes: Vec<usize>,
    pub(crate) rounds: Option<u32>,
    pub(crate) seconds: Option<f64>,
    pub(crate) rate: Option<f64>,
    pub(crate) dir: PathBuf,
    pub(crate) out: PathBuf,
    pub(crate) keeps: bool,
    pub(crate) only_reports: bool,
    pub(crate) is_smoke: bool,
}

impl Args {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
        let mut args = Args {
            works: works::ALL.to_vec(),
            engines: engines::names().into_iter().map(str::to_owned).collect(),
            sizes: vec![128, 1024, 16 * 1024],
            rounds: None,
            seconds: None,
            rate: None,
            dir: "target/bench".into(),
            out: "target/peers".into(),
            keeps: false,
            only_reports: false,
            is_smoke: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match word.as_str() {
                "--works" => {
                    args.works = list(&value()?, |name| Work::named(name).ok_or_else(|| unknown(name)))?
                }
                "--engines" => args.engines = list(&value()?, known_engine)?,
                "--sizes" => args.sizes = list(&value()?, number)?,
                "--rounds" => args.rounds = Some(number(&value()?)?),
                "--seconds" => args.seconds = Some(number(&value()?)?),
                "--rate" => args.rate = Some(number(&value()?)?),
                "--dir" => args.dir = value()?.into(),
                "--out" => args.out = value()?.into(),
                "--keep" => args.keeps = true,
                "--report" => (args.keeps, args.only_reports) = (true, true),
                "--smoke" => args.smoke(),
                _ => return Err(unknown(&word)),
            }
        }
        Ok(args)
    }

    fn smoke(&mut self) {
        self.is_smoke = true;
        self.engines.retain(|engine| ["raw", "sawlog"].contains(&engine.as_str()));
        self.sizes = vec![1024];
        (self.rounds, self.seconds, self.rate) = (Some(1), Some(0.2), Some(10_000.0));
    }
}

fn unknown(word: &str) -> String {
    format!("{word:?} is not known")
}

fn known_engine(name: &str) -> Result<String, String> {
    match engines::names().contains(&name) {
        true => Ok(name.to_owned()),
        false => Err(format!("this build has no {name:?}; it has {}", engines::names().join(", "))),
    }
}

fn list<T>(words: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    words.split(',').map(one).collect()
}

pub(crate) fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word:?} is no number"))
}
