//! The log sink: simple_logger, taught to survive a reader that goes away.

use std::env;
use std::io::{IsTerminal, stderr};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

/// Starts logging to standard error.
pub(crate) fn start(level: LevelFilter) {
    let colors = stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let sink = SimpleLogger::new()
        .with_level(level)
        .with_utc_timestamps()
        .with_colors(colors);
    let logger = QuietWhenUnread {
        sink,
        unread: AtomicBool::new(false),
    };
    log::set_max_level(level);
    log::set_boxed_logger(Box::new(logger)).expect("no logger was set before");
}

/// simple_logger prints with macros that panic when the reader of a pipe has gone, as in
/// `greet-server 2>&1 | head -1`. A server goes on serving without its log.
struct QuietWhenUnread {
    sink: SimpleLogger,
    unread: AtomicBool,
}

impl Log for QuietWhenUnread {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.sink.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.unread.load(Ordering::Relaxed) {
            return;
        }
        // The panic's own message goes to the same closed pipe, which nobody minds.
        let logged = catch_unwind(std::panic::AssertUnwindSafe(|| self.sink.log(record)));
        self.unread.store(logged.is_err(), Ordering::Relaxed);
    }

    fn flush(&self) {
        self.sink.flush();
    }
}
