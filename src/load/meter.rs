//! The costs of the measured part, on both sides.

use std::time::Duration;

use super::generator::Phase;
use super::outcome::Costs;
use super::placement::{MachineTime, Placement};
use super::process::{Process, own_cpu_time};
use oneloop::Time;

/// Looks at the costs when the measured part begins and when it ends.
#[derive(Debug)]
pub(crate) struct Meter {
    server: Option<Process>,
    memory_before: Option<u64>,
    placement: Placement,
    next_look: Time,
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
    machine: Option<MachineTime>,
}

impl Meter {
    /// Creates the meter. It must be created before the first connection.
    pub(crate) fn new(server: Option<Process>) -> Self {
        Self {
            server,
            memory_before: server.and_then(Process::memory),
            placement: Placement::default(),
            next_look: Time::START,
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
            (Reading::Begun(_), Phase::Measuring { .. }) if now < self.next_look => {}
            (Reading::Begun(_), Phase::Measuring { .. }) => {
                self.next_look = now + LOOK_EVERY;
                self.placement.look(self.server);
            }
            (&Reading::Begun(begun), _) => {
                let costs = self.since(begun, self.read(completed, now));
                self.reading = Reading::Ended(costs);
            }
            (Reading::Waiting | Reading::Ended(_), _) => {}
        }
    }

    /// Returns the costs, and the cores of both sides; nothing if the measured part was never
    /// reached.
    pub(crate) fn result(self) -> (Costs, Placement) {
        let costs = match self.reading {
            Reading::Ended(costs) => costs,
            Reading::Waiting | Reading::Begun(_) => Costs::default(),
        };
        (costs, self.placement)
    }

    fn read(&self, completed: u64, now: Time) -> Look {
        Look {
            at: now,
            completed,
            generator: own_cpu_time(),
            server: self.server.and_then(Process::cpu_time),
            machine: MachineTime::now(),
        }
    }

    fn since(&self, begun: Look, ended: Look) -> Costs {
        let generator = difference(begun.generator, ended.generator);
        let server = difference(begun.server, ended.server);
        let of_machine = |time: fn(MachineTime) -> Duration| {
            difference(begun.machine.map(time), ended.machine.map(time))
        };
        let others = || {
            let all = of_machine(|machine| machine.processes)?;
            Some(all.saturating_sub(generator?).saturating_sub(server?))
        };
        Costs {
            others: others(),
            stolen: of_machine(|machine| machine.stolen),
            wall: ended.at.since(begun.at),
            completed: ended.completed - begun.completed,
            generator,
            server,
            server_memory_before: self.memory_before,
            server_memory: self.server.and_then(Process::memory),
        }
    }
}

fn difference(begun: Option<Duration>, ended: Option<Duration>) -> Option<Duration> {
    Some(ended?.saturating_sub(begun?))
}

/// Often enough for a run of a second, and seldom enough to cost nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
