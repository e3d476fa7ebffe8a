//! File descriptors: how many connections this process can hold.

/// What the limit on file descriptors allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Connections served at once.
    pub(crate) connections: usize,
    /// Connections that may linger while they are turned away.
    pub(crate) refusals: usize,
}

impl Allowance {
    /// Divides `descriptors` up: a small reserve for the program's own needs and for those who
    /// are turned away, the rest for connections.
    fn of(descriptors: usize) -> Self {
        let reserve = (descriptors / 64).clamp(32, 256).min(descriptors / 2);
        Self {
            connections: (descriptors - reserve).max(1),
            refusals: reserve.saturating_sub(OWN),
        }
    }
}

/// Raises the soft limit to the hard one, and says what it allows.
#[cfg(unix)]
pub(crate) fn raise_limit() -> Allowance {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Allowance::of(ASSUMED);
    };
    // Some systems call their hard limit infinite and refuse to set it.
    let wanted = hard.min(MOST);
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, wanted.max(soft), hard) {
        Ok(()) => wanted.max(soft),
        Err(_) => soft,
    };
    Allowance::of(usize::try_from(limit.min(MOST)).unwrap_or(ASSUMED))
}

/// Elsewhere there is no such limit.
#[cfg(not(unix))]
pub(crate) fn raise_limit() -> Allowance {
    Allowance::of(10_000)
}

/// How many connections the kernel lets wait at most, where it says so.
pub(crate) fn somaxconn() -> Option<u32> {
    std::fs::read_to_string("/proc/sys/net/core/somaxconn")
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Standard streams, poller, waker, signal pipe, reserve, listeners.
const OWN: usize = 16;
/// What every Unix grants.
const ASSUMED: usize = 256;
/// Linux's own default for `fs.nr_open`.
const MOST: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_descriptors_are_for_connections() {
        assert_eq!(
            Allowance::of(20_000),
            Allowance {
                connections: 19_744,
                refusals: 240
            }
        );
        assert_eq!(
            Allowance::of(1024),
            Allowance {
                connections: 992,
                refusals: 16
            }
        );
        assert_eq!(
            Allowance::of(64),
            Allowance {
                connections: 32,
                refusals: 16
            }
        );
    }

    #[test]
    fn even_a_tiny_limit_leaves_one_connection() {
        for descriptors in 1..64 {
            assert!(Allowance::of(descriptors).connections >= 1, "{descriptors}");
        }
    }
}
