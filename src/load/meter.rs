//! What the measured part costs both sides.

use std::time::Duration;

use super::generator::Phase;
use super::outcome::Costs;
use super::process::{Process, own_cpu_time};
use crate::service::Time;

/// Looks at the costs when the measured part begins and when it ends.
#[derive(Debug)]
pub(crate) struct Meter {
    server: Option<Process>,
    memory_before: Option<u64>,
    reading: Reading,
}

#[derive(Debug)]
enum Reading {
    Waiting,
    Begun(Look),
    Ended(Costs),
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Time,
    completed: u64,
    generator: Option<Duration>,
    server: Option<Duration>,
}

impl Meter {
    /// To be made before the first connection.
    pub(crate) fn new(server: Option<Process>) -> Self {
        Self {
            server,
            memory_before: server.and_then(Process::memory),
            reading: Reading::Waiting,
        }
    }

    /// Notes that the run is in `phase`.
    #[inline]
    pub(crate) fn look(&mut self, phase: Phase, completed: u64, now: Time) {
        match (&self.reading, phase) {
            (Reading::Waiting, Phase::Measuring { .. }) => {
                self.reading = Reading::Begun(self.read(completed, now));
            }
            (Reading::Begun(_), Phase::Measuring { .. }) => {}
            (&Reading::Begun(begun), _) => {
                let costs = self.since(begun, self.read(completed, now));
                self.reading = Reading::Ended(costs);
            }
            (Reading::Waiting | Reading::Ended(_), _) => {}
        }
    }

    /// What it cost; nothing if the measured part was never reached.
    pub(crate) fn costs(self) -> Costs {
        match self.reading {
            Reading::Ended(costs) => costs,
            Reading::Waiting | Reading::Begun(_) => Costs::default(),
        }
    }

    fn read(&self, completed: u64, now: Time) -> Look {
        Look {
            at: now,
            completed,
            generator: own_cpu_time(),
            server: self.server.and_then(Process::cpu_time),
        }
    }

    fn since(&self, begun: Look, ended: Look) -> Costs {
        Costs {
            wall: ended.at.since(begun.at),
            completed: ended.completed - begun.completed,
            generator: difference(begun.generator, ended.generator),
            server: difference(begun.server, ended.server),
            server_memory_before: self.memory_before,
            server_memory: self.server.and_then(Process::memory),
        }
    }
}

fn difference(begun: Option<Duration>, ended: Option<Duration>) -> Option<Duration> {
    Some(ended?.saturating_sub(begun?))
}
