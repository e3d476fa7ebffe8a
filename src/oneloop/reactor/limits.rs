//! Every bound and every wait of the loop, in one place.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What the loop allows. Each limit is an ordinary event when it is reached: counted, logged where
/// an operator can do something about it, and told to the peer where the service has words for it.
///
/// Not one of them can be switched off: a server without limits is a server that one peer can
/// stop. Large values are fine, within the bounds that [`validate`](Self::validate) checks when a
/// reactor is built. Limits that depend on each other are best set together: for messages of more
/// than some kilobytes begin with [`for_messages_up_to`](Self::for_messages_up_to).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Accepted connections served at once. Default 10,000; the greeting server lowers it to what the limit
    /// on file descriptors allows.
    pub connections_max: usize,
    /// Slots served at once from one address: an IPv4 address or an IPv6 /64 (one address_key
    /// usually has a whole one). Default `None`, as many as there are: behind a shared address
    /// there can be thousands of honest people.
    pub connections_per_address_max: Option<usize>,
    /// What becomes of a connection above [`connections_max`](Self::connections_max). Default
    /// [`WhenFull::Refuse`]: a clear word now is better than silence for a minute.
    pub when_full: WhenFull,
    /// Refused connections that may linger at once, so that they get the refusal and no reset.
    /// Default 16, a part of the descriptors buffers in reserve; those above are closed at once.
    pub refusals_max: usize,
    /// Established connections that may wait in the kernel to be accepted. Default 4,096, the
    /// value of `somaxconn` on Linux, which caps it. With std's and mio's 128 the 130th of many
    /// simultaneous connects waits at least a second for its SYN to be sent again.
    pub backlog: u32,
    /// The most bytes the kernel holds for a peer that does not read, as `SO_SNDBUF` takes it.
    /// Default 32 KiB, which Linux doubles; without a limit it is more than 4 MiB. A connection
    /// with more than 64 KiB of pending output gets 256 KiB if this is less.
    pub send_buffer_bytes: u32,
    /// The most bytes the kernel holds of what a peer sent and nobody has read, as `SO_RCVBUF`
    /// takes it. Default 32 KiB, which Linux doubles; without a limit the kernel lets it grow to
    /// many megabytes for a peer that is read from fast and then not any more. It also bounds how
    /// much may be on its way on a long line: raise it for bulk.
    pub receive_buffer_bytes: u32,
    /// The most unread input the loop holds for a session, and so the longest message that a
    /// session can wait for. Default 8 KiB. A session that leaves as much unread, and whose peer
    /// sends still more, ends with `EndReason::InputOverflow`.
    pub input_bytes_max: usize,
    /// The output of a step above which a session is not stepped with more input until the output
    /// has left: `Context::has_room` is false then. Default 7 KiB: with the input and the slot a
    /// peer that never reads costs less than 16 KiB if the session heeds it.
    pub output_bytes_mark: usize,
    /// The most output that one step may write. Default 1 MiB; at least
    /// [`output_bytes_mark`](Self::output_bytes_mark) and
    /// [`input_bytes_max`](Self::input_bytes_max) together, so that a session which writes no
    /// answer longer than its request, and only while there is room, never exceeds it. A session that writes more ends with
    /// `EndReason::OutputOverflow`, and its peer sees a reset.
    pub output_bytes_max: usize,
    /// The bytes, read and written together, that one connection may move in one turn, besides the
    /// first read and its answer, before the others have theirs. Default 64 KiB, about 50 µs of
    /// work.
    pub turn_bytes_max: usize,
    /// Slots accepted from one listener in one turn. Default 64: some 0.5 ms.
    pub turn_accepts_max: usize,
    /// TimerWheel that may be acted on in one turn. Default 256: some 2 ms.
    pub turn_deadlines_max: usize,
    /// How long a peer may take to accept [`write_progress_bytes`](Self::write_progress_bytes) of
    /// what the loop holds for it, or all of that if it is less. Default 30 s.
    pub write_timeout: Duration,
    /// The bytes that a peer must take within each [`write_timeout`](Self::write_timeout). Default
    /// 4 KiB: about 140 bytes a second, however long the output is. Reading a byte now and then
    /// does not extend the wait. The kernel reports room only when a third of its send buffer is
    /// free, so progress is seen in steps of some 20 KiB.
    pub write_progress_bytes: usize,
    /// How long a closing connection waits for its peer to finish too. Default 2 s.
    pub linger_timeout: Duration,
    /// How much of what a peer sends after the end is discarded politely. Default 64 KiB.
    pub linger_bytes_max: usize,
    /// Outbound connections at once, those being made among them. They do not count as served.
    /// Default 10,000. Beyond that `Service::connect_failed` is called.
    pub outbound_max: usize,
    /// How long an outbound connection may take to be made. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the loop waits before it tries to accept again when descriptors or kernel memory
    /// have run out, or as many accepts in a row have failed as one turn may hold. Default 100 ms;
    /// a connection that ends cuts the wait short.
    pub accept_retry: Duration,
    /// How long all connections together may take to finish when the server stops. Default 10 s.
    pub drain_timeout: Duration,
    /// When the server fills up, waits become shorter: from 80 % of
    /// [`connections_max`](Self::connections_max) half, from 90 % a quarter of what was asked for,
    /// but never less than this. Default 2 s. A fleet of silent peers then holds a full server for
    /// 15 s instead of a minute, and somebody who types has still time to.
    pub timeout_min_under_load: Duration,
    /// The longest wait of a session: one that asks for more gets its deadline after this. Default
    /// one day. Only `Time::UNBOUNDED` is not shortened.
    pub wait_max: Duration,
}

/// The error of limits that cannot hold. It names the limit and the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLimits {
    limit: &'static str,
    rule: String,
}

/// What becomes of a connection when the server is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is accepted, told [`Service::refusal_message`](crate::service::Service::refusal_message), and closed.
    Refuse,
    /// It waits in the kernel's queue until another one ends. Its owner sees an established
    /// connection that says nothing.
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
            output_bytes_mark: 7 * 1024,
            output_bytes_max: 1024 * 1024,
            turn_bytes_max: 64 * 1024,
            turn_accepts_max: 64,
            turn_deadlines_max: 256,
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
    /// Returns limits for messages of up to `bytes` bytes, in both directions: the default ones
    /// but for buffers, and shares of a turn, that let such messages pass at full speed.
    ///
    /// The kernel's buffers are 256 KiB, which Linux doubles: a peer that does not read may cost the
    /// kernel as much, and the loop `bytes` besides.
    #[must_use]
    pub fn for_messages_up_to(bytes: usize) -> Self {
        let bytes = bytes.min(BYTES_MAX / 2);
        Self {
            send_buffer_bytes: LARGE_BUFFER_BYTES,
            receive_buffer_bytes: LARGE_BUFFER_BYTES,
            input_bytes_max: bytes + 64 * 1024,
            output_bytes_mark: 64 * 1024,
            output_bytes_max: 2 * bytes.max(512 * 1024),
            turn_bytes_max: LARGE_BUFFER_BYTES as usize,
            ..Self::default()
        }
    }

    /// Checks that the limits can hold, one by one and together. Building a reactor does this.
    ///
    /// # Errors
    /// The first limit that breaks a rule.
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
        within("turn_deadlines_max", self.turn_deadlines_max, 1..=COUNT_MAX)
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

        within("output_bytes_mark", self.output_bytes_mark, bytes.clone())?;
        // An answer as long as the longest request, written where there is room, always fits.
        let least = self.output_bytes_mark + self.input_bytes_max;
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
        Ok(())
    }

    /// How many times waits are halved when `open` connections are served.
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

/// Counts stay below this: slots are numbered with 32 bits, of which 31 are used.
const COUNT_MAX: usize = (1 << 31) - 1;
/// The longest buffer.
const BYTES_MAX: usize = 1 << 30;
/// A socket buffer for which no message is large.
pub(crate) const LARGE_BUFFER_BYTES: u32 = 256 * 1024;
/// The shortest time-out: a tick of the loop's clock.
const WAIT_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_by_default_and_for_messages_of_any_length_are_valid() {
        assert_eq!(Limits::default().validate(), Ok(()));
        for bytes in [0, 1, 10_000, 512 << 20, usize::MAX] {
            let limits = Limits::for_messages_up_to(bytes);
            assert_eq!(limits.validate(), Ok(()), "{bytes}");
        }
    }

    #[test]
    fn limits_that_cannot_hold_are_refused_by_name() {
        type Change = fn(&mut Limits);
        let changes: [(&str, Change); 16] = [
            ("connections_max", |l| l.connections_max = 0),
            ("connections_max", |l| l.connections_max = usize::MAX),
            ("connections_per_address_max", |l| {
                l.connections_per_address_max = Some(0)
            }),
            ("backlog", |l| l.backlog = 0),
            ("turn_accepts_max", |l| l.turn_accepts_max = 0),
            ("turn_deadlines_max", |l| l.turn_deadlines_max = 0),
            ("turn_bytes_max", |l| l.turn_bytes_max = 0),
            ("turn_bytes_max", |l| l.turn_bytes_max = usize::MAX),
            ("input_bytes_max", |l| l.input_bytes_max = 0),
            ("input_bytes_max", |l| l.input_bytes_max = usize::MAX),
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
    fn a_peer_that_never_reads_costs_less_than_sixteen_kibibytes() {
        let limits = Limits::default();
        assert!(limits.input_bytes_max + limits.output_bytes_mark + 128 < 16 * 1024);
    }
}
