//! The end of a message in a stream of bytes.
//!
//! TCP carries bytes, not messages: one read may return half a message, or three. A framing marks
//! the ends. Each type here is a value that is made once, with the longest message it accepts, and
//! is a pure function of the input from then on:
//!
//! | framing | end of a message |
//! |---|---|
//! | [`Delimited`] | a byte string, or the end of a line |
//! | [`LengthField`] | a length before it, in one to four bytes or a varint |
//! | [`Netstring`] | a length in decimal digits, as in `5:hello,` |
//! | [`HttpHead`] | the empty line after the fields of an HTTP message |
//! | [`RespRequest`] | counts and lengths before it, as in `*1\r\n$4\r\nPING\r\n`, or the end of a line |
//!
//! `first` returns the first message of the input, or `None` if more input is needed. The session
//! consumes [`Frame::bytes`] and repeats:
//!
//! ```
//! use oneloop::Context;
//! use oneloop::framing::{Delimited, FramingError, Scanned};
//!
//! const LINES: Delimited = Delimited::lines(1000);
//!
//! fn echo_lines(scanned: &mut Scanned, cx: &mut Context<'_>) -> Result<(), FramingError> {
//!     while cx.has_room()
//!         && let Some(line) = LINES.first(cx.input(), scanned)?
//!     {
//!         cx.write_parts(LINES.encode(line.body)?.parts());
//!         cx.consume(line.bytes);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The frames do not depend on how the input was cut. An error is final: the stream has no next
//! message. It comes as soon as it is certain, so a peer cannot make a server buffer more than the
//! maximum. `Limits::input_bytes_max` must hold the longest frame, with its head or delimiter.

mod delimited;
mod encoded;
mod http;
mod length;
mod netstring;
mod resp;
mod search;
#[cfg(test)]
mod tests;

use std::fmt;

pub use delimited::Delimited;
pub use encoded::Encoded;
pub use http::HttpHead;
pub use length::{LengthField, Width};
pub use netstring::Netstring;
pub use resp::{RespError, RespReply, RespRequest};
pub use search::Scanned;

/// A complete message at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// The bytes before the body: a length field, and the bytes before that. Empty for a framing
    /// that has none.
    pub head: &'a [u8],
    /// The message.
    pub body: &'a [u8],
    /// The length of the whole frame, with its head or delimiter: the bytes to consume.
    pub bytes: usize,
}

/// The error of a frame that breaks the rules of its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FramingError {
    /// The message is longer than the maximum.
    TooLong {
        /// The announced length. Without one, `max + 1`: it is at least that long.
        length: u64,
        /// The maximum of the framing.
        max: usize,
    },
    /// The length cannot be one: after the adjustment it is negative, or the varint exceeds 64
    /// bits. When encoding: it does not fit the field.
    InvalidLength,
    /// A byte that the framing does not allow at its place.
    InvalidByte(u8),
    /// When encoding: the body and the delimiter would be read as a shorter body.
    DelimiterInBody,
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length, max } => {
                write!(
                    f,
                    "a message of {length} bytes or more, at most {max} are allowed"
                )
            }
            Self::InvalidLength => f.write_str("an invalid length"),
            Self::InvalidByte(byte) => write!(f, "unexpected byte {:?}", *byte as char),
            Self::DelimiterInBody => f.write_str("a message that contains its own delimiter"),
        }
    }
}

impl std::error::Error for FramingError {}

impl FramingError {
    /// Returns the error of a message without an announced length.
    const fn longer_than(max: usize) -> Self {
        let length = (max as u64).saturating_add(1);
        Self::TooLong { length, max }
    }
}

/// Returns an error if a body of `length` bytes exceeds `max`.
const fn check_length(length: usize, max: usize) -> Result<(), FramingError> {
    if length > max {
        let length = length as u64;
        return Err(FramingError::TooLong { length, max });
    }
    Ok(())
}
