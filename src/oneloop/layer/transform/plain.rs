//! Decoded input of a session.

/// Plaintext, consumed from the front.
#[derive(Debug, Default)]
pub(super) struct Plain {
    bytes: Vec<u8>,
    /// The number of bytes consumed.
    start: usize,
}

impl Plain {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Returns the buffer to append to. At least half of it is unread then, so that a byte is moved
    /// about once.
    pub(super) fn appendable(&mut self) -> &mut Vec<u8> {
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }

    /// Returns the buffer, empty, for use by another session, unless it is very large.
    pub(super) fn recycled(mut self) -> Self {
        self.bytes.clear();
        self.start = 0;
        if self.bytes.capacity() > RECYCLED_BYTES_MAX {
            return Self::default();
        }
        self
    }
}

const RECYCLED_BYTES_MAX: usize = 64 * 1024;
