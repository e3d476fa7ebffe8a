//! Latency, bandwidth and buffers of a connection.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Rng;

/// The network path of a connection, the same in both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkProfile {
    /// The latency, drawn for each segment. Segments arrive in order.
    pub latency: RangeInclusive<Duration>,
    /// The bandwidth, in bytes per second.
    pub bytes_per_second: u64,
    /// The maximum segment size in bytes, drawn for each segment. Splits writes.
    pub segment_bytes: RangeInclusive<u64>,
    /// The time for which written bytes wait for more. Joins writes.
    pub hold: Duration,
    /// The receive buffer in bytes. The server's is at most that of its
    /// [`ListenOptions`](oneloop::net::ListenOptions).
    pub receive_buffer_bytes: usize,
    /// The client's send buffer in bytes. [`ListenOptions`](oneloop::net::ListenOptions) set the
    /// server's.
    pub send_buffer_bytes: usize,
}

impl LinkProfile {
    /// Returns a link without delay or limit, on which every write is one segment.
    #[must_use]
    pub const fn ideal() -> Self {
        Self {
            latency: Duration::ZERO..=Duration::ZERO,
            bytes_per_second: u64::MAX,
            segment_bytes: u64::MAX..=u64::MAX,
            hold: Duration::ZERO,
            receive_buffer_bytes: 64 * 1024,
            send_buffer_bytes: 64 * 1024,
        }
    }

    /// Draws a link, from a loopback to a slow modem line.
    #[must_use]
    pub fn sample(rng: &mut Rng) -> Self {
        let near = Duration::from_micros(rng.magnitude(5..=100_000));
        let far = near + Duration::from_micros(rng.magnitude(1..=50_000));
        let longest = rng.magnitude(1..=65_536);
        Self {
            latency: near..=far,
            bytes_per_second: rng.magnitude(2_000..=1_000_000_000),
            segment_bytes: rng.range(1..=longest)..=longest,
            hold: Duration::from_micros(rng.choose(&[0, 0, 0, 200, 10_000])),
            receive_buffer_bytes: rng.magnitude(1..=65_536) as usize,
            send_buffer_bytes: rng.magnitude(16..=65_536) as usize,
        }
    }

    pub(super) fn delay(&self, rng: &mut Rng) -> Duration {
        let (near, far) = (*self.latency.start(), *self.latency.end());
        near + rng.duration_up_to(far.saturating_sub(near))
    }

    /// Returns the time for which `bytes` occupy the link.
    pub(super) fn occupied(&self, bytes: usize) -> Duration {
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(self.bytes_per_second.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Default for LinkProfile {
    fn default() -> Self {
        Self::ideal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occupied_time_follows_bandwidth() {
        let mut link = LinkProfile::ideal();
        assert_eq!(link.occupied(1 << 20), Duration::ZERO);
        link.bytes_per_second = 1000;
        assert_eq!(link.occupied(500), Duration::from_millis(500));
    }
}
