//! Ctrl-C: the first one ends the run and lets the report be made, the second one ends everything.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The request to stop.
#[derive(Debug)]
pub(crate) struct Interrupt {
    requested: Arc<AtomicBool>,
}

impl Interrupt {
    /// Catches SIGINT and SIGTERM. Nothing has to be woken: a signal ends the loop's wait, and
    /// that of a loop that was about to begin it lasts for a tenth of a second at most.
    #[cfg(unix)]
    pub(crate) fn catch() -> io::Result<Self> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        use signal_hook::flag;

        let requested = Arc::<AtomicBool>::default();
        for signal in [SIGINT, SIGTERM] {
            // In this order, so that the first signal finds the flag down.
            flag::register_conditional_shutdown(signal, EXIT, Arc::clone(&requested))?;
            flag::register(signal, Arc::clone(&requested))?;
        }
        Ok(Self { requested })
    }

    /// Does nothing: elsewhere the system's own handling of Ctrl-C ends the process.
    #[cfg(not(unix))]
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            requested: Arc::default(),
        })
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}

#[cfg(unix)]
const EXIT: i32 = 130;
