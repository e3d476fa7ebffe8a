//! The scenarios: measurements of one server in one round.

use std::io;
use std::time::{Duration, Instant};

use oneloop_bench::figures::Measured;
use oneloop_bench::fleet::{Fleet, Work};
use oneloop_bench::peers::{Peer, Running};

/// A scenario that runs a server from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Exchanges on a growing number of connections, then on 100 among many idle ones.
    Exchange,
    /// 100 connections that send 50 names in one write.
    Pipelined,
    /// Whole conversations, 64 at a time.
    Conversation,
    /// Simultaneous connects.
    Storm,
    /// The memory of an idle connection that has exchanged a name.
    Memory,
}

/// The sizes of the scenarios.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    pub(crate) active: Vec<usize>,
    /// The connections of which only some are active.
    pub(crate) most: usize,
    /// The timed exchanges; at least two for each connection.
    exchanges: u64,
    conversations: u64,
    storm: usize,
    /// The connections at the first and at the last memory reading.
    memory: (usize, usize),
}

impl Scenario {
    pub(crate) const ALL: [Self; 5] = [
        Self::Exchange,
        Self::Pipelined,
        Self::Conversation,
        Self::Storm,
        Self::Memory,
    ];

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|scenario| scenario.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Pipelined => "pipelined",
            Self::Conversation => "conversation",
            Self::Storm => "connect_storm",
            Self::Memory => "memory",
        }
    }

    pub(crate) fn measure(self, peer: &Peer, scale: &Scale) -> io::Result<Measured> {
        let server = oneloop_bench::peers::start_pinned(peer)?;
        let mut fleet = Fleet::to(server.address())?;
        let most = peer.connections_max();
        match self {
            Self::Exchange => exchange(&server, &mut fleet, scale, most),
            Self::Pipelined => pipelined(&server, &mut fleet, scale),
            Self::Conversation => conversation(&server, &mut fleet, scale),
            Self::Storm if scale.storm <= most => storm(&server, &mut fleet, scale),
            Self::Memory if scale.memory.1 <= most => memory(&server, &mut fleet, scale),
            Self::Storm | Self::Memory => Ok(Vec::new()),
        }
    }
}

impl Scale {
    pub(crate) fn full() -> Self {
        let most = oneloop_bench::peers::connections_max();
        let mut active = vec![1, 10, 100, 1_000, 10_000];
        active.retain(|&size| {
            if size > most {
                eprintln!(
                    "{size} connections skipped: files are limited to {most}; see `ulimit -n`"
                );
            }
            size <= most
        });
        Self {
            active,
            most: most.min(IDLE + ACTIVE_AMONG_IDLE),
            exchanges: 30_000,
            conversations: 10_000,
            storm: most.min(10_000),
            memory: (most.min(1_000), most.min(19_000)),
        }
    }

    /// Returns sizes that check only that everything works.
    pub(crate) fn small() -> Self {
        Self {
            active: vec![1, 10],
            most: 20,
            exchanges: 100,
            conversations: 10,
            storm: 20,
            memory: (10, 20),
        }
    }

    /// Returns the number of exchanges, fewer if they are sequential.
    fn exchanges_of(&self, connections: usize) -> u64 {
        let connections = connections as u64;
        self.exchanges.min(2_000 * connections).max(2 * connections)
    }

    pub(crate) fn is_small(&self) -> bool {
        self.most < ACTIVE_AMONG_IDLE
    }
}

fn exchange(
    server: &Running,
    fleet: &mut Fleet,
    scale: &Scale,
    most: usize,
) -> io::Result<Measured> {
    let mut measured = Vec::new();
    for &connections in scale.active.iter().filter(|&&size| size <= most) {
        fleet.grow_to(connections)?;
        let work = Work {
            active: 0..connections,
            depth: 1,
            exchanges: scale.exchanges_of(connections),
        };
        measured.extend(timed(
            server,
            fleet,
            work,
            &format!("exchange/{connections}"),
        )?);
    }
    if scale.most <= most {
        fleet.grow_to(scale.most)?;
        let active = ACTIVE_AMONG_IDLE.min(scale.most / 2);
        let work = Work {
            active: 0..active,
            depth: 1,
            exchanges: scale.exchanges,
        };
        let name = format!("active_among_idle/{}", scale.most - active);
        measured.extend(timed(server, fleet, work, &name)?);
    }
    Ok(measured)
}

fn pipelined(server: &Running, fleet: &mut Fleet, scale: &Scale) -> io::Result<Measured> {
    fleet.grow_to(PIPELINING)?;
    let work = Work {
        active: 0..PIPELINING,
        depth: DEPTH,
        exchanges: scale.exchanges * 10,
    };
    timed(server, fleet, work, &format!("pipelined/{DEPTH}"))
}

/// Performs part of the work as a warm-up, then times all of it.
fn timed(server: &Running, fleet: &mut Fleet, work: Work, name: &str) -> io::Result<Measured> {
    fleet.exchange(Work {
        exchanges: (work.exchanges / 5).max(work.active.len() as u64),
        ..work.clone()
    })?;
    let before = server.run_time()?;
    let exchanges = work.exchanges;
    let took = fleet.exchange(work)?;
    let ran = server.run_time()? - before;
    Ok(per_unit(name, exchanges, took, ran))
}

fn conversation(server: &Running, fleet: &mut Fleet, scale: &Scale) -> io::Result<Measured> {
    fleet.converse(scale.conversations / 5, CONVERSATIONS_AT_ONCE)?;
    // Not the run time of current threads: some servers end one for each conversation.
    let before = server.cpu_time()?;
    let took = fleet.converse(scale.conversations, CONVERSATIONS_AT_ONCE)?;
    let ran = server.cpu_time()? - before;
    Ok(per_unit("conversation", scale.conversations, took, ran))
}

fn storm(server: &Running, fleet: &mut Fleet, scale: &Scale) -> io::Result<Measured> {
    let before = server.cpu_time()?;
    let took = fleet.open_at_once(scale.storm)?;
    let ran = server.cpu_time()? - before;
    let name = format!("connect_storm/{}", scale.storm);
    let mut measured = per_unit(&name, scale.storm as u64, took, ran);
    // A dropped SYN is retransmitted after a second, and the time then exceeds 1000 ms.
    measured.push((format!("{name} {MILLISECONDS}"), took.as_secs_f64() * 1e3));
    Ok(measured)
}

fn memory(server: &Running, fleet: &mut Fleet, scale: &Scale) -> io::Result<Measured> {
    let (first, last) = scale.memory;
    let before = memory_of_idle(server, fleet, first)?;
    let after = memory_of_idle(server, fleet, last)?;
    let bytes = after.saturating_sub(before) as f64 / (last - first) as f64;
    Ok(vec![(format!("memory {BYTES}"), bytes)])
}

fn memory_of_idle(server: &Running, fleet: &mut Fleet, connections: usize) -> io::Result<u64> {
    fleet.grow_and_exchange(connections)?;
    settled(server)
}

/// Waits until the memory settles: some servers free memory after the last answer.
fn settled(server: &Running) -> io::Result<u64> {
    let started = Instant::now();
    let mut before = server.memory()?.anonymous;
    while started.elapsed() < SETTLING_MAX {
        std::thread::sleep(SETTLING);
        let now = server.memory()?.anonymous;
        if now == before {
            break;
        }
        before = now;
    }
    Ok(before)
}

fn per_unit(name: &str, units: u64, took: Duration, ran: Duration) -> Measured {
    let units = units as f64;
    vec![
        (format!("{name} {CPU}"), ran.as_secs_f64() * 1e6 / units),
        (format!("{name} {PER_SECOND}"), units / took.as_secs_f64()),
    ]
}

/// The units, which end the names of figures.
pub(crate) const CPU: &str = "cpu-µs";
pub(crate) const PER_SECOND: &str = "per-second";
pub(crate) const MILLISECONDS: &str = "ms";
pub(crate) const BYTES: &str = "bytes";

pub(crate) const ACTIVE_AMONG_IDLE: usize = 100;
pub(crate) const IDLE: usize = 19_000;
const PIPELINING: usize = 100;
const DEPTH: u32 = 50;
const CONVERSATIONS_AT_ONCE: u64 = 64;
const SETTLING: Duration = Duration::from_millis(100);
const SETTLING_MAX: Duration = Duration::from_secs(2);
