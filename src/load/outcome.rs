//! The outcome of a run.

use std::time::Duration;

use super::errors::Faults;
use super::placement::Placement;
use super::plan::Plan;
use super::record::{Interval, Latencies};

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The plan of the run.
    pub plan: Plan,
    /// The end of the run.
    pub ending: Ending,
    /// The length of the measured part.
    pub measured: Duration,
    /// Exchanges, or conversations, that began in the measured part and ended.
    pub completed: u64,
    /// From the moment a name was due (without a schedule: sent) to its whole answer. In churn:
    /// from the connect to the end of the stream. In idle: the answers to the proof of life.
    pub latency: Latencies,
    /// With a schedule: from the moment a name was sent to its whole answer.
    pub service: Option<Latencies>,
    /// With a schedule: from the moment a name was due to the moment it was sent, for those that
    /// could be sent when they were due.
    pub lateness: Option<Latencies>,
    /// With a schedule: names that could not, for their connection had too many in flight or was
    /// lost.
    pub held_back: u64,
    /// From the connect to the moment that the connection is established.
    pub connect: Latencies,
    /// The errors of the whole run.
    pub faults: Faults,
    /// The longest time for which an answer that never came was overdue.
    pub oldest_missing: Duration,
    /// The first line of a server that speaks another protocol.
    pub stranger: Option<String>,
    /// The measured part, piece by piece.
    pub series: Vec<Interval>,
    /// Connections.
    pub connections: Connections,
    /// The costs of the measured part.
    pub costs: Costs,
    /// The cores that both sides ran on in the measured part.
    pub placement: Placement,
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Complete,
    /// It was stopped.
    Interrupted,
}

/// The connections of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Connections made, over the whole run.
    pub made: u64,
    /// The most that were greeted and open at one time.
    pub open_max: u32,
    /// Those open at the end of the measured part.
    pub held: u32,
    /// Idle connections that answered at the end.
    pub proved: u32,
    /// The time it took to open all of them, greetings included.
    pub opening: Duration,
}

/// The costs of the measured part. `None` where they are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// The time over which the following was used.
    pub wall: Duration,
    /// Exchanges, or conversations, that ended in that time.
    pub completed: u64,
    /// CPU time of this process.
    pub generator: Option<Duration>,
    /// CPU time of the server.
    pub server: Option<Duration>,
    /// CPU time of all other processes of the machine, if the server's is known.
    pub others: Option<Duration>,
    /// CPU time that the hypervisor took from the machine.
    pub stolen: Option<Duration>,
    /// The server's own memory before the first connection, in bytes.
    pub server_memory_before: Option<u64>,
    /// The server's own memory at the end of the measured part, in bytes.
    pub server_memory: Option<u64>,
}

impl Outcome {
    /// Returns exchanges, or conversations, per second. `None` if nothing was measured, and for
    /// idle connections.
    #[must_use]
    pub fn throughput(&self) -> Option<f64> {
        let seconds = self.measured.as_secs_f64();
        (seconds > 0.0 && self.plan.active() > 0).then(|| self.completed as f64 / seconds)
    }

    /// Returns the connections opened per second while all were opened.
    #[must_use]
    pub fn connect_rate(&self) -> Option<f64> {
        let seconds = self.connections.opening.as_secs_f64();
        (seconds > 0.0).then(|| f64::from(self.plan.connections) / seconds)
    }

    /// Returns `true` if there were no errors.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults.total() == 0
    }
}

impl Costs {
    /// Returns the CPU time of this process per exchange.
    #[must_use]
    pub fn generator_each(&self) -> Option<Duration> {
        self.each(self.generator)
    }

    /// Returns the CPU time of the server per exchange.
    #[must_use]
    pub fn server_each(&self) -> Option<Duration> {
        self.each(self.server)
    }

    /// Returns how much of one core this process used, from 0 to 1.
    #[must_use]
    pub fn generator_share(&self) -> Option<f64> {
        self.share(self.generator)
    }

    /// Returns how much of one core the server used; more than 1 if it has threads.
    #[must_use]
    pub fn server_share(&self) -> Option<f64> {
        self.share(self.server)
    }

    /// Returns how many cores all other processes used; see [`others`](Self::others).
    #[must_use]
    pub fn others_share(&self) -> Option<f64> {
        self.share(self.others)
    }

    /// Returns how many cores the hypervisor took.
    #[must_use]
    pub fn stolen_share(&self) -> Option<f64> {
        self.share(self.stolen)
    }

    /// Returns how much memory each of `connections` costs the server, in bytes.
    #[must_use]
    pub fn memory_each(&self, connections: u32) -> Option<f64> {
        let grown = self
            .server_memory?
            .saturating_sub(self.server_memory_before?);
        (connections > 0).then(|| grown as f64 / f64::from(connections))
    }

    fn each(&self, cpu: Option<Duration>) -> Option<Duration> {
        let nanos = cpu?.as_nanos() as f64 / self.completed as f64;
        (self.completed > 0).then(|| Duration::from_nanos(nanos as u64))
    }

    fn share(&self, cpu: Option<Duration>) -> Option<f64> {
        let wall = self.wall.as_secs_f64();
        (wall > 0.0).then_some(cpu?.as_secs_f64() / wall)
    }
}
