//! All bounds and timeouts of the loop.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::net::BufferSizes;
use crate::service::SessionLimits;

/// The limits of the loop.
///
/// Reaching a limit is not an error. It is counted, logged if the operator can act on it, and
/// reported to the peer if the service provides a message. No limit can be switched off: without
/// it, one peer could stop the server. Large values are fine, within the bounds that
/// [`validate`](Self::validate) checks when a reactor is built. Set limits that depend on each
/// other together: for messages of more than some kilobytes begin with
/// [`for_messages_up_to`](Self::for_messages_up_to).
///
/// A literal ends with `..Limits::default()`, so that it still compiles when there are further
/// limits; their defaults keep the loop's behaviour:
///
/// ```
/// use oneloop::Limits;
///
/// let limits = Limits { connections_max: 1000, ..Limits::default() };
/// ```
// Not `non_exhaustive`, which would forbid such a literal in another crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most accepted connections served at once. Default 10,000; the greeting server lowers it
    /// to fit the limit on file descriptors.
    pub connections_max: usize,
    /// The most connections served at once from one address. Default `None`: not limited.
    ///
    /// An address is an IPv4 address or an IPv6 /64, which usually belongs to one customer. Behind
    /// a shared address there can be thousands of legitimate users.
    pub connections_per_address_max: Option<usize>,
    /// The treatment of a connection above [`connections_max`](Self::connections_max). Default
    /// [`WhenFull::Refuse`]: a clear message at once is better than a minute of silence.
    pub when_full: WhenFull,
    /// The most refused connections that may linger at once, to get the refusal without a reset.
    ///
    /// Default 16, a part of the descriptors held in reserve. Further ones are closed at once.
    pub refusals_max: usize,
    /// The most established connections that may wait in the kernel to be accepted.
    ///
    /// Default 4,096, the value of `somaxconn` on Linux, which caps it. With the 128 of std and
    /// mio, the 130th of many simultaneous connects waits at least a second until its SYN is sent
    /// again.
    pub backlog: u32,
    /// The most bytes the kernel holds for a peer that does not read, as `SO_SNDBUF` takes it.
    ///
    /// Default 32 KiB, which Linux doubles; without a limit it is more than 4 MiB. A connection gets
    /// 256 KiB if this is less, once a part of 64 KiB of output or more has to wait.
    pub send_buffer_bytes: u32,
    /// The most unread bytes the kernel holds from a peer, as `SO_RCVBUF` takes it.
    ///
    /// Default 32 KiB, which Linux doubles. Without a limit the kernel grows it to many megabytes,
    /// if a fast reader stops reading. It also bounds the bytes in flight on a long line: raise it
    /// for bulk transfer.
    pub receive_buffer_bytes: u32,
    /// The most unread input the loop holds for a session, and so its longest message. Default 8
    /// KiB.
    ///
    /// If the unread input has this length and the peer sends more, the session ends with
    /// `EndReason::InputOverflow`.
    ///
    /// Of the buffers of messages that were consumed, those of 128 KiB and more are kept for the next
    /// long ones, up to 8 MiB in all.
    pub input_bytes_max: usize,
    /// The most to which a session may raise that for a message of its own, with
    /// `Context::raise_input_max`. Default `None`: not at all.
    ///
    /// A peer may then make the loop hold as much unread input as the service agrees to.
    pub input_bytes_hard_max: Option<usize>,
    /// The output of a step above which `Context::has_room` is false. Default 7 KiB.
    ///
    /// The session is then not stepped with more input until the output is flushed. With the input
    /// and the slot, a peer that never reads costs less than 16 KiB if the session checks
    /// `has_room`.
    pub output_bytes_mark: usize,
    /// The most output of one step. Default 1 MiB.
    ///
    /// It must be at least [`output_bytes_mark`](Self::output_bytes_mark) plus the most input,
    /// [raised](Self::input_bytes_hard_max) or not: then a session never exceeds it if its answers
    /// are no longer than their requests, and it writes only while there is room. A session that
    /// writes more ends with `EndReason::OutputOverflow`, and its peer sees a reset.
    pub output_bytes_max: usize,
    /// The budget of a connection for one turn: bytes read and written. Default 64 KiB, about 50 µs
    /// of work.
    ///
    /// The first read and its answer do not count.
    pub turn_bytes_max: usize,
    /// The most connections accepted from one listener in one turn. Default 64: some 0.5 ms.
    pub turn_accepts_max: usize,
    /// The most deadlines fired in one turn, and the most timers. Default 256: some 2 ms each.
    pub turn_deadlines_max: usize,
    /// The most calls of other threads carried out in one turn: of handles, and results of jobs.
    /// Default 256.
    pub turn_calls_max: usize,
    /// The most calls of handles that wait for the loop. Default 1,024; further ones get
    /// `CallError::Busy`.
    ///
    /// While the loop carries out one batch, as many again may wait.
    pub calls_max: usize,
    /// The time from one poll to the next in which events may gather, while many come. Default zero.
    ///
    /// After a turn with [`gather_events`](Self::gather_events) or more, the loop sleeps until this
    /// time has passed since its last poll, before it polls again; after one with at least half as
    /// many, in proportion. The events of that time share one poll and one wake-up of the thread, and
    /// more bytes arrive with each. It delays neither unfinished work nor a deadline, and a loop whose
    /// turns take longer than this anyway never sleeps.
    ///
    /// With 300 µs and 50 connections that are always active, a request takes 15 to 30 % less
    /// processor time, and its response comes as soon as before; fewer than a dozen active connections
    /// do not notice it (measured on Linux: see `docs/benchmarks.md`). With some 20 connections, each
    /// of which waits for its answer, there may be fewer requests per second. So it suits a service
    /// with many clients.
    ///
    /// At most 10 ms. Linux adds a thread's timer slack, 50 µs by default (prctl(2),
    /// `PR_SET_TIMERSLACK`).
    pub gather_time: Duration,
    /// The events of a turn for which the loop waits the whole [`gather_time`](Self::gather_time).
    /// Default 24.
    ///
    /// With less than half as many it does not wait at all: then each client probably waits for its
    /// answer before it sends more, and would only get it later.
    pub gather_events: usize,
    /// The time in which a peer must accept [`write_progress_bytes`](Self::write_progress_bytes) of
    /// its pending output, or all of it if that is less. Default 30 s.
    pub write_timeout: Duration,
    /// The bytes that a peer must accept within each [`write_timeout`](Self::write_timeout).
    /// Default 4 KiB.
    ///
    /// That is about 140 bytes a second, however long the output is. Reading a byte now and then
    /// does not extend the wait. The kernel reports room only when a third of its send buffer is
    /// free, so progress is seen in steps of some 20 KiB.
    pub write_progress_bytes: usize,
    /// The time that a closing connection waits for its peer to finish too. Default 2 s.
    pub linger_timeout: Duration,
    /// The most bytes discarded while a closing connection lingers. Default 64 KiB.
    pub linger_bytes_max: usize,
    /// The most outbound connections at once, including those not yet established. Default 10,000.
    ///
    /// They do not count as served. Beyond the limit `Service::connect_failed` is called.
    pub outbound_max: usize,
    /// The time in which an outbound connection must be established. Default 10 s.
    pub connect_timeout: Duration,
    /// The time a listener backs off. Default 100 ms; a connection that ends cuts it short.
    ///
    /// A listener backs off when descriptors or kernel memory are exhausted, or when as many
    /// accepts in a row have failed as one turn may hold.
    pub accept_retry: Duration,
    /// The time in which all connections must finish when the server stops. Default 10 s.
    pub drain_timeout: Duration,
    /// The least wait to which the loop reduces a timeout under load. Default 2 s.
    ///
    /// From 80 % of [`connections_max`](Self::connections_max), timeouts are reduced to a half of
    /// the requested time, from 90 % to a quarter. A fleet of silent peers then holds a full server
    /// for 15 s instead of a minute, and a human still has time to type.
    pub timeout_min_under_load: Duration,
    /// The longest wait of a session; longer requests are reduced to it. Default one day. Only
    /// `Time::UNBOUNDED` is not reduced.
    pub wait_max: Duration,
}

/// The error of invalid limits. It names the limit and the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLimits {
    limit: &'static str,
    rule: String,
}

/// The treatment of a new connection when the server is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It is accepted, gets [`Service::refusal_message`](crate::service::Service::refusal_message),
    /// and is closed.
    Refuse,
    /// It waits in the kernel's queue until another one ends. Its peer sees an established
    /// connection without any data.
    Queue,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: None,
            when_full: WhenFull::Refuse,
            refusals_max: 16,
            backlog: 4096,
            send_buffer_bytes: 32 * 1024,
            receive_buffer_bytes: 32 * 1024,
            input_bytes_max: 8 * 1024,
            input_bytes_hard_max: None,
            output_bytes_mark: 7 * 1024,
            output_bytes_max: 1024 * 1024,
            turn_bytes_max: 64 * 1024,
            turn_accepts_max: 64,
            turn_deadlines_max: 256,
            turn_calls_max: 256,
            calls_max: 1024,
            gather_time: Duration::ZERO,
            gather_events: 24,
            write_timeout: Duration::from_secs(30),
            write_progress_bytes: 4 * 1024,
            linger_timeout: Duration::from_secs(2),
            linger_bytes_max: 64 * 1024,
            outbound_max: 10_000,
            connect_timeout: Duration::from_secs(10),
            accept_retry: Duration::from_millis(100),
            drain_timeout: Duration::from_secs(10),
            timeout_min_under_load: Duration::from_secs(2),
            wait_max: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl Limits {
    /// Returns limits for messages of up to `bytes` bytes, in both directions.
    ///
    /// They are the default ones, except for buffers and budgets that let such messages pass at
    /// full speed. The kernel's send buffer is 256 KiB, and its receive buffer as long as a message,
    /// from 256 KiB to 1 MiB; Linux doubles both. A peer that does not read may cost the kernel as
    /// much, and the loop `bytes` besides. (A message of 1 MB that arrives through a receive buffer
    /// of 256 KiB takes three times the processor time, measured on a loopback.)
    #[must_use]
    pub fn for_messages_up_to(bytes: usize) -> Self {
        let bytes = bytes.min(BYTES_MAX / 2);
        let received_at_once = bytes.clamp(LARGE_BUFFER_BYTES as usize, 1 << 20);
        Self {
            send_buffer_bytes: LARGE_BUFFER_BYTES,
            receive_buffer_bytes: received_at_once as u32,
            input_bytes_max: bytes + 64 * 1024,
            output_bytes_mark: 64 * 1024,
            output_bytes_max: 2 * bytes.max(512 * 1024),
            turn_bytes_max: received_at_once,
            ..Self::default()
        }
    }

    /// Checks the limits, one by one and together. Building a reactor does this.
    ///
    /// # Errors
    /// Returns the first limit that breaks a rule.
    pub fn validate(&self) -> Result<(), InvalidLimits> {
        self.validate_counts()?;
        self.validate_bytes()?;
        self.validate_waits()
    }

    fn validate_counts(&self) -> Result<(), InvalidLimits> {
        let per_address = self.connections_per_address_max.unwrap_or(1);
        within("connections_max", self.connections_max, 1..=COUNT_MAX)?;
        within("connections_per_address_max", per_address, 1..=COUNT_MAX)?;
        within("refusals_max", self.refusals_max, 0..=COUNT_MAX)?;
        within("outbound_max", self.outbound_max, 0..=COUNT_MAX)?;
        within("backlog", self.backlog as usize, 1..=COUNT_MAX)?;
        within("turn_accepts_max", self.turn_accepts_max, 1..=COUNT_MAX)?;
        within("turn_deadlines_max", self.turn_deadlines_max, 1..=COUNT_MAX)?;
        within("turn_calls_max", self.turn_calls_max, 1..=COUNT_MAX)?;
        within("calls_max", self.calls_max, 1..=COUNT_MAX)?;
        within("gather_events", self.gather_events, 1..=COUNT_MAX)
    }

    fn validate_bytes(&self) -> Result<(), InvalidLimits> {
        let bytes = 1..=BYTES_MAX;
        within(
            "send_buffer_bytes",
            self.send_buffer_bytes as usize,
            bytes.clone(),
        )?;
        within(
            "receive_buffer_bytes",
            self.receive_buffer_bytes as usize,
            bytes.clone(),
        )?;
        within("input_bytes_max", self.input_bytes_max, bytes.clone())?;
        let hard_max = self.for_sessions().input_bytes_hard_max;
        let raised = self.input_bytes_max..=BYTES_MAX;
        within("input_bytes_hard_max", hard_max, raised)?;
        within("output_bytes_mark", self.output_bytes_mark, bytes.clone())?;
        // A session that answers while there is room, with no more bytes than its request, always
        // fits.
        let least = self.output_bytes_mark + hard_max;
        within(
            "output_bytes_max",
            self.output_bytes_max,
            least..=BYTES_MAX.max(least),
        )?;
        within("turn_bytes_max", self.turn_bytes_max, bytes.clone())?;
        within("write_progress_bytes", self.write_progress_bytes, bytes)?;
        within("linger_bytes_max", self.linger_bytes_max, 0..=BYTES_MAX)
    }

    fn validate_waits(&self) -> Result<(), InvalidLimits> {
        for (limit, wait) in [
            ("write_timeout", self.write_timeout),
            ("connect_timeout", self.connect_timeout),
            ("accept_retry", self.accept_retry),
            ("wait_max", self.wait_max),
        ] {
            if wait < WAIT_MIN {
                let rule = format!("must be at least {WAIT_MIN:?}, not {wait:?}");
                return Err(InvalidLimits { limit, rule });
            }
        }
        if self.gather_time > GATHER_TIME_MAX {
            let rule = format!(
                "must be at most {GATHER_TIME_MAX:?}, not {:?}",
                self.gather_time
            );
            return Err(InvalidLimits::new("gather_time", rule));
        }
        Ok(())
    }

    /// Returns the limits that hold for each session.
    pub(crate) fn for_sessions(&self) -> SessionLimits {
        SessionLimits {
            input_bytes_max: self.input_bytes_max,
            input_bytes_hard_max: self.input_bytes_hard_max.unwrap_or(self.input_bytes_max),
            output_bytes_mark: self.output_bytes_mark,
            output_bytes_max: self.output_bytes_max,
        }
    }

    /// Returns the sizes of the kernel's buffers.
    pub(crate) fn buffer_sizes(&self) -> BufferSizes {
        BufferSizes {
            send_bytes: self.send_buffer_bytes,
            receive_bytes: self.receive_buffer_bytes,
        }
    }

    /// Returns the time from one poll to the next after a turn with this many events.
    pub(crate) fn gather_time_after(&self, events: u64) -> Duration {
        let enough = self.gather_events as u64;
        match events {
            _ if events >= enough => self.gather_time,
            _ if events < enough.div_ceil(2) => Duration::ZERO,
            _ => self.gather_time * events as u32 / enough as u32,
        }
    }

    /// Returns how many times waits are halved when `open` connections are served.
    pub(crate) fn wait_halvings(&self, open: usize) -> u32 {
        let tenths = open.saturating_mul(10) / self.connections_max.max(1);
        match tenths {
            0..8 => 0,
            8 => 1,
            _ => 2,
        }
    }
}

fn within(
    limit: &'static str,
    value: usize,
    range: RangeInclusive<usize>,
) -> Result<(), InvalidLimits> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    let rule = format!("must be from {least} to {most}, not {value}");
    Err(InvalidLimits { limit, rule })
}

impl InvalidLimits {
    pub(crate) const fn new(limit: &'static str, rule: String) -> Self {
        Self { limit, rule }
    }

    /// Returns the name of the limit: that of its field.
    #[must_use]
    pub const fn limit(&self) -> &'static str {
        self.limit
    }
}

impl fmt::Display for InvalidLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid limits: {} {}", self.limit, self.rule)
    }
}

impl std::error::Error for InvalidLimits {}

impl From<InvalidLimits> for io::Error {
    fn from(error: InvalidLimits) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// The maximum of counts: slots are numbered with 31 bits.
const COUNT_MAX: usize = (1 << 31) - 1;
/// The longest buffer.
const BYTES_MAX: usize = 1 << 30;
/// A socket buffer for which no message is large.
pub(crate) const LARGE_BUFFER_BYTES: u32 = 256 * 1024;
/// The shortest timeout: a tick of the loop's clock.
const WAIT_MIN: Duration = Duration::from_millis(1);
/// A longer one would be felt by people.
const GATHER_TIME_MAX: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_by_default_and_for_messages_are_valid() {
        assert_eq!(Limits::default().validate(), Ok(()));
        for bytes in [0, 1, 10_000, 512 << 20, usize::MAX] {
            let limits = Limits::for_messages_up_to(bytes);
            assert_eq!(limits.validate(), Ok(()), "{bytes}");
        }
    }

    #[test]
    fn limits_for_messages_let_a_message_pass_in_both_directions() {
        for bytes in [0, 10_000, 1 << 20, 512 << 20] {
            let limits = Limits::for_messages_up_to(bytes);
            // A whole read fits behind the longest message that is not complete yet.
            assert!(limits.input_bytes_max >= bytes + 64 * 1024);
            assert!(limits.output_bytes_max >= limits.output_bytes_mark + limits.input_bytes_max);
            assert!(limits.input_bytes_max + limits.output_bytes_max <= 4 * bytes + (2 << 20));
            assert!(limits.output_bytes_mark >= 64 * 1024);
            assert!(limits.turn_bytes_max >= 256 * 1024);
            assert!(limits.send_buffer_bytes >= 256 * 1024);
            assert!(limits.receive_buffer_bytes >= 256 * 1024);
        }
    }

    #[test]
    fn invalid_limits_are_rejected_by_name() {
        type Change = fn(&mut Limits);
        let changes: [(&str, Change); 21] = [
            ("connections_max", |l| l.connections_max = 0),
            ("connections_max", |l| l.connections_max = usize::MAX),
            ("connections_per_address_max", |l| {
                l.connections_per_address_max = Some(0)
            }),
            ("backlog", |l| l.backlog = 0),
            ("turn_accepts_max", |l| l.turn_accepts_max = 0),
            ("turn_deadlines_max", |l| l.turn_deadlines_max = 0),
            ("turn_calls_max", |l| l.turn_calls_max = 0),
            ("calls_max", |l| l.calls_max = 0),
            ("turn_bytes_max", |l| l.turn_bytes_max = 0),
            ("turn_bytes_max", |l| l.turn_bytes_max = usize::MAX),
            ("input_bytes_max", |l| l.input_bytes_max = 0),
            ("input_bytes_max", |l| l.input_bytes_max = usize::MAX),
            ("input_bytes_hard_max", |l| {
                l.input_bytes_hard_max = Some(8 * 1024 - 1)
            }),
            ("input_bytes_hard_max", |l| {
                l.input_bytes_hard_max = Some(usize::MAX)
            }),
            ("output_bytes_max", |l| {
                l.input_bytes_hard_max = Some(1024 * 1024)
            }),
            ("output_bytes_max", |l| l.output_bytes_max = usize::MAX),
            ("output_bytes_mark", |l| l.output_bytes_mark = 0),
            ("output_bytes_max", |l| l.output_bytes_max = 15 * 1024 - 1),
            ("write_timeout", |l| l.write_timeout = Duration::ZERO),
            ("accept_retry", |l| l.accept_retry = Duration::ZERO),
            ("wait_max", |l| l.wait_max = Duration::ZERO),
        ];
        for (limit, change) in changes {
            let mut limits = Limits::default();
            change(&mut limits);
            let error = limits.validate().expect_err(limit).to_string();
            let named = format!("invalid limits: {limit} must be ");
            assert!(error.starts_with(&named), "{error}");
        }
    }

    #[test]
    fn waits_shorten_at_eighty_and_ninety_percent() {
        let limits = Limits {
            connections_max: 100,
            ..Limits::default()
        };
        let halvings = [0, 79, 80, 89, 90, 100].map(|open| limits.wait_halvings(open));
        assert_eq!(halvings, [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn peer_that_never_reads_costs_less_than_16_kib() {
        let limits = Limits::default();
        assert!(limits.input_bytes_max + limits.output_bytes_mark + 128 < 16 * 1024);
    }
}
