//! Every bound and every wait of the loop, in one place.

use std::time::Duration;

/// What the loop allows. Each limit is an ordinary event when it is reached: counted, logged where
/// an operator can do something about it, and told to the peer where the service has words for it.
///
/// Not one of them can be switched off: a server without limits is a server that one peer can
/// stop. Large values are fine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at once. Default 10,000; the greeting server lowers it to what the limit
    /// on file descriptors allows.
    pub connections_max: usize,
    /// Connections served at once from one address: an IPv4 address or an IPv6 /64 (one customer
    /// usually has a whole one). Default `None`, as many as there are: behind a shared address
    /// there can be thousands of honest people.
    pub connections_per_address_max: Option<usize>,
    /// What becomes of a connection above [`connections_max`](Self::connections_max). Default
    /// [`WhenFull::Refuse`]: a clear word now is better than silence for a minute.
    pub when_full: WhenFull,
    /// Refused connections that may linger at once, so that they get the refusal and no reset.
    /// Default 16, a part of the descriptors held in reserve; those above are closed at once.
    pub refusals_max: usize,
    /// Established connections that may wait in the kernel to be accepted. Default 4,096, the
    /// value of `somaxconn` on Linux, which caps it. With std's and mio's 128 the 130th of many
    /// simultaneous connects waits at least a second for its SYN to be sent again.
    pub backlog: u32,
    /// The most bytes the kernel holds for a peer that does not read, as `SO_SNDBUF` takes it.
    /// Default 32 KiB, which Linux doubles; without a limit it is more than 4 MiB.
    pub send_buffer_bytes: u32,
    /// The most bytes the kernel holds of what a peer sent and nobody has read, as `SO_RCVBUF`
    /// takes it. Default 32 KiB, which Linux doubles; without a limit the kernel lets it grow to
    /// many megabytes for a peer that is read from fast and then not any more. It also bounds how
    /// much may be on its way on a long line: raise it for bulk.
    pub receive_buffer_bytes: u32,
    /// The most unread input the loop holds for a session, which is also the most it reads at
    /// once. Default 8 KiB. A session that leaves more unread than that has ended.
    pub input_bytes_max: usize,
    /// The most output the loop holds for a session. Default 7 KiB: with the input and the slot
    /// a peer that never reads costs less than 16 KiB. No message of a service may be longer.
    pub output_bytes_max: usize,
    /// The bytes, read and written together, that one connection may move in one turn, besides the
    /// first read and its answer, before the others have theirs. Default 64 KiB, about 50 µs of
    /// work.
    pub turn_bytes_max: usize,
    /// Connections accepted from one listener in one turn. Default 64: some 0.5 ms.
    pub turn_accepts_max: usize,
    /// Deadlines that may be acted on in one turn. Default 256: some 2 ms.
    pub turn_deadlines_max: usize,
    /// How long a peer may take to accept what the loop holds for it. Default 30 s, from the first
    /// byte refused by the kernel to the last one taken: reading a byte now and then does not
    /// extend it.
    pub write_timeout: Duration,
    /// How long a closing connection waits for its peer to finish too. Default 2 s.
    pub linger_timeout: Duration,
    /// How much of what a peer sends after the end is discarded politely. Default 64 KiB.
    pub linger_bytes_max: usize,
    /// How long an outbound connection may take to be made. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the loop waits before it tries to accept again when descriptors or kernel memory
    /// have run out, or as many accepts in a row have failed as one turn may hold. Default 100 ms;
    /// a connection that ends cuts the wait short.
    pub accept_retry: Duration,
    /// How long all connections together may take to finish when the server stops. Default 10 s.
    pub drain: Duration,
    /// When the server fills up, waits become shorter: from 80 % of
    /// [`connections_max`](Self::connections_max) half, from 90 % a quarter of what was asked for,
    /// but never less than this. Default 2 s. A fleet of silent peers then holds a full server for
    /// 15 s instead of a minute, and somebody who types has still time to.
    pub busy_wait_min: Duration,
}

/// What becomes of a connection when the server is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is accepted, told [`Service::refusal`](crate::service::Service::refusal), and closed.
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
            output_bytes_max: 7 * 1024,
            turn_bytes_max: 64 * 1024,
            turn_accepts_max: 64,
            turn_deadlines_max: 256,
            write_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(2),
            linger_bytes_max: 64 * 1024,
            connect_timeout: Duration::from_secs(10),
            accept_retry: Duration::from_millis(100),
            drain: Duration::from_secs(10),
            busy_wait_min: Duration::from_secs(2),
        }
    }
}

impl Limits {
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(limits.input_bytes_max + limits.output_bytes_max + 128 < 16 * 1024);
    }
}
