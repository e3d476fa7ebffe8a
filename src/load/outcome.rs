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
    /// Exchanges, or conversations, that ended in that time, whenever they began.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::Fault;
    use crate::plan::{Framing, Pace, Scenario};
    use crate::record;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns an outcome of 30 exchanges in 3 seconds over 4 connections.
    fn outcome(scenario: Scenario) -> Outcome {
        Outcome {
            plan: Plan {
                target: ([127, 0, 0, 1], 1).into(),
                sources: Vec::new(),
                scenario,
                connections: 4,
                asked: 4,
                framing: Framing::Line,
                duration: 3 * SECOND,
                warm_up: SECOND,
                ramp: Duration::ZERO,
                timeout: SECOND,
                grace: SECOND,
            },
            ending: Ending::Complete,
            measured: 3 * SECOND,
            completed: 30,
            latency: record::latencies(),
            service: None,
            lateness: None,
            held_back: 0,
            connect: record::latencies(),
            faults: Faults::default(),
            oldest_missing: Duration::ZERO,
            stranger: None,
            series: Vec::new(),
            connections: Connections {
                opening: SECOND / 2,
                ..Connections::default()
            },
            costs: Costs::default(),
            placement: Placement::default(),
        }
    }

    fn exchange() -> Outcome {
        outcome(Scenario::Exchange(Pace::Closed { in_flight: 1 }))
    }

    #[test]
    fn rates_are_counts_per_second() {
        assert_eq!(exchange().throughput(), Some(10.0));
        assert_eq!(exchange().connect_rate(), Some(8.0));
    }

    #[test]
    fn rates_of_no_time_and_throughput_of_idle_connections_are_unknown() {
        let nothing = Outcome {
            measured: Duration::ZERO,
            connections: Connections::default(),
            ..exchange()
        };
        assert_eq!(nothing.throughput(), None);
        assert_eq!(nothing.connect_rate(), None);
        assert_eq!(outcome(Scenario::Idle).throughput(), None);
        assert_eq!(outcome(Scenario::Idle).connect_rate(), Some(8.0));
    }

    #[test]
    fn outcome_with_one_fault_is_not_clean() {
        let mut outcome = exchange();
        assert!(outcome.is_clean());
        outcome.faults.add(Fault::Late, 1);
        assert!(!outcome.is_clean());
    }

    #[test]
    fn costs_are_shares_of_the_time_and_of_the_exchanges() {
        let costs = Costs {
            wall: 4 * SECOND,
            completed: 1000,
            generator: Some(SECOND),
            server: Some(6 * SECOND),
            others: Some(2 * SECOND),
            stolen: Some(SECOND / 2),
            ..Costs::default()
        };
        assert_eq!(costs.generator_each(), Some(Duration::from_millis(1)));
        assert_eq!(costs.server_each(), Some(Duration::from_millis(6)));
        assert_eq!(costs.generator_share(), Some(0.25));
        assert_eq!(costs.server_share(), Some(1.5));
        assert_eq!(costs.others_share(), Some(0.5));
        assert_eq!(costs.stolen_share(), Some(0.125));
    }

    #[test]
    fn costs_that_are_unknown_or_of_nothing_have_no_shares() {
        assert_eq!(Costs::default().generator_each(), None);
        assert_eq!(Costs::default().server_share(), None);
        let nothing = Costs {
            generator: Some(SECOND),
            ..Costs::default()
        };
        assert_eq!(nothing.generator_each(), None);
        assert_eq!(nothing.generator_share(), None);
    }

    #[test]
    fn memory_is_what_has_grown_for_each_connection() {
        let costs = Costs {
            server_memory_before: Some(1000),
            server_memory: Some(1500),
            ..Costs::default()
        };
        assert_eq!(costs.memory_each(4), Some(125.0));
        assert_eq!(costs.memory_each(0), None);
        assert_eq!(Costs::default().memory_each(4), None);
        let shrunk = Costs {
            server_memory: Some(1),
            ..costs
        };
        assert_eq!(shrunk.memory_each(4), Some(0.0));
    }
}
