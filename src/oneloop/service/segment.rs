//! Output that leaves the step in which it was written.

use super::shared::{FileSlice, Shared};

/// Consecutive bytes of output, in the form in which they are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chunk<'a> {
    Bytes(&'a [u8]),
    File(FileSlice<'a>),
}

/// A piece of output that waits to be sent.
#[derive(Debug)]
pub(crate) enum Segment {
    /// Bytes of one session: those from `start` on.
    Owned { bytes: Vec<u8>, start: usize },
    /// Bytes that other sessions may hold too.
    Shared(Shared),
}

impl<'a> Chunk<'a> {
    pub(super) fn of(shared: &'a Shared) -> Self {
        shared.in_file().map_or(Self::Bytes(shared), Self::File)
    }
}

impl Segment {
    pub(crate) fn as_chunk(&self) -> Chunk<'_> {
        match self {
            Self::Owned { .. } => Chunk::Bytes(self.as_slice()),
            Self::Shared(shared) => Chunk::of(shared),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Owned { bytes, start } => &bytes[*start..],
            Self::Shared(bytes) => bytes,
        }
    }

    /// Removes the first `bytes` bytes.
    pub(crate) fn advance(&mut self, sent: usize) {
        match self {
            Self::Owned { start, .. } => *start += sent,
            Self::Shared(bytes) => bytes.advance(sent),
        }
    }

    /// Returns this segment in a buffer of at least `space` bytes, if its bytes are owned.
    pub(crate) fn with_space(mut self, space: usize) -> Self {
        if let Self::Owned { bytes, .. } = &mut self {
            bytes.reserve_exact(space.saturating_sub(bytes.len()));
        }
        self
    }

    /// Returns the number of bytes allocated for this session alone.
    pub(crate) fn capacity(&self) -> usize {
        match self {
            Self::Owned { bytes, .. } => bytes.capacity(),
            Self::Shared(_) => 0,
        }
    }
}
