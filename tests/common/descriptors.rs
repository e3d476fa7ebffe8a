//! File descriptors for tests that want many of them.

/// Raises the soft limit as far as possible, and returns how many connections of `wanted` this test
/// program can hold; prints it if that is fewer. Other tests run beside, and need some, too.
pub(crate) fn affordable(wanted: usize) -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX).expect("reading the limit");
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
