//! Throughput of one thread at 1 to 10,000 connections: our server and its alternatives, with every
//! answer verified.
//!
//! Each server is a process, and all clients are in this one, so each side has the whole limit on
//! open files. With two cores or more, the server runs on core 0 and the clients on core 1.
//! Connections are opened before the clock starts.
//!
//! `ONELOOP_PEERS=oneloop,c_epoll` selects servers, and an argument selects benchmarks by name:
//! `cargo bench --bench connection_scaling -- exchange/100`.

use std::io;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};

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
    conversation(&mut criterion, &contest);
    connect_storm(&mut criterion, &contest, &sizes);
    criterion.final_summary();
}

/// The numbers of connections to measure.
struct Sizes {
    active: &'static [usize],
    idle: &'static [usize],
    storm: &'static [usize],
    depth: &'static [u32],
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
                idle: &[1_000, 10_000, 19_000],
                storm: &[1_000, 10_000],
                depth: &[10, 50, 150],
                most,
            }
        } else {
            Self {
                active: &[1, 10],
                idle: &[10],
                storm: &[10],
                depth: &[10],
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
    for connections in sizes.possible("exchange", sizes.active) {
        let mut group = group(criterion, &format!("exchange/{connections}"));
        let work = Work::rounds(connections, 1, 1);
        for peer in contest.with_room_for(connections) {
            bench_work(&mut group, peer, connections, &work);
        }
    }
}

/// Measures exchanges on a hundred connections among many idle ones.
fn active_among_idle(criterion: &mut Criterion, contest: &Contest, sizes: &Sizes) {
    for idle in sizes.possible("active_among_idle", sizes.idle) {
        let mut group = group(criterion, &format!("active_among_idle/{idle}"));
        let active = ACTIVE_AMONG_IDLE.min(idle);
        let work = Work::rounds(active, 1, 1);
        for peer in contest.with_room_for(idle + active) {
            bench_work(&mut group, peer, idle + active, &work);
        }
    }
}

/// Measures batches: a hundred connections send `depth` names in one write and wait for all
/// answers.
fn pipelined(criterion: &mut Criterion, contest: &Contest, sizes: &Sizes) {
    for &depth in sizes.depth {
        let mut group = group(criterion, &format!("pipelined/{depth}"));
        let work = Work::rounds(PIPELINING, depth, 1);
        for peer in contest.with_room_for(PIPELINING) {
            bench_work(&mut group, peer, PIPELINING, &work);
        }
    }
}

/// Measures whole conversations, from the connect to the end after the goodbye.
fn conversation(criterion: &mut Criterion, contest: &Contest) {
    let mut group = group(criterion, "conversation");
    group.throughput(Throughput::Elements(1));
    for peer in contest.with_room_for(CONVERSATIONS_AT_ONCE as usize) {
        let mut set_up = None;
        group.bench_function(peer.name(), |bencher| {
            let (_, fleet) = set_up.get_or_insert_with(|| ready(peer, 0));
            bencher.iter_custom(|conversations| {
                verified(fleet.converse(conversations, CONVERSATIONS_AT_ONCE), peer)
            });
        });
    }
}

/// Measures simultaneous connects to a new server, until all are greeted.
fn connect_storm(criterion: &mut Criterion, contest: &Contest, sizes: &Sizes) {
    for connections in sizes.possible("connect_storm", sizes.storm) {
        let mut group = group(criterion, &format!("connect_storm/{connections}"));
        group.throughput(Throughput::Elements(connections as u64));
        for peer in contest.with_room_for(connections) {
            group.bench_function(peer.name(), |bencher| {
                bencher.iter_custom(|iterations| {
                    (0..iterations).map(|_| storm(peer, connections)).sum()
                });
            });
        }
    }
}

fn storm(peer: &Peer, connections: usize) -> Duration {
    let (_server, mut fleet) = ready(peer, 0);
    verified(fleet.open_at_once(connections), peer)
}

/// Measures `work` per iteration, with `connections` open.
fn bench_work(
    group: &mut BenchmarkGroup<'_, WallTime>,
    peer: &Peer,
    connections: usize,
    work: &Work,
) {
    group.throughput(Throughput::Elements(work.exchanges));
    let mut set_up: Option<(Running, Fleet)> = None;
    group.bench_function(BenchmarkId::from_parameter(peer.name()), |bencher| {
        // Lazily: benchmarks that were not selected must not start servers.
        let (_, fleet) = set_up.get_or_insert_with(|| ready(peer, connections));
        bencher.iter_custom(|iterations| {
            let exchanges = work.exchanges * iterations;
            verified(
                fleet.exchange(Work {
                    exchanges,
                    ..work.clone()
                }),
                peer,
            )
        });
    });
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
    // Large sizes take long, and nine servers make more than a hundred benchmarks.
    group.sampling_mode(SamplingMode::Flat);
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_millis(1500));
    group
}

const ACTIVE_AMONG_IDLE: usize = 100;
const PIPELINING: usize = 100;
const CONVERSATIONS_AT_ONCE: u64 = 64;
