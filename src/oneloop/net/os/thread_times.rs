//! The times of the loop's thread, as Linux counts them.

use std::fs;
use std::time::Duration;

use crate::net::ThreadTimes;

/// Reads the times of the calling thread. The file is opened each time, since a descriptor that is
/// kept would be one less for connections.
pub(super) fn read() -> Option<ThreadTimes> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    parse(&text)
}

/// Parses the file: nanoseconds of running, nanoseconds of waiting for a processor, time slices.
fn parse(text: &str) -> Option<ThreadTimes> {
    let mut nanos = text.split_whitespace().map(str::parse);
    let mut next = || Some(Duration::from_nanos(nanos.next()?.ok()?));
    Some(ThreadTimes {
        ran: next()?,
        waited: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_has_times_in_nanoseconds() {
        let times = ThreadTimes {
            ran: Duration::from_millis(1),
            waited: Duration::from_nanos(7),
        };
        assert_eq!(parse("1000000 7 3\n"), Some(times));
        assert_eq!(parse("1000000\n"), None);
    }

    #[test]
    fn time_of_a_thread_that_computes_grows() {
        let Some(before) = read() else {
            return println!("skipped: this kernel keeps no schedstat");
        };
        loop {
            let ran = read().expect("it could be read before").ran;
            if ran > before.ran + Duration::from_millis(1) {
                break;
            }
        }
    }
}
