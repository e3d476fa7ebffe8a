//! Comparison of our server with its peers, as ratios that resist noise.
//!
//! Each round measures every server once, in a new random order, so that other load affects all of
//! them alike. A ratio is the median of the ratios within the rounds. Our server takes part twice:
//! the distance between the two is the error of the run. The main figure is the run time of a
//! server's threads per verified exchange, which does not depend on the speed of the clients.
//!
//! ```text
//! cargo bench --bench ratios -- [--rounds 9] [--seed 1] [--out FOLDER] [SCENARIO]…
//! ```
//!
//! `ONELOOP_PEERS` selects servers. Results are printed, and written as Markdown, JSON and SVG.

use std::io;
use std::path::PathBuf;

mod plot;
mod report;
mod scenario;
mod targets;

use oneloop_bench::figures::{self, Figures};
use oneloop_bench::peers::{Contest, Peer};
use scenario::{Scale, Scenario};

fn main() -> io::Result<()> {
    let options = Options::of_this_run();
    let contest = Contest::on_this_machine(env!("CARGO_BIN_EXE_greet-server"));
    oneloop_bench::peers::pin_clients();
    let contestants = with_control(contest.peers());
    let names = contestants.iter().map(|(name, _)| *name).collect();
    let mut figures = Figures::new(names);
    let mut random = fastrand::Rng::with_seed(options.seed);
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for scenario in &options.scenarios {
            run_round(
                *scenario,
                &options.scale,
                &contestants,
                &mut random,
                &mut figures,
            );
        }
        // After each round, so that a run can be stopped early.
        report::write(&figures, &options.out)?;
        plot::write(&figures, &options.out).map_err(io::Error::other)?;
    }
    println!("{}", report::tables(&figures));
    println!("written to {}", options.out.display());
    Ok(())
}

/// Runs one round of one scenario, in a new order.
fn run_round(
    scenario: Scenario,
    scale: &Scale,
    contestants: &[(&'static str, Peer)],
    random: &mut fastrand::Rng,
    figures: &mut Figures,
) {
    let mut order: Vec<usize> = (0..contestants.len()).collect();
    random.shuffle(&mut order);
    figures.begin_round();
    for number in order {
        let (name, peer) = &contestants[number];
        match scenario.measure(peer, scale) {
            Ok(measured) => figures.add(number, measured),
            // It gets no figure; the others continue.
            Err(error) => eprintln!("{}: {name} failed: {error}", scenario.name()),
        }
    }
}

/// Adds the A/A control: our server a second time.
fn with_control(peers: &[Peer]) -> Vec<(&'static str, Peer)> {
    let mut contestants: Vec<_> = peers
        .iter()
        .map(|peer| (peer.name(), peer.clone()))
        .collect();
    if let Some((_, own)) = contestants.iter().find(|(name, _)| *name == figures::OWN) {
        contestants.insert(1, (figures::CONTROL, own.clone()));
    }
    contestants
}

struct Options {
    rounds: u32,
    seed: u64,
    out: PathBuf,
    scale: Scale,
    scenarios: Vec<Scenario>,
}

impl Options {
    fn of_this_run() -> Self {
        let mut arguments = std::env::args().skip(1);
        let mut options = Self {
            rounds: 9,
            seed: 1,
            out: PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/ratios")),
            scale: Scale::small(),
            scenarios: Vec::new(),
        };
        let mut rounds = None;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Set by cargo bench. Without it this is `cargo test --benches`, which checks only
                // that the benchmark works.
                "--bench" => options.scale = Scale::full(),
                "--test" => options.scale = Scale::small(),
                "--rounds" => rounds = Some(number(arguments.next())),
                "--seed" => options.seed = number(arguments.next()),
                "--out" => options.out = arguments.next().expect("--out needs a folder").into(),
                name => options.scenarios.push(scenario(name)),
            }
        }
        let usual = if options.scale.is_small() { 1 } else { 9 };
        options.rounds = rounds.map_or(usual, |rounds| rounds as u32);
        if options.scenarios.is_empty() {
            options.scenarios.extend(Scenario::ALL);
        }
        options
    }
}

fn scenario(name: &str) -> Scenario {
    Scenario::by_name(name).unwrap_or_else(|| {
        let names = Scenario::ALL.map(Scenario::name).join(", ");
        eprintln!("there is no scenario {name:?}: use some of {names}");
        std::process::exit(2);
    })
}

fn number(argument: Option<String>) -> u64 {
    let number = argument.and_then(|text| text.parse().ok());
    number.expect("this option needs a whole number")
}
