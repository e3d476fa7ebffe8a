//! Signals that stop the loop.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use super::Os;

/// Makes SIGINT and SIGTERM stop the loop. A second one ends the process, even if the loop does not
/// turn.
///
/// A signal that is ignored stays ignored: `nohup` works, and a shell's background job does not end
/// by Ctrl-C.
pub(super) fn stop_on_signals(os: &mut Os) -> io::Result<()> {
    let ignored = ignored_now();
    let wake = os.wake_pipe()?;
    let repeated = Arc::default();
    for signal in [SIGINT, SIGTERM] {
        if ignored & (1 << (signal - 1)) != 0 {
            continue;
        }
        // In this order: the first signal must find the flag down.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&repeated))?;
        flag::register(signal, Arc::clone(&repeated))?;
        flag::register(signal, os.stopper().flag())?;
        pipe::register(signal, wake.try_clone()?)?;
    }
    Ok(())
}

/// Returns the signals that are ignored now, signal N as bit N - 1.
///
/// Asking `sigaction` needs unsafe code, and Linux has the answer in a file. Elsewhere there is
/// none, and no signal counts as ignored.
fn ignored_now() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status).unwrap_or(0)
}

fn ignored_in(status: &str) -> Option<u64> {
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = "Name:\techo\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_in(status), Some((1 << 12) | 1));
        assert_eq!(ignored_in("Name:\techo\n"), None);
    }
}
