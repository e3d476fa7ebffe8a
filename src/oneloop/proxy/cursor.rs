//! A cursor over a header of which a part may not have arrived yet.

use super::header::Violation;

/// The unread part of a header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

/// The reason why a header cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The rest has not arrived yet.
    More,
    /// No further input makes it a header.
    Wrong(Violation),
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Wrong(violation)
    }
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// Returns the unread bytes that have arrived.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns the next byte without reading it.
    pub(super) fn peek(&self) -> Result<u8, Stop> {
        self.rest.first().copied().ok_or(Stop::More)
    }

    /// Reads a byte.
    pub(super) fn byte(&mut self) -> Result<u8, Stop> {
        let byte = self.peek()?;
        self.rest = &self.rest[1..];
        Ok(byte)
    }

    /// Reads `length` bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Stop::More)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads exactly these bytes. The first one that differs is the violation.
    pub(super) fn literal(&mut self, bytes: &[u8], violation: Violation) -> Result<(), Stop> {
        let arrived = self.rest.len().min(bytes.len());
        if self.rest[..arrived] != bytes[..arrived] {
            return Err(violation.into());
        }
        self.take(bytes.len()).map(drop)
    }
}
