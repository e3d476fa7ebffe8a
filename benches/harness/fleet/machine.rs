//! The machine's resources: descriptors and cores.

#[cfg(unix)]
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit on open files to its maximum and returns it.
#[cfg(unix)]
pub fn descriptors() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return ASSUMED;
    };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
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
const ASSUMED: usize = 256;
