//! Reports of the loop's state to its service.

use std::time::Duration;

use super::part::Part;

pub use super::histogram::Histogram;
use super::{Counters, EndReason, ListenerId, Peer, Time};

/// A request for a report of the loop's state.
///
/// ```
/// use oneloop::inspect::{Cursor, Inspect};
///
/// let counters = Inspect::new(1);
/// let first_hundred = Inspect::new(2).sessions(Cursor::default(), 100);
/// # let _ = (counters, first_hundred);
/// ```
///
/// Pass it to [`ServiceContext::inspect`](crate::ServiceContext::inspect).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it does nothing until it is passed to `inspect`"]
pub struct Inspect {
    pub(crate) key: u64,
    pub(crate) sessions: Option<Walk>,
    /// The part of a composed service that has made the request.
    pub(crate) part: Part,
}

/// The part of a walk over the sessions that one report has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) from: Cursor,
    /// The most sessions of the report.
    pub(crate) most: usize,
}

/// Where a walk over the sessions goes on. Default: at the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub(crate) u32);

/// A report of the loop's state, at one moment between its steps.
///
/// `counters.accepted + counters.connecting` is the sum of all that have ended, plus `open`; `open`
/// is the sum over the listeners of [`ListenerReport::open`], plus `refusing` and `outbound`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Inspection<'a> {
    /// The loop's counters.
    pub counters: &'a Counters,
    /// The listeners, in the order in which they were added, also those that are closed.
    pub listeners: &'a [ListenerReport],
    /// Open connections of every kind.
    pub open: usize,
    /// Connections that are being refused.
    pub refusing: usize,
    /// Open outbound connections.
    pub outbound: usize,
    /// `Limits::connections_max`.
    pub connections_max: usize,
    /// Durations that the loop measures: see [`Watch`](crate::Watch). `None` if it does not.
    pub times: Option<&'a LoopTimes>,
    /// The sessions that were asked for. Each session that is open during a whole walk is in it
    /// exactly once.
    pub sessions: &'a [SessionReport],
    /// Where the walk goes on; `None` after its end.
    pub next: Option<Cursor>,
}

/// One listener.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ListenerReport {
    /// The listener.
    pub id: ListenerId,
    /// Its connections that are served.
    pub open: usize,
    /// The most connections served at once that it accepts, if it has a limit of its own.
    pub connections_max: Option<usize>,
    pub(crate) counts: ListenerCounts,
}

/// Counts of one listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenerCounts {
    pub(crate) accepted: u64,
    /// By the number of the reason.
    pub(crate) ended: [u64; EndReason::ALL.len()],
}

/// One connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SessionReport {
    /// Its peer, as the loop knows it.
    pub peer: Peer,
    /// What the loop does with it.
    pub phase: SessionPhase,
    /// The end of the present wait, if it has one.
    pub due: Option<Time>,
    /// Bytes allocated for its unread input and its pending output.
    pub held_bytes: usize,
    /// Bytes of output that the operating system has not taken.
    pub pending_bytes: usize,
    /// What the service has added in [`Service::describe`](crate::Service::describe).
    pub description: Description,
}

/// What the loop does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionPhase {
    /// Outbound, and not established yet.
    Connecting,
    /// The session waits for input.
    Reading,
    /// The session waits for another event.
    Paused,
    /// Its output waits for the peer.
    Sending,
    /// It is being refused.
    Refusing,
    /// The session has closed, and its last output waits for the peer.
    Closing,
    /// All is sent; input is discarded until the peer closes too.
    Lingering,
}

/// What a service knows of a session. All fields are empty at first.
///
/// The loop asks the innermost service first. A layer sets the fields that it knows better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// When the session was opened.
    pub opened: Option<Time>,
    /// When a byte has moved last.
    pub active: Option<Time>,
    /// Bytes received.
    pub bytes_in: Option<u64>,
    /// Bytes written.
    pub bytes_out: Option<u64>,
    /// The session's state in the service's own words.
    pub state: Option<&'static str>,
}

/// Durations that the loop measures: see [`Watch`](crate::Watch).
#[derive(Clone, Debug, Default)]
pub struct LoopTimes {
    pub(crate) turns: Histogram,
    pub(crate) lateness: Histogram,
    pub(crate) slow_turns: u64,
    pub(crate) slowest: Vec<SlowTurn>,
}

/// A turn that took longer than the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowTurn {
    /// When it ended.
    pub at: Time,
    /// How long it took, without the wait for events.
    pub took: Duration,
    /// Where the time has gone.
    pub cause: SlowCause,
    /// Events of its poll.
    pub events: u64,
    /// Steps of sessions.
    pub steps: u64,
    /// Connections accepted.
    pub accepts: u64,
    /// Deadlines and timers that were due.
    pub deadlines: u64,
    /// The number of the session that was stepped last, if one was.
    pub last: Option<u32>,
}

/// Where the time of a slow turn has gone, as far as the operating system shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowCause {
    /// The thread was computing: a step, or many of them.
    Computing,
    /// The thread was ready to run, and the processor was busy with others.
    Starved,
    /// The thread waited: a step has blocked, or the process was suspended without notice.
    Blocked,
    /// The process was stopped, as by SIGSTOP, and continued. No step is to blame.
    Stopped,
    /// The operating system does not show it.
    Unknown,
}

impl Inspect {
    /// Requests the counters. [`Service::inspected`](crate::Service::inspected) gets `key` with the
    /// report.
    pub const fn new(key: u64) -> Self {
        Self {
            key,
            sessions: None,
            part: Part::WHOLE,
        }
    }

    /// Requests sessions too, from `from` on, at most `most` of them.
    ///
    /// A report has fewer although the walk goes on, if no more were found in a thousand slots.
    pub const fn sessions(mut self, from: Cursor, most: usize) -> Self {
        self.sessions = Some(Walk { from, most });
        self
    }
}

impl ListenerReport {
    /// Returns the number of connections that it has accepted, including refused ones.
    #[must_use]
    pub const fn accepted(&self) -> u64 {
        self.counts.accepted
    }

    /// Returns the number of its connections that ended for `reason`.
    #[must_use]
    pub const fn ended(&self, reason: EndReason) -> u64 {
        self.counts.ended[reason as usize]
    }
}

impl ListenerCounts {
    pub(crate) const NONE: Self = Self {
        accepted: 0,
        ended: [0; EndReason::ALL.len()],
    };
}

impl LoopTimes {
    /// Returns the durations of turns, without their waits for events.
    #[must_use]
    pub const fn turns(&self) -> &Histogram {
        &self.turns
    }

    /// Returns by how much deadlines were late: the loop was busy, or the process did not run.
    #[must_use]
    pub const fn lateness(&self) -> &Histogram {
        &self.lateness
    }

    /// Returns the number of turns that took longer than the threshold.
    #[must_use]
    pub const fn slow_turns(&self) -> u64 {
        self.slow_turns
    }

    /// Returns the slowest turns above the threshold, at most 16, slowest first. Those that ended
    /// more than an hour before the last one are forgotten.
    #[must_use]
    pub fn slowest(&self) -> &[SlowTurn] {
        &self.slowest
    }

    /// Notes a slow turn.
    pub(crate) fn note_slow(&mut self, turn: SlowTurn) {
        self.slow_turns += 1;
        self.slowest
            .retain(|other| turn.at - other.at <= SLOW_TURNS_KEPT_FOR);
        let place = self
            .slowest
            .partition_point(|other| other.took >= turn.took);
        self.slowest.insert(place, turn);
        self.slowest.truncate(SLOW_TURNS_MAX);
    }
}

impl SessionPhase {
    /// Returns its name, of lower-case letters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Reading => "reading",
            Self::Paused => "paused",
            Self::Sending => "sending",
            Self::Refusing => "refusing",
            Self::Closing => "closing",
            Self::Lingering => "lingering",
        }
    }
}

impl SlowCause {
    /// Returns its name, of lower-case letters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Computing => "computing",
            Self::Starved => "starved",
            Self::Blocked => "blocked",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }
}

const SLOW_TURNS_MAX: usize = 16;
const SLOW_TURNS_KEPT_FOR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(at: u64, took: u64) -> SlowTurn {
        SlowTurn {
            at: Time::START + Duration::from_secs(at),
            took: Duration::from_millis(took),
            cause: SlowCause::Unknown,
            events: 0,
            steps: 0,
            accepts: 0,
            deadlines: 0,
            last: None,
        }
    }

    #[test]
    fn slowest_turns_are_kept_in_order() {
        let mut times = LoopTimes::default();
        for took in 0..40 {
            times.note_slow(turn(took, (took * 7) % 40));
        }
        let kept = times.slowest().iter().map(|turn| turn.took.as_millis());
        assert_eq!(kept.collect::<Vec<_>>(), (24..40).rev().collect::<Vec<_>>());
        assert_eq!(times.slow_turns(), 40);
    }

    #[test]
    fn slow_turn_is_forgotten_after_an_hour() {
        let mut times = LoopTimes::default();
        times.note_slow(turn(0, 900));
        times.note_slow(turn(3600, 200));
        assert_eq!(times.slowest().len(), 2);
        times.note_slow(turn(3601, 100));
        let kept = times.slowest().iter().map(|turn| turn.took.as_millis());
        assert_eq!(kept.collect::<Vec<_>>(), [200, 100]);
    }
}
