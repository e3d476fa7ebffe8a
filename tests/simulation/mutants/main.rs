//! Plants the known mistakes one at a time in a copy of the tree, and expects tests to find each.
//!
//! The copies and the results are kept in `target/mutation`, so that an interrupted run can be
//! resumed. Any change of the tree makes the results void.

mod build;
mod copy;
mod mutant;
mod results;
mod table;
mod worker;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;

use mutant::Mutant;
use results::{Outcome, Results};
use worker::Worker;

/// Plants the known mistakes one at a time in a copy of the tree and expects tests to find each
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Only the mutants whose name contains one of these
    names: Vec<String>,
    /// Mutants judged at the same time
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Begins no mutant after this many minutes; the run fails if any was not judged
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// A mutant that was not judged, or never before, is no failure; the order changes daily
    #[arg(long)]
    partial: bool,
    /// Judges all mutants again, also those found by an earlier run
    #[arg(long)]
    fresh: bool,
    /// Prints the mutants and stops
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mutants = args.mutants();
    if args.list {
        for mutant in &mutants {
            println!("{:48} {:?}", mutant.name, mutant.suite);
        }
        return ExitCode::SUCCESS;
    }
    match judge(&args, &mutants) {
        Ok(results) if args.partial => report_part(&results, &mutants),
        Ok(results) => results.report(&mutants),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Reports the mutants that were judged. Only those that were found before are expected to be.
fn report_part(results: &Results, mutants: &[Mutant]) -> ExitCode {
    let judged = mutants.iter().copied().filter(|mutant| results.has(mutant));
    let known = |mutant: &Mutant| FOUND_BEFORE.lines().any(|name| name == mutant.name);
    let (known, new): (Vec<_>, Vec<_>) = judged.partition(known);
    println!("{} of {} judged", known.len() + new.len(), mutants.len());
    if !new.is_empty() {
        println!("\nNever judged before, and so no failure yet:\n");
        let _ = results.report(&new);
    }
    println!("\nFound before:\n");
    results.report(&known)
}

/// The names of the mutants that a run has found. Add those that a later run finds.
const FOUND_BEFORE: &str = include_str!("found.txt");

/// Shares the mutants out among the workers.
fn judge(args: &Args, mutants: &[Mutant]) -> std::io::Result<Results> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let folder = root.join("target/mutation");
    let tree = copy::Tree::read(root)?;
    let results = Results::open(&folder.join("results"), tree.digest(), args.fresh)?;
    let waiting = mutants.iter().filter(|mutant| !results.has(mutant));
    let mut waiting: Vec<_> = waiting.collect();
    if args.partial {
        waiting.sort_by_key(|mutant| order_of_today(mutant));
    }
    let until = Instant::now() + Duration::from_secs(60 * args.minutes);
    let workers = args.workers.max(1);
    let mut first = Worker::new(&folder, 0, &tree)?;
    first.build_all(&waiting)?;
    let (queue, results) = (Mutex::new(waiting.into_iter()), Mutex::new(results));
    thread::scope(|scope| {
        let mut running = Vec::new();
        for number in 1..workers {
            let worker = Worker::like(&first, &folder, number, &tree);
            let (queue, results) = (&queue, &results);
            running.push(scope.spawn(move || work(worker?, queue, results, until)));
        }
        running.push(scope.spawn(|| work(first, &queue, &results, until)));
        running
            .into_iter()
            .try_for_each(|running| running.join().expect("a worker panics only by mistake"))
    })?;
    Ok(results.into_inner().expect("no worker has panicked"))
}

/// Returns the place of a mutant in an order that changes from day to day.
fn order_of_today(mutant: &Mutant) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let day = now.map_or(0, |now| now.as_secs() / (24 * 60 * 60));
    let mut hasher = DefaultHasher::new();
    (day, mutant.name).hash(&mut hasher);
    hasher.finish()
}

/// Judges mutants until none remains or the time is over.
fn work<'a>(
    mut worker: Worker<'_>,
    queue: &Mutex<impl Iterator<Item = &'a Mutant>>,
    results: &Mutex<Results>,
    until: Instant,
) -> std::io::Result<()> {
    while Instant::now() < until {
        let Some(mutant) = queue.lock().expect("no worker has panicked").next() else {
            break;
        };
        let begun = Instant::now();
        let outcome = worker.judge(mutant)?;
        let seconds = begun.elapsed().as_secs_f64();
        eprintln!("{:48} {outcome} ({seconds:.1} s)", mutant.name);
        let mut results = results.lock().expect("no worker has panicked");
        results.add(mutant, outcome, seconds)?;
    }
    Ok(())
}

impl Args {
    fn mutants(&self) -> Vec<Mutant> {
        let wanted = |mutant: &Mutant| {
            let mut names = self.names.iter();
            self.names.is_empty() || names.any(|name| mutant.name.contains(name))
        };
        table::MUTANTS.iter().copied().filter(wanted).collect()
    }
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Hangs => "found, hangs",
            Self::Survived => "SURVIVED",
            Self::DoesNotBuild => "DOES NOT BUILD",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
