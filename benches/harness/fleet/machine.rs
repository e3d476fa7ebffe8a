//! What a benchmark asks of the machine that it runs on.

#[cfg(unix)]
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit of open files as far as it goes, and says how far that is.
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

/// Elsewhere nobody limits them like that.
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
const ASSUMED: usize = 256;
