//! What sawlog's tests let pass.
//!
//! Changes every operator, guard, arm and function's result below the named folders, all in one build, each behind a
//! switch; then runs the tests once for each with that one on. Building once is what makes a thousand changes a matter
//! of hours on a small machine: a build of crate and tests takes minutes, and the unit tests seconds.
//!
//! What was found is added to a file line by line, and a run that is begun again goes on behind its last line.
#![allow(clippy::disallowed_methods, reason = "the rooms that these go through are the crate's")]

mod render;
mod sites;
mod tree;
mod trial;
mod values;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use tree::{Mutant, Problem, Tree};
use trial::{Outcome, Suite};

/// Counts which small changes of sawlog's source its tests notice.
#[derive(Parser)]
struct Arguments {
    /// Folders or files whose code is changed, from the repository's root.
    #[arg(required = true, value_name = "PATH")]
    folders: Vec<PathBuf>,
    /// Test programs to run, in this order; a change that one notices is not tried by the next.
    #[arg(long, value_delimiter = ',', default_value = "lib,behaviour,crash")]
    suites: Vec<String>,
    /// Tests that are left out, by a part of their names: slow ones of rooms that what is changed cannot reach.
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    skip: Vec<String>,
    /// Runs at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// The repository.
    #[arg(long, default_value = ".")]
    repository: PathBuf,
    /// Where the changed copy is built and results are kept.
    #[arg(long, default_value = "target/mutants")]
    work: PathBuf,
    /// Only says what would be changed.
    #[arg(long)]
    list: bool,
}

fn main() -> Result<(), Problem> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.work)?;
    let work = arguments.work.canonicalize()?;
    let mut tree = Tree::new(&arguments.repository, &work.join("tree"), &arguments.folders)?;
    if arguments.list {
        for mutant in &tree.mutants {
            println!("{}", mutant.name());
        }
        return Ok(());
    }
    tree.settle()?;
    let suites = suites(&tree, &arguments)?;
    let results = work.join("results.tsv");
    let known = known(&results)?;
    let left: Vec<_> = tree.viable().filter(|mutant| !known.contains_key(&mutant.name())).collect();
    try_all(&tree, &suites, &left, &results, arguments.jobs)?;
    report(&tree, &self::known(&results)?);
    Ok(())
}

/// Builds them, and runs each without any change: it must pass, and how long it takes says when a run hangs.
fn suites(tree: &Tree, arguments: &Arguments) -> Result<Vec<Suite>, Problem> {
    let mut suites = Vec::new();
    for (name, program) in tree.build(&arguments.suites)? {
        let began = Instant::now();
        let mut suite =
            Suite { name, program, skip: arguments.skip.clone(), limit: Duration::from_secs(3600) };
        match trial::run(&tree.root, std::slice::from_ref(&suite), 0)? {
            Outcome::Missed => {}
            failed => {
                return Err(format!("without any change, {} does not pass: {failed:?}", suite.name).into());
            }
        }
        let took = began.elapsed();
        eprintln!("{} takes {took:.1?}", suite.name);
        // Runs beside each other are slower than one alone.
        suite.limit = took * 4 + Duration::from_secs(20);
        suites.push(suite);
    }
    Ok(suites)
}

fn try_all(
    tree: &Tree,
    suites: &[Suite],
    left: &[&Mutant],
    results: &PathBuf,
    jobs: usize,
) -> Result<(), Problem> {
    let file = Mutex::new(OpenOptions::new().create(true).append(true).open(results)?);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1))
            .map(|_| {
                scope.spawn(|| -> Result<(), Problem> {
                    while let Some(mutant) = left.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let outcome = trial::run(&tree.root, suites, mutant.number)?;
                        note(&file, mutant, &outcome)?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a run panicked")?)
    })
}

fn note(file: &Mutex<File>, mutant: &Mutant, outcome: &Outcome) -> Result<(), Problem> {
    let said = match outcome {
        Outcome::Caught(by) => format!("caught\t{by}"),
        Outcome::TimedOut(in_) => format!("timed out\t{in_}"),
        Outcome::Missed => "missed\t".into(),
    };
    let mut file = file.lock().map_err(|_| "a run panicked")?;
    writeln!(file, "{said}\t{}", mutant.name())?;
    Ok(())
}

/// Name to outcome, of an earlier run too.
fn known(results: &PathBuf) -> Result<BTreeMap<String, String>, Problem> {
    if !results.exists() {
        return Ok(BTreeMap::new());
    }
    let text = std::fs::read_to_string(results)?;
    let cells = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(cells.filter_map(|(outcome, rest)| Some((rest.split_once('\t')?.1.into(), outcome.into()))).collect())
}

fn report(tree: &Tree, known: &BTreeMap<String, String>) {
    let mut counts: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for mutant in tree.viable() {
        let name = mutant.name();
        let place = match known.get(&name).map(String::as_str) {
            Some("caught") => 0,
            Some("timed out") => 1,
            _ => 2,
        };
        if place == 2 {
            println!("missed {name}");
        }
        let folder = mutant.file.parent().unwrap_or(&mutant.file).display().to_string();
        counts.entry(folder).or_default()[place] += 1;
    }
    println!("\nfolder: viable, caught, of these by not ending, missed");
    for (folder, [caught, hung, missed]) in counts {
        let (all, noticed) = (caught + hung + missed, caught + hung);
        println!(
            "{folder}: {all}, {noticed} ({:.1} %), {hung}, {missed}",
            100.0 * noticed as f64 / all as f64
        );
    }
}
