//! File descriptors: how many connections this process can hold.

/// The connections that the limit on file descriptors allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The limit itself.
    pub descriptors: usize,
    /// Connections served at once.
    pub connections: usize,
    /// Connections that may linger while they are turned away.
    pub refusals: usize,
}

impl Allowance {
    /// Divides `descriptors` up: the program's own needs and those `taken` already come first,
    /// then a small reserve for refused connections; the rest is for the others.
    fn of(descriptors: usize, taken: usize) -> Self {
        let free = descriptors.saturating_sub(taken + OWN);
        let refusals = (descriptors / 64)
            .saturating_sub(OWN)
            .clamp(16, 240)
            .min(free / 2);
        Self {
            descriptors,
            connections: (free - refusals).max(1),
            refusals,
        }
    }
}

/// Raises the soft limit to the hard one, and returns the connections that it allows.
#[cfg(unix)]
pub fn raise_limit() -> Allowance {
    // Some systems call their hard limit infinite and refuse to set it.
    let limit = rlimit::increase_nofile_limit(MOST).unwrap_or(ASSUMED as u64);
    let descriptors = usize::try_from(limit.min(MOST)).unwrap_or(ASSUMED);
    Allowance::of(descriptors, taken(descriptors).unwrap_or(STANDARD_STREAMS))
}

/// Returns how many descriptors below `limit` are open, standard streams and inherited ones
/// included, if the system reports it.
#[cfg(unix)]
fn taken(limit: usize) -> Option<usize> {
    let numbers = std::fs::read_dir("/dev/fd")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse().ok());
    // The folder that is being read is open, too, but not for long.
    let open = numbers.filter(|number: &usize| *number < limit).count();
    Some(open.saturating_sub(1))
}

/// Returns a guess: elsewhere there is no such limit.
#[cfg(not(unix))]
pub fn raise_limit() -> Allowance {
    Allowance::of(10_000, STANDARD_STREAMS)
}

/// Returns the maximum length of a backlog, if the kernel reports it.
pub fn somaxconn() -> Option<u32> {
    std::fs::read_to_string("/proc/sys/net/core/somaxconn")
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Poller, waker, the pipe of signals with an end for each, reserve, the log's watch, a few
/// listeners, the socket of the service manager, and two for a successor.
const OWN: usize = 16;
const STANDARD_STREAMS: usize = 3;
/// The limit that every Unix grants.
const ASSUMED: usize = 256;
/// Linux's own default for `fs.nr_open`.
const MOST: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_descriptors_are_for_connections() {
        assert_eq!(
            Allowance::of(20_000, STANDARD_STREAMS),
            Allowance {
                descriptors: 20_000,
                connections: 19_741,
                refusals: 240
            }
        );
        assert_eq!(
            Allowance::of(1024, STANDARD_STREAMS),
            Allowance {
                descriptors: 1024,
                connections: 989,
                refusals: 16
            }
        );
        assert_eq!(
            Allowance::of(64, STANDARD_STREAMS),
            Allowance {
                descriptors: 64,
                connections: 29,
                refusals: 16
            }
        );
    }

    #[test]
    fn what_is_taken_already_is_not_given_away() {
        let allowance = Allowance::of(64, STANDARD_STREAMS + 10);
        assert_eq!(allowance.connections + allowance.refusals, 64 - 19 - 10);
    }

    #[test]
    fn even_a_tiny_limit_leaves_one_connection() {
        for descriptors in 1..64 {
            assert!(
                Allowance::of(descriptors, 7).connections >= 1,
                "{descriptors}"
            );
        }
    }

    #[test]
    #[cfg(unix)]
    fn an_open_file_is_taken() {
        let limit = 1 << 20;
        let before = taken(limit);
        let _file = std::fs::File::open("/dev/null").unwrap();
        // Other tests open and close files meanwhile.
        assert!(before.is_some() && taken(limit) >= Some(STANDARD_STREAMS));
    }
}
