//! The cores that both sides ran on, and the CPU time of the whole machine.

use std::fs;
use std::time::Duration;

use super::cores::{Cores, own_core};
use super::process::Process;

/// The cores that both sides were seen on during the measured part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// The cores that the generator was seen on.
    pub generator: Cores,
    /// The cores that the server was seen on; empty if its process is not known.
    pub server: Cores,
    /// The number of samples of both.
    pub looks: u32,
    /// The number of samples in which both were on the same core.
    pub together: u32,
}

/// CPU time of the whole machine, as `/proc/stat` counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MachineTime {
    /// Of all processes, interrupts not included.
    pub(crate) processes: Duration,
    /// Taken by the hypervisor.
    pub(crate) stolen: Duration,
}

impl Placement {
    /// Returns how large a part of the time both sides were on the same core, from 0 to 1.
    #[must_use]
    pub fn shared(&self) -> Option<f64> {
        (self.looks > 0).then(|| f64::from(self.together) / f64::from(self.looks))
    }

    /// Notes on which core each side is now.
    pub(crate) fn look(&mut self, server: Option<Process>) {
        let Some(own) = own_core() else { return };
        self.generator.insert(own);
        if let Some(core) = server.and_then(Process::core) {
            self.server.insert(core);
            self.looks += 1;
            self.together += u32::from(core == own);
        }
    }
}

impl MachineTime {
    /// Reads the counters. `None` where there is no `/proc`.
    pub(crate) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        let mut fields = stat
            .lines()
            .next()?
            .strip_prefix("cpu ")?
            .split_whitespace();
        let mut ticks = || fields.next()?.parse::<u64>().ok();
        let (user, nice, system) = (ticks()?, ticks()?, ticks()?);
        let [_idle, _iowait, _irq, _softirq] = [ticks()?, ticks()?, ticks()?, ticks()?];
        let stolen = ticks().unwrap_or(0);
        Some(Self {
            processes: Process::ticks(user + nice + system),
            stolen: Process::ticks(stolen),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_processes_leaves_out_idling_and_interrupts() {
        let stat = "cpu  100 20 3 9999 9999 9999 9999 7 0 0\ncpu0 1 1 1 1\n";
        let time = MachineTime::parse(stat).expect("a line");
        assert_eq!(time.processes, Duration::from_millis(1230));
        assert_eq!(time.stolen, Duration::from_millis(70));
    }

    #[test]
    fn sides_on_one_core_are_seen_together() {
        let mut placement = Placement::default();
        placement.look(Some(Process::new(std::process::id())));
        if own_core().is_none() {
            return eprintln!("skipped: this system does not report cores");
        }
        assert_eq!(placement.generator.len(), 1);
        assert_eq!(placement.looks, 1);
    }
}
