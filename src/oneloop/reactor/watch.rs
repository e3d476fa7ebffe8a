//! The loop's measurements of itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::warn;

use super::Reactor;
use crate::log_limiter::LogLimiter;
use crate::net::{Net, ThreadTimes};
use crate::service::inspect::{LoopTimes, SlowCause, SlowTurn};
use crate::service::{Counters, Service, Time};

/// Measurements that the loop makes of itself.
///
/// A loop that measures reads the clock once more in each turn. It counts the durations of its
/// turns, without their waits for events, and by how much deadlines are late:
/// [`Reactor::times`] returns both. A turn that takes longer than a threshold delays every
/// connection; it is logged with what it did.
///
/// ```
/// use oneloop::Watch;
/// use std::time::Duration;
///
/// let watch = Watch::new().slow_turns(Duration::from_millis(100));
/// # let _ = watch;
/// ```
///
/// Pass it to [`Builder::watch`](super::Builder::watch) or [`Reactor::watch`].
#[derive(Clone, Debug, Default)]
#[must_use = "it does nothing until it is passed to `watch`"]
pub struct Watch {
    slow_turn: Option<Duration>,
    continued: Option<Arc<AtomicBool>>,
}

/// A loop's measurements.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    watch: Watch,
    pub(crate) times: LoopTimes,
    /// The state when the turn began.
    began: Snapshot,
    /// Deadlines and timers that were due in this turn.
    deadlines: u64,
    /// The thread's times, taken at most so long ago that a slow turn took most of the difference.
    threads: Option<ThreadTimes>,
    threads_at: Time,
    log: LogLimiter,
}

/// The counters that describe a turn, and the time.
#[derive(Clone, Copy, Debug, Default)]
struct Snapshot {
    at: Time,
    events: u64,
    steps: u64,
    accepted: u64,
}

impl Watch {
    /// Measures durations. There is no threshold, and no turn is logged.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the threshold above which a turn is slow. Turns above it are listed, counted and logged,
    /// at most one in five seconds.
    pub const fn slow_turns(mut self, threshold: Duration) -> Self {
        self.slow_turn = Some(threshold);
        self
    }

    /// Sets a flag that the program raises when the process was stopped and is continued, as its
    /// handler of SIGCONT can. A turn in which it is raised is not blamed on a step. The loop lowers
    /// it.
    pub fn continued(mut self, flag: Arc<AtomicBool>) -> Self {
        self.continued = Some(flag);
        self
    }

    fn take_continued(&self) -> bool {
        let flag = self.continued.as_ref();
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::Relaxed))
    }
}

impl<S: Service, N: Net> Reactor<S, N> {
    /// Begins to measure, from the next turn on. See [`Watch`].
    pub fn watch(&mut self, watch: Watch) {
        let watching = Watching {
            watch,
            threads: self.core.net.thread_times(),
            threads_at: self.core.net.now(),
            ..Watching::default()
        };
        self.watching = Some(Box::new(watching));
    }

    /// Returns what the loop has measured of itself, if it does.
    pub fn times(&self) -> Option<&LoopTimes> {
        self.watching.as_deref().map(|watching| &watching.times)
    }

    /// Notes the beginning of a turn, after its wait for events.
    #[cold]
    pub(crate) fn begin_watched_turn(&mut self) {
        let (now, counters) = (self.core.now(), &self.core.counters);
        if let Some(watching) = &mut self.watching {
            // A stop during the wait is not the turn's.
            watching.watch.take_continued();
            watching.began = Snapshot::of(counters, now);
            watching.deadlines = 0;
        }
    }

    /// Measures the turn that ends.
    #[cold]
    pub(crate) fn end_watched_turn(&mut self) {
        let now = self.core.net.now();
        let Some(watching) = &mut self.watching else {
            return;
        };
        let took = now - watching.began.at;
        watching.times.turns.record(took);
        let is_slow = watching.watch.slow_turn.is_some_and(|most| took > most);
        if is_slow || now - watching.threads_at >= THREAD_TIMES_EVERY {
            let threads = self.core.net.thread_times();
            let before = std::mem::replace(&mut watching.threads, threads);
            watching.threads_at = now;
            if is_slow {
                let cause = watching.cause(before, took);
                let counters = &self.core.counters;
                watching.note_slow(counters, now, cause, self.core.scratch.last_stepped());
            }
        }
    }
}

impl Watching {
    /// Notes a deadline or a timer that fires by so much too late.
    pub(crate) fn note_deadline(&mut self, late: Duration) {
        self.deadlines += 1;
        self.times.lateness.record(late);
    }

    fn cause(&self, before: Option<ThreadTimes>, took: Duration) -> SlowCause {
        if self.watch.take_continued() {
            return SlowCause::Stopped;
        }
        let (Some(before), Some(after)) = (before, self.threads) else {
            return SlowCause::Unknown;
        };
        let ran = after.ran.saturating_sub(before.ran);
        let waited = after.waited.saturating_sub(before.waited);
        let slept = took.saturating_sub(ran + waited);
        if ran >= waited && ran >= slept {
            SlowCause::Computing
        } else if waited >= slept {
            SlowCause::Starved
        } else {
            SlowCause::Blocked
        }
    }

    fn note_slow(&mut self, counters: &Counters, now: Time, cause: SlowCause, last: Option<u32>) {
        let (began, ended) = (self.began, Snapshot::of(counters, now));
        let steps = ended.steps - began.steps;
        let turn = SlowTurn {
            at: now,
            took: now - began.at,
            cause,
            events: ended.events - began.events,
            steps,
            accepts: ended.accepted - began.accepted,
            deadlines: self.deadlines,
            last: last.filter(|_| steps > 0),
        };
        self.times.note_slow(turn);
        if let Some(suppressed) = self.log.permit(now) {
            warn!("{} ({suppressed} similar messages suppressed)", Line(&turn));
        }
    }
}

impl Snapshot {
    fn of(counters: &Counters, at: Time) -> Self {
        Self {
            at,
            events: counters.events,
            steps: counters.steps,
            accepted: counters.accepted,
        }
    }
}

/// A slow turn in a line of the log.
struct Line<'a>(&'a SlowTurn);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let turn = self.0;
        let why = match turn.cause {
            SlowCause::Computing => "a step or many of them computed",
            SlowCause::Starved => "the processor was busy with others",
            SlowCause::Blocked => "a step blocked, or the process was suspended",
            SlowCause::Stopped => "the process was stopped and continued",
            SlowCause::Unknown => "for an unknown reason",
        };
        let (took, cause) = (turn.took, turn.cause.name());
        write!(
            f,
            "slow turn of the loop: {why} took={took:?} cause={cause} events={} steps={} \
             accepts={} deadlines={}",
            turn.events, turn.steps, turn.accepts, turn.deadlines
        )?;
        match turn.last {
            Some(last) => write!(f, " last_session={last}"),
            None => Ok(()),
        }
    }
}

/// How often the thread's times are read, which costs a system call, so that those of a slow turn
/// can be told from those before it.
const THREAD_TIMES_EVERY: Duration = Duration::from_millis(20);
