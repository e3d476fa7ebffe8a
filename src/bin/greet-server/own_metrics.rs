//! The program's own metrics, beside those of the loop: its version, its process, its log.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use greet_support::VERSION;
use oneloop::admin::Exposition;

use crate::logging;

/// The metrics of a program that was started at a certain time.
pub(crate) struct OwnMetrics {
    started: Duration,
}

impl OwnMetrics {
    /// Creates the metrics of a program that starts now.
    pub(crate) fn new() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started: started.unwrap_or_default(),
        }
    }

    /// Adds the metrics. The files of /proc that it reads are in memory.
    pub(crate) fn add(&self, metrics: &mut Exposition) {
        metrics
            .gauge("greet_build_info", "Always 1; the label is the version.")
            .labelled(&[("version", VERSION)], 1);
        metrics
            .counter(
                "greet_log_dropped_total",
                "Lines of the log dropped because their reader was too slow.",
            )
            .value(logging::dropped());
        metrics
            .gauge(
                "process_start_time_seconds",
                "When the process was started, since the Unix epoch.",
            )
            .value(self.started.as_secs_f64());
        if let Some(seconds) = fs::read_to_string("/proc/self/stat")
            .ok()
            .as_deref()
            .and_then(cpu_seconds)
        {
            metrics
                .counter(
                    "process_cpu_seconds_total",
                    "Processor time, of user and system.",
                )
                .value(seconds);
        }
        if let Some(bytes) = fs::read_to_string("/proc/self/status")
            .ok()
            .as_deref()
            .and_then(resident_bytes)
        {
            metrics
                .gauge("process_resident_memory_bytes", "Resident memory.")
                .value(bytes);
        }
        // Since Linux 6.2 this is the number of descriptors; before, nothing.
        if let Some(open) = fs::metadata("/proc/self/fd")
            .ok()
            .map(|fds| fds.len())
            .filter(|&open| open > 0)
        {
            metrics
                .gauge("process_open_fds", "Open file descriptors.")
                .value(open);
        }
        #[cfg(unix)]
        if let Ok((most, _)) = rlimit::getrlimit(rlimit::Resource::NOFILE) {
            metrics
                .gauge("process_max_fds", "The most file descriptors.")
                .value(most);
        }
    }
}

/// Parses the processor time in `/proc/self/stat`, whose unit is 10 ms on every Linux.
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name of the program, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / 100.0)
}

/// Parses the resident memory in `/proc/self/status`.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 147 0 0 0 250 75 0 0 20 0 1 0 5 0 0";
        assert_eq!(cpu_seconds(stat), Some(3.25));
        assert_eq!(cpu_seconds("7 (a) S 1"), None);
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    9 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(resident_bytes(status), Some(2 << 20));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }
}
