//! The log on standard error.
//!
//! The loop must not stop because the reader of its log has stopped reading: standard error is
//! written without blocking, and lines that cannot be written wait in a bounded ring. If the ring
//! is full, the oldest are dropped, counted, and reported when there is room again. After
//! any error, the next line and the next turn of the loop try again.

mod format;
mod ring;
mod stream;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::env;
use std::io::{self, ErrorKind, IsTerminal};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use log::kv::{Source, Value};
use log::{Level, LevelFilter, Log, Metadata, Record};

use format::Layout;
pub(crate) use format::LogFormat;
use format::Reader;
#[cfg(unix)]
use oneloop::DescriptorWatch;
use ring::Ring;
use stream::Stream;

/// Starts logging to standard error.
pub(crate) fn start(level: LevelFilter, format: LogFormat) {
    // Without a standard error there is no log.
    let Ok(stream) = Stream::open() else {
        return;
    };
    let layout = Layout {
        format,
        reader: reader(&stream),
    };
    let logger = LOGGER.get_or_init(|| Logger {
        behind: AtomicBool::new(false),
        output: Mutex::new(Output {
            layout,
            stream,
            ring: Ring::new(RING_BYTES_MAX),
            line: String::new(),
            #[cfg(unix)]
            watch: None,
        }),
    });
    log::set_max_level(level);
    // It fails only if there is a logger already.
    let _ = log::set_logger(logger);
    // The default one writes to standard error, and blocks.
    panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    // It can contain a peer's bytes.
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = text.unwrap_or("").as_bytes().escape_ascii();
    log::error!(place:% = place.unwrap_or_default(); "panicked: {message}");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        log::error!("{backtrace}");
    }
}

fn reader(stream: &Stream) -> Reader {
    if stream.is_journal() {
        return Reader::Journal;
    }
    let allowed = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if allowed && io::stderr().is_terminal() {
        Reader::Colours
    } else {
        Reader::Plain
    }
}

/// Changes the least level that is logged.
pub(crate) fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Has the loop woken when standard error takes more again, if it ever does not.
#[cfg(unix)]
pub(crate) fn wake_with(watch: DescriptorWatch) {
    if let Some(logger) = LOGGER.get() {
        logger.hold().watch = Some(watch);
    }
}

/// Logs a line without fields at every log level.
pub(crate) fn note(message: &str) {
    always(Level::Info, message, &[]);
}

/// Logs a line at every log level: people and scripts wait for it.
pub(crate) fn always(level: Level, message: &str, fields: &[(&str, Value<'_>)]) {
    if let Some(logger) = LOGGER.get() {
        let source: &dyn Source = &fields;
        logger.write(
            &Record::builder()
                .level(level)
                .target(env!("CARGO_CRATE_NAME"))
                .args(format_args!("{message}"))
                .key_values(source)
                .build(),
        );
    }
}

/// Returns how many lines were dropped because their reader was too slow.
pub(crate) fn dropped() -> u64 {
    LOGGER
        .get()
        .map_or(0, |logger| logger.hold().ring.dropped_in_all())
}

/// Writes the waiting lines, as far as possible without blocking. Costs next to nothing if none
/// waits.
pub(crate) fn pump() {
    if let Some(logger) = LOGGER.get()
        && logger.behind.load(Ordering::Relaxed)
    {
        logger.flush();
    }
}

/// Writes the waiting lines, and gives a slow reader a moment.
pub(crate) fn finish() {
    let Some(logger) = LOGGER.get() else { return };
    let deadline = Instant::now() + FINISH_WITHIN;
    let mut output = logger.hold();
    while let Progress::Blocked = output.pump() {
        let left = deadline.saturating_duration_since(Instant::now());
        let milliseconds = u16::try_from(left.as_millis()).unwrap_or(u16::MAX);
        if milliseconds == 0 || !output.stream.wait_for_room(milliseconds) {
            break;
        }
    }
}

/// The logger that `log` knows.
struct Logger {
    /// Whether lines wait in the ring.
    behind: AtomicBool,
    output: Mutex<Output>,
}

/// Standard error, and the lines that wait for it.
struct Output {
    layout: Layout,
    stream: Stream,
    ring: Ring,
    /// The line being written; kept for its memory.
    line: String,
    #[cfg(unix)]
    watch: Option<DescriptorWatch>,
}

/// How far writing got.
enum Progress {
    /// Nothing waits any more.
    Done,
    /// There is no room now.
    Blocked,
    /// Writing failed: the disk is full, or nothing will ever read.
    Failed,
}

impl Logger {
    fn hold(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, record: &Record<'_>) {
        let mut output = match self.output.try_lock() {
            Ok(output) => output,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The one thread is in here already: a record panicked while it was formatted.
            Err(TryLockError::WouldBlock) => return,
        };
        output.log(record);
        self.settle(&mut output);
    }

    fn settle(&self, output: &mut Output) {
        let is_behind = !output.ring.is_empty();
        if self.behind.swap(is_behind, Ordering::Relaxed) != is_behind {
            output.watch(is_behind);
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.write(record);
        }
    }

    fn flush(&self) {
        let mut output = self.hold();
        output.pump();
        self.settle(&mut output);
    }
}

impl Output {
    fn log(&mut self, record: &Record<'_>) {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        self.layout.write(&mut line, record, SystemTime::now());
        if let Progress::Done = self.pump() {
            let written = self.stream.write(line.as_bytes()).unwrap_or(0);
            if written < line.len() {
                self.ring.push(line.as_bytes(), written);
                self.pump();
            }
        } else {
            self.ring.push(line.as_bytes(), 0);
        }
        self.line = line;
    }

    /// Writes the waiting lines.
    fn pump(&mut self) -> Progress {
        loop {
            let result = if let Some(dropped) = self.ring.dropped() {
                self.report_dropped(dropped)
            } else if let Some(front) = self.ring.front() {
                let result = self.stream.write(front);
                self.ring.advance(*result.as_ref().unwrap_or(&0));
                result
            } else {
                return Progress::Done;
            };
            match result {
                Ok(0) => return Progress::Failed,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Blocked,
                Err(_) => return Progress::Failed,
            }
        }
    }

    fn report_dropped(&mut self, dropped: u64) -> io::Result<usize> {
        let mut report = String::new();
        self.layout.write(
            &mut report,
            &Record::builder()
                .level(Level::Warn)
                .target(env!("CARGO_CRATE_NAME"))
                .args(format_args!(
                    "log lines dropped: standard error was full or not writable"
                ))
                .key_values(&[("lines", Value::from(dropped))])
                .build(),
            SystemTime::now(),
        );
        let written = self.stream.write(report.as_bytes())?;
        self.ring.reported(report.as_bytes(), written);
        Ok(written)
    }

    /// Has the loop woken when there is room again, or no more.
    #[cfg(unix)]
    fn watch(&mut self, is_behind: bool) {
        use std::os::fd::AsFd;

        let Some(watch) = &self.watch else { return };
        let descriptor = self.stream.descriptor();
        // A regular file cannot be watched; its lines wait for the next turn.
        let _ = if is_behind {
            watch.writable(&descriptor.as_fd())
        } else {
            watch.end(&descriptor.as_fd())
        };
    }

    #[cfg(not(unix))]
    fn watch(&mut self, _: bool) {}
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Some 2,500 lines: more than a reader falls behind that still reads.
const RING_BYTES_MAX: usize = 256 << 10;

/// How long the last lines wait for a slow reader when the program ends.
const FINISH_WITHIN: Duration = Duration::from_millis(250);
