//! What can be set.

use std::time::Duration;

use super::Framing;

/// What a [`Greeter`](super::Greeter) can be told.
///
/// The loop's limits must leave room for one name: `input_bytes_max` for [`name_bytes_max`], a line
/// ending of two bytes, and one byte more, so that a name that is too long can be answered; and
/// between `output_bytes_mark` and `output_bytes_max` for [`name_bytes_max`] and 128 bytes more.
///
/// [`name_bytes_max`]: Self::name_bytes_max
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How a name ends. Default [`Framing::Auto`]: whoever connects, by whatever means, is
    /// understood.
    pub framing: Framing,
    /// How long a peer must be quiet for its bytes to be a name, and how long the server leaves
    /// between two messages to a peer that may take one read for one message. Default 30 ms: longer
    /// than the segments of one write are apart, shorter than what a person notices.
    pub quiet_gap: Duration,
    /// How long a peer has for a whole name, from the question on, however slowly its bytes drip
    /// in. Default 60 s: enough to type a name, too little to hold connections for nothing.
    pub name_timeout: Duration,
    /// The length of the longest name, in bytes, without its line ending. Default 1024: longer than
    /// any name, and as much as one read of a simple server or client takes in.
    pub name_bytes_max: usize,
    /// The mistake that ends the session, counted from 1; 0 is like 1. Default 10: a person finds
    /// out what is wrong, a broken program does not go on for ever.
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
