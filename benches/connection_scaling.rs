//! One thread at 1 to 10,000 connections: our server and its alternatives, with every answer
//! verified.
//!
//! There is one criterion group for each question, with the number of connections as its parameter,
//! so that criterion draws the scaling lines: `target/criterion/exchange/report/lines.svg`. A time
//! is that of one exchange, conversation or connect, by the clock.
//!
//! Each server is a process, and all clients are in this one, so each side has the whole limit on
//! open files. With two cores or more, the server runs on core 0 and the clients on core 1.
//! Connections are opened before the clock starts. `ratios` measures longer, interleaved, and CPU time.
//!
//! `ONELOOP_PEERS=oneloop,c_epoll` selects servers, and an argument, which is a regular expression,
//! selects benchmarks: `cargo bench --bench connection_scaling -- 'exchange/.*/100$'`.

use std::io;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    AxisScale, BenchmarkGroup, BenchmarkId, Criterion, PlotConfiguration, SamplingMode, Throughput,
};

use oneloop_bench::fleet::{Fleet, Work};
use oneloop_bench::peers::{Contest, Peer, Running};

fn main() {
    let sizes = Sizes::of_this_run();
    let contest = Contest::on_this_machine(env!("CARGO_BIN_EXE_greet-server"));
    oneloop_bench::peers::pin_clients();
    let mut criterion = Criterion::default().configure_from_args();
    exchange(&mut criterion, &contest, &sizes);
    active_among_idle(&mut criterion, &contest, &sizes);
    pipelined(&mut criterion, &contest, &sizes);
    conversation(&mut criterion, &contest, &sizes);
    connect_storm(&mut criterion, &contest, &sizes);
    criterion.final_summary();
}

/// The numbers of connections to measure.
struct Sizes {
    active: &'static [usize],
    idle: &'static [usize],
    pipelined: &'static [usize],
    conversations: &'static [usize],
    storm: &'static [usize],
    /// The connections that one process can have.
    most: usize,
}

impl Sizes {
    /// Returns all sizes, or minimal ones when the benchmarks are only tested.
    fn of_this_run() -> Self {
        let most = oneloop_bench::peers::connections_max();
        let is_told = |what| std::env::args().any(|argument| argument == what);
        if is_told("--bench") && !is_told("--test") {
            Self {
                active: &[1, 10, 100, 1_000, 10_000],
                idle: &[100, 1_000, 10_000],
                pipelined: &[1, 10, 100],
                conversations: &[1, 8, 64],
                storm: &[100, 1_000],
                most,
            }
        } else {
            Self {
                active: &[1, 10],
                idle: &[10],
                pipelined: &[1],
                conversations: &[8],
                storm: &[10],
                most,
            }
        }
    }

    /// Returns those of `sizes` that this process and the server can hold.
    fn possible<'a>(&self, group: &str, sizes: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
        let (most, group) = (self.most, group.to_owned());
        let fits = move |&size: &usize| {
            if size > most {
                eprintln!("{group}/{size} skipped: files are limited to {most}; see `ulimit -n`");
            }
            size <= most
        };
        sizes.iter().copied().filter(fits)
    }
}

/// Measures exchanges on all connections, each as fast as it is answered.
fn exchange(criterion: &mut Criterion, contest: &Contest, sizes: &Sizes) {
    let mut group = group(criterion, "exchange");
    for connections in sizes.possible("exchange", sizes.active) {
        let work = Work::rounds(connections, 1, 1);
        for peer in contest.with_room_for(connections) {
            bench_work(&mut group, peer, connections, connections, &work);
        }
    }
    group.finish();
}

/// Measures exchanges on a hundred connections among idle ones.
fn active_among_idle(criterion: &mut Criterion, contest: &Contest, sizes: &Sizes) {
    let mut group = group(criterion, "active_among_idle");
    for idle in sizes.possible("active_among_idle", sizes.idle) {
        let active = ACTIVE_AMONG_IDLE.min(idle);
        let work = Work::rounds(active, 1, 1);
        for peer in contest.with_room_for(idle + active) {
            bench_work(&mut group, peer, idle, idle + active, &work);
        }
    }
    group.finish();
}

/// Measures exchanges of which each connection sends fifty in one write, and then waits for all
/// answers.
fn pipelined(criterion: &mut Criterion, contest: &Contest, sizes: &Sizes) {
    let mut group = group(criterion, "pipelined");
    for connections in sizes.possible("pipelined", sizes.pipelined) {
        let work = Work::rounds(connections, DEPTH, 1);
        for peer in contest.with_room_for(connections) {
            bench_work(&mut group, peer, connections, connections, &work);
        }
    }
    group.finish();
}

/// Measures whole conversations, from the connect to the end after the goodbye, some at a time.
fn conversation(criterion: &mut Criterion, contest: &Contest, sizes: &Sizes) {
    let mut group = group(criterion, "conversation");
    for at_once in sizes.possible("conversation", sizes.conversations) {
        for peer in contest.with_room_for(at_once) {
            let mut set_up = None;
            group.bench_function(BenchmarkId::new(peer.name(), at_once), |bencher| {
                let (_, fleet) = set_up.get_or_insert_with(|| ready(peer, 0));
                let least = at_once as u64;
                bencher.iter_custom(|wanted| {
                    each(wanted, least, |count| {
                        verified(fleet.converse(count, at_once as u64), peer)
                    })
                });
            });
        }
    }
    group.finish();
}

/// Measures simultaneous connects to a new server, until all are greeted.
fn connect_storm(criterion: &mut Criterion, contest: &Contest, sizes: &Sizes) {
    let mut group = group(criterion, "connect_storm");
    for connections in sizes.possible("connect_storm", sizes.storm) {
        for peer in contest.with_room_for(connections) {
            group.bench_function(BenchmarkId::new(peer.name(), connections), |bencher| {
                bencher.iter_custom(|wanted| {
                    // One storm, whatever number of connects is wanted.
                    storm(peer, connections).mul_f64(wanted as f64 / connections as f64)
                });
            });
        }
    }
    group.finish();
}

fn storm(peer: &Peer, connections: usize) -> Duration {
    let (_server, mut fleet) = ready(peer, 0);
    verified(fleet.open_at_once(connections), peer)
}

/// Measures an exchange of `work`, with `open` connections. The parameter is a number of
/// connections.
fn bench_work(
    group: &mut BenchmarkGroup<'_, WallTime>,
    peer: &Peer,
    parameter: usize,
    open: usize,
    work: &Work,
) {
    let mut set_up: Option<(Running, Fleet)> = None;
    group.bench_function(BenchmarkId::new(peer.name(), parameter), |bencher| {
        // Lazily: benchmarks that were not selected must not start servers.
        let (_, fleet) = set_up.get_or_insert_with(|| ready(peer, open));
        bencher.iter_custom(|wanted| {
            each(wanted, work.exchanges, |exchanges| {
                let work = Work {
                    exchanges,
                    ..work.clone()
                };
                verified(fleet.exchange(work), peer)
            })
        });
    });
}

/// Runs `work` for whole rounds of `round` units, at least `wanted` units in all. Returns the time of
/// `wanted` units.
fn each(wanted: u64, round: u64, work: impl FnOnce(u64) -> Duration) -> Duration {
    let units = wanted.next_multiple_of(round);
    work(units).mul_f64(wanted as f64 / units as f64)
}

/// Starts a server and connects clients to it.
fn ready(peer: &Peer, connections: usize) -> (Running, Fleet) {
    let server = verified(oneloop_bench::peers::start_pinned(peer), peer);
    let fleet = verified(Fleet::open(server.address(), connections), peer);
    (server, fleet)
}

/// Returns the result. A wrong answer aborts the benchmark.
fn verified<T>(result: io::Result<T>, peer: &Peer) -> T {
    result.unwrap_or_else(|error| panic!("{}: {error}", peer.name()))
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    let scale = PlotConfiguration::default().summary_scale(AxisScale::Logarithmic);
    group.plot_config(scale);
    group.throughput(Throughput::Elements(1));
    // Nine servers make more than a hundred benchmarks.
    group.sampling_mode(SamplingMode::Flat);
    group.sample_size(10);
    // The bootstrap and its plots would take longer than the measurement.
    group.nresamples(2_000);
    group.warm_up_time(Duration::from_millis(100));
    group.measurement_time(Duration::from_millis(500));
    group
}

const ACTIVE_AMONG_IDLE: usize = 100;
/// The names in one write of a pipelining client.
const DEPTH: u32 = 50;
