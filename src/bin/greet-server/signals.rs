//! Signals: the handlers only set flags and wake the loop.

use std::io;
#[cfg(unix)]
use std::io::Read;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use oneloop::{Reactor, Service};

/// The requests that signals have made.
pub(crate) struct Signals {
    stop: Arc<AtomicBool>,
    report: Arc<AtomicBool>,
    restart: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    /// Set by SIGINT and SIGTERM. If it is set when one of them comes, the handler ends the
    /// process: the loop has not reacted to the one before.
    interrupted: Arc<AtomicBool>,
    /// The number of the last SIGINT or SIGTERM.
    interrupt: Arc<AtomicUsize>,
    /// The reading end of the pipe with which the handlers wake the loop.
    #[cfg(unix)]
    woken: UnixStream,
    /// Set whenever a handler has written to the pipe.
    woken_by_one: Arc<AtomicBool>,
    /// Set by SIGCONT: the process was stopped until now.
    continued: Arc<AtomicBool>,
}

/// The meaning of SIGHUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// The terminal is closed: the server stops.
    Stops,
    /// The configuration is read again.
    Reloads,
}

impl Signals {
    /// Catches the signals that concern a server.
    ///
    /// SIGINT, SIGTERM and SIGHUP ask for a drain. SIGINT and SIGTERM can be repeated to stop
    /// at once: the loop takes notice, or, if it does not turn, the handler ends the process.
    /// SIGHUP cannot, because closing a terminal can send several; it may ask for a reload instead.
    /// SIGUSR1 asks for a report,
    /// SIGUSR2 for a successor. SIGCONT shows that the process was stopped, and SIGPIPE is ignored by
    /// every Rust program.
    ///
    /// A signal that was ignored when the program started stays ignored: `nohup` works, and a
    /// shell's background job does not end by Ctrl-C.
    ///
    /// # Errors
    /// If the operating system provides no pipe.
    #[cfg(unix)]
    pub(crate) fn catch(reactor: &Reactor<impl Service>, hangup: Hangup) -> io::Result<Self> {
        use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
        use signal_hook::flag;
        use signal_hook::low_level::pipe;

        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        reactor.watch_descriptors()?.readable(&woken)?;
        let signals = Self {
            stop: Arc::default(),
            report: Arc::default(),
            restart: Arc::default(),
            reload: Arc::default(),
            interrupted: Arc::default(),
            interrupt: Arc::default(),
            woken,
            woken_by_one: Arc::default(),
            continued: Arc::default(),
        };
        let ignored = ignored_at_start();
        let is_free = |signal: i32| ignored & (1 << (signal - 1)) == 0;
        for signal in [SIGINT, SIGTERM].into_iter().filter(|&one| is_free(one)) {
            let number = usize::try_from(signal).unwrap_or_default();
            // In this order, so that the first signal finds the flag down.
            flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(&signals.interrupted),
            )?;
            flag::register(signal, Arc::clone(&signals.interrupted))?;
            flag::register_usize(signal, Arc::clone(&signals.interrupt), number)?;
        }
        let on_hangup = match hangup {
            Hangup::Stops => &signals.stop,
            Hangup::Reloads => &signals.reload,
        };
        for (signal, flag) in [
            (SIGINT, &signals.stop),
            (SIGTERM, &signals.stop),
            (SIGHUP, on_hangup),
            (SIGUSR1, &signals.report),
            (SIGUSR2, &signals.restart),
        ] {
            if is_free(signal) {
                flag::register(signal, Arc::clone(flag))?;
                flag::register(signal, Arc::clone(&signals.woken_by_one))?;
                pipe::register(signal, wake.try_clone()?)?;
            }
        }
        flag::register(SIGCONT, Arc::clone(&signals.continued))?;
        Ok(signals)
    }

    /// Catches none: elsewhere the system's own handling of Ctrl-C ends the process.
    #[cfg(not(unix))]
    pub(crate) fn catch(_: &Reactor<impl Service>, _: Hangup) -> io::Result<Self> {
        Ok(Self {
            stop: Arc::default(),
            report: Arc::default(),
            restart: Arc::default(),
            reload: Arc::default(),
            interrupted: Arc::default(),
            interrupt: Arc::default(),
            woken_by_one: Arc::default(),
            continued: Arc::default(),
        })
    }

    /// Returns `true` once the server was asked to stop.
    pub(crate) fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Returns the flag that is raised when the process was stopped and goes on.
    pub(crate) fn continued(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.continued)
    }

    /// Returns `true` once for each successor that was asked for.
    pub(crate) fn take_restart(&self) -> bool {
        take(&self.restart)
    }

    /// Returns `true` once for each reload that was asked for.
    pub(crate) fn take_reload(&self) -> bool {
        take(&self.reload)
    }

    /// Returns `true` once for each report that was asked for.
    pub(crate) fn take_report(&self) -> bool {
        take(&self.report)
    }

    /// Returns the number of a SIGINT or SIGTERM that has come since the last call, if any. It is
    /// called after each turn.
    pub(crate) fn take_interrupt(&self) -> Option<u8> {
        if take(&self.woken_by_one) {
            self.empty_pipe();
        }
        take(&self.interrupted).then(|| {
            let number = self.interrupt.load(Ordering::Relaxed);
            u8::try_from(number).unwrap_or_default()
        })
    }

    /// Empties the pipe: a write to a full one would not wake the loop.
    fn empty_pipe(&self) {
        #[cfg(unix)]
        while (&self.woken)
            .read(&mut [0; 64])
            .is_ok_and(|bytes| bytes > 0)
        {}
    }
}

fn take(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::Relaxed)
}

/// Returns the signals that are ignored now, signal N as bit N - 1.
///
/// Asking `sigaction` needs unsafe code, and Linux has the answer in a file. Elsewhere there is
/// none, and all are caught.
#[cfg(unix)]
fn ignored_at_start() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status).unwrap_or(0)
}

#[cfg(unix)]
fn ignored_in(status: &str) -> Option<u64> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = "Name:\tgreet-server\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_in(status), Some((1 << 12) | 1));
        assert_eq!(ignored_in("Name:\tgreet-server\n"), None);
    }
}
