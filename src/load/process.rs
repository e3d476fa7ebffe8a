//! What a process costs, as the system says.

use std::fs;
use std::time::Duration;

/// A process whose costs are looked at from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
}

impl Process {
    /// The process with this number.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// The process's number.
    #[must_use]
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// CPU time of all its threads, in user space and in the kernel, to 10 ms. `None` where there
    /// is no `/proc`, or no such process.
    #[must_use]
    pub fn cpu_time(self) -> Option<Duration> {
        let stat = self.read("stat")?;
        // The program's name, in brackets, may contain anything: count from its end.
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace().skip(UTIME_AFTER_NAME);
        let mut ticks = || fields.next()?.parse::<u32>().ok();
        Some(TICK * (ticks()? + ticks()?))
    }

    /// Bytes of memory that are this process's alone: what it has allocated, not its program.
    /// `None` where there is no `/proc`, or no such process.
    #[must_use]
    pub fn memory(self) -> Option<u64> {
        let status = self.read("status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    fn read(self, file: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid)).ok()
    }
}

/// CPU time that this process has used, to a microsecond.
#[cfg(unix)]
pub(crate) fn own_cpu_time() -> Option<Duration> {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64);
    Some(Duration::from_micros(micros.iter().sum()))
}

#[cfg(not(unix))]
pub(crate) fn own_cpu_time() -> Option<Duration> {
    None
}

/// proc(5) numbers the fields from 1; the name is the 2nd, and `utime`, the 14th, precedes `stime`.
const UTIME_AFTER_NAME: usize = 14 - 3;

/// What `/proc` counts in (`USER_HZ`): a hundredth of a second on all that Linux still runs on.
const TICK: Duration = Duration::from_millis(10);

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_cpu_time_and_memory() {
        let own = Process::new(std::process::id());
        let before = own.cpu_time().expect("there is a /proc");
        let precise = own_cpu_time().expect("every Unix tells");
        while own.cpu_time().expect("still here") < before + TICK * 3 {
            std::hint::black_box((0..10_000u64).sum::<u64>());
        }
        assert!(own_cpu_time().expect("every Unix tells") > precise + TICK);
        assert!(own.memory().expect("there is a /proc") > 100_000);
    }

    #[test]
    fn a_process_that_is_not_there_costs_nothing_that_is_known() {
        let nobody = Process::new(u32::MAX);
        assert_eq!((nobody.cpu_time(), nobody.memory()), (None, None));
    }
}
