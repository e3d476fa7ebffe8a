//! File descriptors for tests that want many of them.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit as far as possible, and returns how many connections of `wanted` this test
/// program can hold; prints it if that is fewer. Other tests run beside, and need some, too.
pub(crate) fn affordable(wanted: usize) -> usize {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("reading the limit");
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    let affordable = usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_sub(OTHERS);
    if affordable < wanted {
        println!(
            "only {affordable} connections instead of {wanted}: raise the limit with `ulimit -n`"
        );
    }
    wanted.min(affordable)
}

const OTHERS: usize = 1000;
