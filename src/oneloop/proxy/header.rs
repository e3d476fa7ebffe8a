//! The header that a proxy sends before the client's bytes.

use std::fmt;
use std::str::FromStr;

use super::cursor::Stop;
use super::{v1, v2};
use crate::service::Announced;

/// A whole header at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The length of the header: the bytes to consume.
    pub bytes: usize,
    /// The announced client.
    pub announced: Announced,
}

/// The versions of the protocol that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Versions {
    /// Version 1, a line of text.
    V1,
    /// Version 2, which is binary.
    V2,
    /// Either. Their first bytes differ.
    Any,
}

/// The rule that a header breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// It does not begin as an accepted version does.
    Signature,
    /// The version is not 2.
    Version,
    /// The command is neither LOCAL nor PROXY.
    Command,
    /// The protocol of the addresses is unknown.
    Family,
    /// An address is malformed, or not of the announced family.
    Address,
    /// A port is malformed, or has leading zeros.
    Port,
    /// The line does not end with CRLF.
    LineEnd,
    /// The header is longer than the maximum.
    TooLong,
    /// The header is too short for its addresses.
    Length,
    /// A record after the addresses is malformed.
    Record,
    /// The checksum is wrong.
    Checksum,
}

impl Header {
    /// The longest header by default: all of it fits into the smallest segment that every host takes.
    pub const BYTES_MAX: usize = 536;

    /// Parses the header at the front of `input`, of at most `bytes_max` bytes; one of version 1 has
    /// at most 107. Returns `None` if its rest has not arrived.
    ///
    /// The result does not depend on how the input was cut. It is strict: what the specification
    /// does not allow is a violation, at the first byte that makes it one. A header of version 2
    /// without a client (LOCAL, or an unspecified family) is skipped as a whole; otherwise its
    /// records are checked for their lengths and, if there is one, for its checksum (CRC-32C), and
    /// not interpreted.
    ///
    /// ```
    /// use oneloop::Announced;
    /// use oneloop::proxy::{Header, Versions, Violation};
    /// use std::net::SocketAddr;
    ///
    /// let input = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nhello";
    /// let header = Header::parse(input, Versions::Any, Header::BYTES_MAX)?;
    /// let header = header.expect("all of it has arrived");
    /// let client = SocketAddr::from(([192, 0, 2, 1], 56324));
    /// assert_eq!(header.announced, Announced::Client(client.into()));
    /// assert_eq!(&input[header.bytes..], b"hello");
    ///
    /// let input = b"PROXY TCP4 192.0.2.01";
    /// let violation = Header::parse(input, Versions::Any, Header::BYTES_MAX);
    /// assert_eq!(violation, Err(Violation::Address));
    /// # Ok::<(), Violation>(())
    /// ```
    ///
    /// # Errors
    /// Returns the rule that the input breaks. No further input makes it a header.
    pub fn parse(
        input: &[u8],
        versions: Versions,
        bytes_max: usize,
    ) -> Result<Option<Self>, Violation> {
        let bytes_max = bytes_max.max(Self::BYTES_MIN);
        let parsed = match (versions, input.first()) {
            (_, None) => Err(Stop::More),
            (Versions::V1 | Versions::Any, Some(b'P')) => v1::parse(input),
            (Versions::V2 | Versions::Any, Some(b'\r')) => v2::parse(input, bytes_max),
            _ => Err(Violation::Signature.into()),
        };
        match parsed {
            Ok(header) => Ok(Some(header)),
            Err(Stop::More) => Ok(None),
            Err(Stop::Wrong(violation)) => Err(violation),
        }
    }

    /// The least maximum: the longest header without records.
    pub(super) const BYTES_MIN: usize = v2::HEAD_BYTES + 216;
}

impl FromStr for Versions {
    type Err = &'static str;

    /// Parses `v1`, `v2` or `any`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            "any" => Ok(Self::Any),
            _ => Err("expected v1, v2 or any"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature => "it does not begin with a PROXY header of an accepted version",
            Self::Version => "the header's version is not 2",
            Self::Command => "the header's command is neither LOCAL nor PROXY",
            Self::Family => "the header's family of addresses is unknown",
            Self::Address => "an address in the header is malformed",
            Self::Port => "a port in the header is malformed",
            Self::LineEnd => "the header does not end with CRLF",
            Self::TooLong => "the header is too long",
            Self::Length => "the header is too short for its addresses",
            Self::Record => "a record in the header is malformed",
            Self::Checksum => "the header's checksum is wrong",
        })
    }
}

impl std::error::Error for Violation {}
