//! What a benchmark asks of the machine that it runs on.

/// Raises the limit of open files as far as it goes, and returns it.
#[cfg(unix)]
pub fn descriptors() -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(ASSUMED);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Returns a guess: elsewhere there is no such limit.
#[cfg(not(unix))]
pub fn descriptors() -> usize {
    usize::MAX
}

/// Keeps this thread on `core`, where that can be asked for and there is such a core.
#[cfg(target_os = "linux")]
pub fn pin_to(core: usize) -> bool {
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::unistd::Pid;

    let mut cores = CpuSet::new();
    cores.set(core).is_ok() && sched_setaffinity(Pid::from_raw(0), &cores).is_ok()
}

/// Elsewhere the system decides.
#[cfg(not(target_os = "linux"))]
pub fn pin_to(_: usize) -> bool {
    false
}

/// What every Unix grants.
#[cfg(unix)]
const ASSUMED: u64 = 256;
