//! The machine's resources: descriptors and cores.

/// Raises the limit on open files to its maximum and returns it.
#[cfg(unix)]
pub fn descriptors() -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(ASSUMED);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Returns a bound for systems without such a limit.
#[cfg(not(unix))]
pub fn descriptors() -> usize {
    usize::MAX
}

/// Pins this thread to `core`. Returns false if that is not possible.
#[cfg(target_os = "linux")]
pub fn pin_to(core: usize) -> bool {
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::unistd::Pid;

    let mut cores = CpuSet::new();
    cores.set(core).is_ok() && sched_setaffinity(Pid::from_raw(0), &cores).is_ok()
}

/// Returns false: pinning is not supported here.
#[cfg(not(target_os = "linux"))]
pub fn pin_to(_: usize) -> bool {
    false
}

/// The limit that every Unix grants.
#[cfg(unix)]
const ASSUMED: u64 = 256;
