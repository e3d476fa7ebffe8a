//! Measurements: every latency goes into a histogram, and none is kept.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::errors::{Fault, Faults};
use oneloop::Time;

/// Latencies in nanoseconds, to three significant digits.
pub type Latencies = Histogram<u64>;

/// The measured part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: Time,
    pub(crate) end: Time,
}

/// A stretch of the run, for charts over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its beginning, from the beginning of the window.
    pub start: Duration,
    /// Its length.
    pub lasted: Duration,
    /// Exchanges, or conversations, that ended in it.
    pub completed: u64,
    /// Faults counted in it.
    pub faults: u64,
    /// Of those that ended in it: the median latency, the 99th percentile and the highest one.
    /// `None` if there were none.
    pub latency: Option<Spread>,
}

/// Three points of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The median.
    pub p50: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The highest value.
    pub max: Duration,
}

/// Everything that is recorded during a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    window: Window,
    /// From the moment a name was due, or sent where there is no schedule, to its answer.
    pub(crate) latency: Latencies,
    /// From the moment a name was sent to its answer; only for a schedule.
    pub(crate) service: Latencies,
    /// From the moment a name was due to the moment it was sent: our own lateness.
    pub(crate) lateness: Latencies,
    /// Names that were due when their connection had too many in flight, or was lost.
    pub(crate) held_back: u64,
    pub(crate) connect: Latencies,
    pub(crate) faults: Faults,
    /// The longest time for which an answer that never came was overdue.
    pub(crate) oldest_missing: Duration,
    pub(crate) series: Vec<Interval>,
    current: Latencies,
    current_start: Time,
    interval: Duration,
    faults_before: u64,
    /// Exchanges, or conversations, that ended in the window or outside of it.
    ended: u64,
}

impl Recorder {
    /// Returns a recorder that records nothing before the window is set.
    pub(crate) fn new(interval: Duration) -> Self {
        let never = Window {
            start: Time::UNBOUNDED,
            end: Time::UNBOUNDED,
        };
        Self {
            window: never,
            latency: latencies(),
            service: latencies(),
            lateness: latencies(),
            held_back: 0,
            connect: latencies(),
            faults: Faults::default(),
            oldest_missing: Duration::ZERO,
            series: Vec::with_capacity(4096),
            current: latencies(),
            current_start: Time::UNBOUNDED,
            interval,
            faults_before: 0,
            ended: 0,
        }
    }

    /// Sets the window.
    pub(crate) fn measure(&mut self, window: Window) {
        self.window = window;
        self.current_start = window.start;
        self.faults_before = self.faults.total();
    }

    /// Records an exchange that began at `start`. Its beginning counts: so an exchange that is
    /// under way when the window ends is not lost, however long it takes.
    #[inline]
    pub(crate) fn ended(&mut self, start: Time, now: Time, timeout: Duration) {
        self.ended += 1;
        let took = now.since(start);
        if took > timeout {
            self.faults.add(Fault::Late, 1);
        }
        if self.window.holds(start) {
            self.current.saturating_record(nanos(took));
        }
    }

    /// Records the answer to a scheduled name that was sent at `sent`.
    #[inline]
    pub(crate) fn served(&mut self, due: Time, sent: Time, now: Time) {
        if self.window.holds(due) {
            self.service.saturating_record(nanos(now.since(sent)));
        }
    }

    /// Records that a name was sent which was due at `due`.
    #[inline]
    pub(crate) fn sent(&mut self, due: Time, now: Time) {
        if self.window.holds(due) {
            self.lateness.saturating_record(nanos(now.since(due)));
        }
    }

    /// Counts a name that had waited for its connection.
    pub(crate) fn held_back(&mut self, due: Time) {
        self.held_back += u64::from(self.window.holds(due));
    }

    /// Answers to the names of one connection will not come.
    pub(crate) fn missing(&mut self, answers: u64, oldest: Duration) {
        self.faults.add(Fault::Missing, answers);
        self.oldest_missing = self.oldest_missing.max(oldest);
    }

    /// Looks whether an interval is over.
    pub(crate) fn tick(&mut self, now: Time) {
        if self.next_tick() <= now {
            self.close_interval(now);
        }
    }

    /// Returns the time at which [`tick`](Self::tick) has something to do.
    pub(crate) fn next_tick(&self) -> Time {
        self.current_start + self.interval
    }

    /// Ends the interval under way, even if it was short.
    pub(crate) fn close_interval(&mut self, now: Time) {
        if now <= self.current_start {
            return;
        }
        let faults = self.faults.total();
        self.series.push(Interval {
            start: self.current_start.since(self.window.start),
            lasted: now.since(self.current_start),
            completed: self.current.len(),
            faults: faults - self.faults_before,
            latency: spread(&self.current),
        });
        self.faults_before = faults;
        self.current_start = now;
        self.latency
            .add(&self.current)
            .expect("both histograms have the same bounds");
        self.current.reset();
    }

    /// Returns the exchanges that have ended so far, those that began outside of the window too.
    pub(crate) fn ended_in_all(&self) -> u64 {
        self.ended
    }

    /// Returns the exchanges that began within the window and have ended so far.
    pub(crate) fn completed(&self) -> u64 {
        self.latency.len() + self.current.len()
    }
}

impl Window {
    #[inline]
    fn holds(self, time: Time) -> bool {
        self.start <= time && time < self.end
    }
}

/// Returns an empty histogram. A latency of more than an hour is recorded as an hour.
pub(crate) fn latencies() -> Latencies {
    Histogram::new_with_bounds(1, HOUR, 3).expect("these bounds are valid")
}

/// Returns the value at `percentile` of `latencies`; `None` if there are none.
#[must_use]
pub fn percentile(latencies: &Latencies, percentile: f64) -> Option<Duration> {
    (!latencies.is_empty())
        .then(|| Duration::from_nanos(latencies.value_at_quantile(percentile / 100.0)))
}

fn spread(latencies: &Latencies) -> Option<Spread> {
    Some(Spread {
        p50: percentile(latencies, 50.0)?,
        p99: percentile(latencies, 99.0)?,
        max: Duration::from_nanos(latencies.max()),
    })
}

#[inline]
fn nanos(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000_000 + u64::from(duration.subsec_nanos())
}

/// In nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::START + Duration::from_millis(millis)
    }

    fn recorder() -> Recorder {
        let mut recorder = Recorder::new(Duration::from_millis(100));
        recorder.measure(Window {
            start: at(1000),
            end: at(2000),
        });
        recorder
    }

    #[test]
    fn exchange_begun_in_the_window_is_recorded() {
        let mut recorder = recorder();
        let timeout = Duration::from_secs(1);
        recorder.ended(at(999), at(1500), timeout);
        recorder.ended(at(1000), at(1001), timeout);
        recorder.ended(at(1999), at(4000), timeout);
        recorder.ended(at(2000), at(2001), timeout);
        recorder.close_interval(at(4000));
        assert_eq!(recorder.latency.len(), 2);
        assert_eq!(recorder.latency.max() / 1_000_000, 2001);
        assert_eq!(recorder.faults.count(Fault::Late), 1);
    }

    #[test]
    fn interval_without_answers_has_no_percentiles() {
        let mut recorder = recorder();
        recorder.tick(at(1099));
        assert_eq!(recorder.series, []);
        recorder.tick(at(1150));
        assert_eq!(recorder.series.len(), 1);
        assert_eq!(recorder.series[0].latency, None);
        assert_eq!(recorder.series[0].lasted, Duration::from_millis(150));
        assert_eq!(percentile(&recorder.latency, 99.0), None);
    }

    #[test]
    fn answer_after_exactly_the_timeout_is_not_late() {
        let mut recorder = recorder();
        recorder.ended(at(1000), at(1500), Duration::from_millis(500));
        assert_eq!(recorder.faults.count(Fault::Late), 0);
        recorder.ended(at(1000), at(1501), Duration::from_millis(500));
        assert_eq!(recorder.faults.count(Fault::Late), 1);
    }

    #[test]
    fn percentiles_are_of_the_answers_of_each_interval() {
        let mut recorder = recorder();
        for millis in 1..=100 {
            recorder.ended(at(1000), at(1000 + millis), Duration::MAX);
        }
        recorder.close_interval(at(1100));
        recorder.ended(at(1100), at(1102), Duration::MAX);
        assert_eq!(recorder.completed(), 101);
        recorder.close_interval(at(1200));
        let near = |found: Duration, millis: u64| {
            let wanted = Duration::from_millis(millis);
            found >= wanted && found < wanted + wanted / 500
        };
        let [first, second] = &recorder.series[..] else {
            panic!("{:?}", recorder.series);
        };
        let spread = first.latency.expect("there were answers");
        assert!(near(spread.p50, 50), "{spread:?}");
        assert!(near(spread.p99, 99), "{spread:?}");
        assert!(near(spread.max, 100), "{spread:?}");
        let spread = second.latency.expect("there was one");
        assert!(near(spread.p50, 2) && near(spread.max, 2), "{spread:?}");
        assert_eq!([first.completed, second.completed], [100, 1]);
        assert_eq!(second.start, Duration::from_millis(100));
        assert_eq!(recorder.completed(), 101);
        assert!(near(percentile(&recorder.latency, 99.0).unwrap(), 99));
    }

    #[test]
    fn faults_count_in_the_interval_in_which_they_were_noticed() {
        let mut recorder = Recorder::new(Duration::from_millis(100));
        recorder.faults.add(Fault::Reset, 7);
        recorder.measure(Window {
            start: at(1000),
            end: at(2000),
        });
        recorder.faults.add(Fault::Reset, 1);
        recorder.tick(at(1100));
        recorder.missing(3, Duration::from_millis(5));
        recorder.missing(1, Duration::from_millis(2));
        recorder.tick(at(1199));
        assert_eq!(recorder.series.len(), 1);
        recorder.tick(at(1200));
        let faults: Vec<_> = recorder.series.iter().map(|part| part.faults).collect();
        assert_eq!(faults, [1, 4]);
        assert_eq!(recorder.faults.count(Fault::Missing), 4);
        assert_eq!(recorder.oldest_missing, Duration::from_millis(5));
        // An interval of no length is none.
        recorder.close_interval(at(1200));
        assert_eq!(recorder.series.len(), 2);
    }

    #[test]
    fn scheduled_names_count_by_the_time_they_were_due() {
        let mut recorder = recorder();
        for due in [999, 1000, 1999, 2000] {
            recorder.held_back(at(due));
            recorder.sent(at(due), at(due + 3));
            recorder.served(at(due), at(due + 3), at(due + 10));
        }
        assert_eq!(recorder.held_back, 2);
        assert_eq!((recorder.lateness.len(), recorder.service.len()), (2, 2));
        assert_eq!(recorder.lateness.max() / 1_000_000, 3);
        assert_eq!(recorder.service.max() / 1_000_000, 7);
    }

    #[test]
    fn latency_of_seconds_is_recorded_in_nanoseconds() {
        let mut recorder = recorder();
        recorder.ended(at(1000), at(8500), Duration::MAX);
        recorder.close_interval(at(8500));
        assert_eq!(recorder.latency.max() / 10_000_000, 750);
    }
}
