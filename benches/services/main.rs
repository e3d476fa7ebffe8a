//! Comparison of the library's examples with the programs that people would run instead of them.
//!
//! Each row of the table is one load, made by a client that is not ours, on an example and on its
//! peer. A round measures the example, the example again, and the peer, each newly started, in a
//! random order; a ratio is the median of the ratios within the rounds. The distance of the example
//! from itself is the error of the run. The figure is the run time of the server's threads per unit
//! of work. The server has one core, the client another.
//!
//! ```text
//! cargo bench --bench services -- [--rounds 5] [--seed 1] [--seconds 2] [--out FOLDER] [ROW]…
//! ```
//!
//! A row whose name contains one of the given words is measured; without any, all are. A row is
//! skipped, with a sentence, if its peer or its client is not installed. Results are printed, and
//! written as Markdown and JSON.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

mod load;
mod report;
mod rows;
mod upstream;

use oneloop_bench::figures::{CONTROL, Figures, OWN};
use oneloop_bench::peers::{self, Unavailable};
use rows::Row;

fn main() -> io::Result<()> {
    let options = Options::of_this_run();
    peers::pin_clients();
    let rows = options.available_rows();
    let mut figures = Figures::new(vec![OWN, CONTROL, PEER]);
    let mut random = fastrand::Rng::with_seed(options.seed);
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for row in &rows {
            run_round(row, &options, &mut random, &mut figures);
        }
        // After each round, so that a run can be stopped early.
        report::write(&rows, &figures, &options.out)?;
    }
    println!("{}", report::table(&rows, &figures));
    println!("written to {}", options.out.display());
    Ok(())
}

/// Measures the contestants of a row once each, in a new order.
fn run_round(row: &Row, options: &Options, random: &mut fastrand::Rng, figures: &mut Figures) {
    let mut order = options.contestants.to_vec();
    random.shuffle(&mut order);
    figures.begin_round();
    for number in order {
        match measure(row, number, options.duration) {
            Ok(micros) => figures.add(number, vec![(row.name.to_owned(), micros)]),
            // It gets no figure; the others continue.
            Err(error) => eprintln!("{}: {error}", row.name),
        }
    }
}

/// Returns the run time of a contestant's server per unit of work, in µs.
fn measure(row: &Row, contestant: usize, duration: Duration) -> io::Result<f64> {
    let peer = match contestant {
        THEIRS => &row.theirs,
        _ => &row.ours,
    };
    let upstream = row.upstream.as_ref().map(upstream::start).transpose();
    let _upstream = upstream.map_err(io::Error::other)?;
    let server = peers::start_pinned(peer)?;
    row.load.run(server.address(), WARM_UP)?;
    let before = server.run_time()?;
    let units = row.load.run(server.address(), duration)?;
    let ran = server.run_time()? - before;
    Ok(ran.as_secs_f64() * 1e6 / units)
}

struct Options {
    rounds: u32,
    seed: u64,
    duration: Duration,
    out: PathBuf,
    /// The numbers of the contestants.
    contestants: &'static [usize],
    words: Vec<String>,
}

impl Options {
    fn of_this_run() -> Self {
        let mut arguments = std::env::args().skip(1);
        let (mut rounds, mut seconds) = (None, None);
        let mut options = Self {
            rounds: 1,
            seed: 1,
            duration: WARM_UP,
            out: PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/services")),
            contestants: &[OURS, THEIRS],
            words: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Set by cargo bench. Without it this is `cargo test --benches`, which checks only
                // that the benchmark works.
                "--bench" => {
                    options.rounds = 5;
                    options.duration = Duration::from_secs(2);
                    options.contestants = &[OURS, OURS_AGAIN, THEIRS];
                }
                "--test" => {}
                "--rounds" => rounds = Some(number(arguments.next()) as u32),
                "--seed" => options.seed = number(arguments.next()),
                "--seconds" => seconds = Some(number(arguments.next())),
                "--out" => options.out = arguments.next().expect("--out needs a folder").into(),
                word => options.words.push(word.to_owned()),
            }
        }
        // Cargo passes `--bench` behind these.
        options.rounds = rounds.unwrap_or(options.rounds);
        options.duration = seconds.map_or(options.duration, Duration::from_secs);
        options
    }

    /// Returns the chosen rows whose programs are installed, and prints why others are skipped.
    fn available_rows(&self) -> Vec<Row> {
        let is_chosen = |row: &Row| {
            self.words.is_empty() || self.words.iter().any(|word| row.name.contains(word))
        };
        let mut rows = rows::all();
        rows.retain(|row| is_chosen(row) && is_available(row));
        rows
    }
}

fn is_available(row: &Row) -> bool {
    let start = |peer: &peers::Peer| peer.start(peers::Pin::Anywhere).map(drop);
    let tried = || {
        row.load.check()?;
        let _upstream = row.upstream.as_ref().map(upstream::start).transpose()?;
        start(&row.theirs)?;
        start(&row.ours)
    };
    match tried() {
        Ok(()) => true,
        Err(why @ Unavailable::Skipped(_)) => {
            eprintln!("{} {why}", row.name);
            false
        }
        Err(why) => panic!("{} {why}", row.name),
    }
}

fn number(argument: Option<String>) -> u64 {
    let number = argument.and_then(|text| text.parse().ok());
    number.expect("this option needs a whole number")
}

/// The contestants, in the order of the figures.
pub(crate) const OURS: usize = 0;
pub(crate) const OURS_AGAIN: usize = 1;
pub(crate) const THEIRS: usize = 2;
const PEER: &str = "peer";
/// The shortest time that `wrk` runs.
const WARM_UP: Duration = Duration::from_secs(1);
