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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::START + Duration::from_millis(millis)
    }

    const MEASURING: Phase = Phase::Measuring { until: Time::START };

    fn own() -> Option<Process> {
        Some(Process::new(std::process::id()))
    }

    #[test]
    fn costs_are_those_of_the_measured_part() {
        let mut meter = Meter::new(own());
        meter.look(Phase::Opening, 5, at(100));
        meter.look(MEASURING, 10, at(1000));
        meter.look(MEASURING, 20, at(2000));
        meter.look(Phase::Settling { until: at(0) }, 40, at(4000));
        meter.look(Phase::Over, 99, at(9000));
        let (costs, _) = meter.result();
        assert_eq!(costs.wall, Duration::from_secs(3));
        assert_eq!(costs.completed, 30);
    }

    #[test]
    fn costs_of_a_run_that_measured_nothing_are_unknown() {
        let mut meter = Meter::new(None);
        meter.look(Phase::Opening, 5, at(100));
        meter.look(Phase::Over, 5, at(200));
        assert_eq!(meter.result().0, Costs::default());
    }

    #[test]
    fn cores_are_looked_at_now_and_then() {
        let mut meter = Meter::new(own());
        if own().and_then(Process::core).is_none() {
            return eprintln!("skipped: this system does not report cores");
        }
        for millis in 0..5000 {
            meter.look(MEASURING, 0, at(1000 + millis));
        }
        assert_eq!(meter.result().1.looks, 5000 / 50);
    }

    #[test]
    fn processor_time_is_what_was_used_between_the_looks() {
        let look = |millis: [u64; 4]| {
            let [generator, server, processes, stolen] = millis.map(Duration::from_millis);
            Look {
                at: at(0),
                completed: 0,
                generator: Some(generator),
                server: Some(server),
                machine: Some(MachineTime { processes, stolen }),
            }
        };
        let begun = look([100, 200, 1000, 10]);
        let ended = look([150, 290, 1500, 17]);
        let costs = Meter::new(None).since(begun, ended);
        let millis = |time: Option<Duration>| time.map(|time| time.as_millis());
        assert_eq!(millis(costs.generator), Some(50));
        assert_eq!(millis(costs.server), Some(90));
        assert_eq!(millis(costs.others), Some(500 - 50 - 90));
        assert_eq!(millis(costs.stolen), Some(7));
        let blind = Look {
            server: None,
            ..ended
        };
        let costs = Meter::new(None).since(begun, blind);
        assert_eq!((costs.server, costs.others), (None, None));
    }
}
