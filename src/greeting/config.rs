//! The configuration of the service.

use std::time::Duration;

use super::Framing;

/// The configuration of a [`Greeter`](super::Greeter).
///
/// The loop's limits must leave room for one name. `input_bytes_max` must hold [`name_bytes_max`],
/// a line ending of two bytes and one byte more, so that a name that is too long gets its answer.
/// `output_bytes_max` must exceed `output_bytes_mark` by [`name_bytes_max`] and 128 bytes.
///
/// [`name_bytes_max`]: Self::name_bytes_max
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The end of a name. Default [`Framing::Auto`], which serves every kind of client.
    pub framing: Framing,
    /// The silence that ends a name, and the pause between two messages to a peer that may take one
    /// read for one message. Default 30 ms: longer than the gaps between segments of one write, too
    /// short for a person to notice.
    pub quiet_gap: Duration,
    /// The timeout for a complete name, from the question on. Partial input does not extend it.
    /// Default 60 s: enough to type a name.
    pub name_timeout: Duration,
    /// The maximum length of a name in bytes, without its line ending. Default 1024: the size of
    /// one read of a simple client.
    pub name_bytes_max: usize,
    /// The number of invalid names that ends the session; 0 is like 1. Default 10: enough for a
    /// person to find the error, and it stops a broken program.
    pub mistakes_max: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            framing: Framing::Auto,
            quiet_gap: Duration::from_millis(30),
            name_timeout: Duration::from_secs(60),
            name_bytes_max: 1024,
            mistakes_max: 10,
        }
    }
}
