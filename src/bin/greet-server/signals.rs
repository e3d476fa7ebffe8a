//! Signals: the handlers only set flags and wake the loop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oneloop::net::Os;

/// What signals have asked for.
pub(crate) struct Signals {
    stop: Arc<AtomicBool>,
    report: Arc<AtomicBool>,
}

impl Signals {
    /// Catches the signals that concern a server.
    ///
    /// SIGINT, SIGTERM and SIGHUP ask the loop to drain; a second one of them ends the process
    /// within the handler, so that it works however busy the loop is. SIGUSR1 asks for a report,
    /// SIGUSR2 is ignored rather than deadly. SIGPIPE is ignored by every Rust program.
    #[cfg(unix)]
    pub(crate) fn catch(os: &mut Os) -> io::Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
        use signal_hook::flag;
        use signal_hook::low_level::pipe;

        let signals = Self {
            stop: os.stopper().flag(),
            report: Arc::default(),
        };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order, so that the first signal finds the flag down.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signals.stop))?;
            flag::register(signal, Arc::clone(&signals.stop))?;
        }
        flag::register(SIGUSR1, Arc::clone(&signals.report))?;
        flag::register(SIGUSR2, Arc::default())?;
        let wake = os.wake_pipe()?;
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] {
            pipe::register(signal, wake.try_clone()?)?;
        }
        Ok(signals)
    }

    /// Elsewhere the system's own handling of Ctrl-C ends the process.
    #[cfg(not(unix))]
    pub(crate) fn catch(os: &mut Os) -> io::Result<Self> {
        Ok(Self {
            stop: os.stopper().flag(),
            report: Arc::default(),
        })
    }

    /// True once the server was asked to stop.
    pub(crate) fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// True once for each time that a report was asked for.
    pub(crate) fn take_report(&self) -> bool {
        self.report.load(Ordering::Relaxed) && self.report.swap(false, Ordering::Relaxed)
    }
}
