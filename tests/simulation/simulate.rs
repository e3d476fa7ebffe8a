//! Runs many seeds of the simulation, or replays one.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use oneloop_swarm::swarm::plan::Plan;
use oneloop_swarm::swarm::replay::Failure;
use oneloop_swarm::swarm::run::{Order, ServiceUnderTest, run};
use oneloop_swarm::swarm::{relay, restless};

/// Runs services on a simulated network, one run for each seed, and checks every invariant all the
/// time.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Run this service alone, instead of all in turn
    #[arg(long, value_enum)]
    service: Option<Service>,
    /// How many seeds to run
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone
    #[arg(long)]
    seed: Option<u64>,
    /// Turns of the loop in each run, before the finale
    #[arg(long, default_value_t = 2000)]
    turns: usize,
    /// Let only these clients come
    #[arg(long, value_delimiter = ',')]
    only: Option<Vec<usize>>,
    /// Print all that happens (with --seed)
    #[arg(long)]
    trace: bool,
    /// Seeds run at the same time
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Go on after a failure
    #[arg(long)]
    keep_going: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Service {
    Greeting,
    Restless,
    Relay,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // The run itself reports its panics.
    std::panic::set_hook(Box::new(|_| {}));
    match args.seed {
        Some(seed) => replay(&args, seed),
        None => sweep(&args),
    }
}

fn replay(args: &Args, seed: u64) -> ExitCode {
    let report = run(&args.order(seed));
    if args.trace {
        match args.order(seed).service {
            ServiceUnderTest::Greeting => println!("{:#?}", Plan::new(seed)),
            ServiceUnderTest::Restless => println!("{:#?}", restless::plan::Plan::new(seed)),
            ServiceUnderTest::Relay => println!("{:#?}", relay::plan::Plan::new(seed)),
        }
    }
    for line in &report.trace {
        println!("{line}");
    }
    println!(
        "seed {seed}: {} turns, {} clients, {} accepted, digest {:016x}",
        report.turns, report.clients, report.sessions, report.digest
    );
    match report.verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            println!("{wrong}");
            ExitCode::FAILURE
        }
    }
}

fn sweep(args: &Args) -> ExitCode {
    let sweep = Sweep::new(args);
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            scope.spawn(|| sweep.work());
        }
    });
    sweep.bar.finish_and_clear();
    let (seeds, turns) = (
        sweep.done.load(Ordering::Relaxed),
        sweep.turns.load(Ordering::Relaxed),
    );
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds, {turns} turns of the loop, {} connections in {seconds:.1} s: {:.0} seeds/s",
        sweep.connections.load(Ordering::Relaxed),
        seeds as f64 / seconds
    );
    let failures = sweep.failures.into_inner().expect("no run panics");
    for failure in &failures {
        println!("{failure}");
    }
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

struct Sweep<'a> {
    args: &'a Args,
    seeds: Range<u64>,
    next: AtomicU64,
    done: AtomicUsize,
    turns: AtomicUsize,
    connections: AtomicU64,
    failures: Mutex<Vec<Failure>>,
    bar: ProgressBar,
}

impl<'a> Sweep<'a> {
    fn new(args: &'a Args) -> Self {
        let style = "{wide_bar} {pos}/{len} seeds, {per_sec}, {eta} left {msg}";
        let style = ProgressStyle::with_template(style).expect("a good template");
        Self {
            args,
            seeds: args.from..args.from + args.seeds,
            next: AtomicU64::new(args.from),
            done: AtomicUsize::new(0),
            turns: AtomicUsize::new(0),
            connections: AtomicU64::new(0),
            failures: Mutex::new(Vec::new()),
            bar: ProgressBar::new(args.seeds).with_style(style),
        }
    }

    fn work(&self) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if !self.seeds.contains(&seed) || self.is_over() {
                return;
            }
            self.run(seed);
            self.bar.inc(1);
        }
    }

    fn run(&self, seed: u64) {
        let order = self.args.order(seed);
        let report = run(&order);
        self.done.fetch_add(1, Ordering::Relaxed);
        self.turns.fetch_add(report.turns, Ordering::Relaxed);
        self.connections
            .fetch_add(report.sessions, Ordering::Relaxed);
        if report.verdict.is_err() {
            let failure = Failure::smallest(&order, report);
            let mut failures = self.failures.lock().expect("no run panics");
            failures.push(failure);
            self.bar.set_message(format!("{} failed", failures.len()));
        }
    }

    fn is_over(&self) -> bool {
        let failures = self.failures.lock().expect("no run panics");
        !self.args.keep_going && !failures.is_empty()
    }
}

impl Args {
    fn order(&self, seed: u64) -> Order {
        let service = match self.service {
            Some(Service::Greeting) => ServiceUnderTest::Greeting,
            Some(Service::Restless) => ServiceUnderTest::Restless,
            Some(Service::Relay) => ServiceUnderTest::Relay,
            None => match seed % 3 {
                0 => ServiceUnderTest::Greeting,
                1 => ServiceUnderTest::Restless,
                _ => ServiceUnderTest::Relay,
            },
        };
        Order {
            service,
            seed,
            turns: self.turns,
            only: self.only.clone(),
            trace: self.trace,
        }
    }
}
