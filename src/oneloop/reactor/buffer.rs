//! Buffered input and pending output of a connection.

use crate::service::Time;

/// Unread input and unsent output of one connection. Freed as soon as both are empty.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) input: ReadBuf,
    pub(crate) output: PendingOutput,
    /// The write deadline of the pending output.
    pub(crate) write_deadline: Deadline,
}

/// A deadline, as requested and as in effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) requested: Time,
    /// The requested one, or an earlier one under load.
    pub(crate) effective: Time,
}

/// Input that the session has not consumed. New input is read behind it, without a copy.
#[derive(Debug, Default)]
pub(crate) struct ReadBuf {
    /// Fully initialised; the unread bytes are those from `start` to `end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// Output that the operating system has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct PendingOutput {
    buffer: Vec<u8>,
    sent: usize,
    /// The value of `sent` when the write deadline was set.
    sent_at_deadline: usize,
}

impl Default for Deadline {
    fn default() -> Self {
        Self {
            requested: Time::NEVER,
            effective: Time::NEVER,
        }
    }
}

impl Buffers {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.input.is_empty() && self.output.is_empty()
    }

    /// Returns the number of bytes allocated.
    pub(crate) fn capacity(&self) -> usize {
        self.input.buffer.capacity() + self.output.buffer.capacity()
    }
}

impl ReadBuf {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    #[inline]
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Sets the unread input of an empty buffer.
    pub(crate) fn set(&mut self, bytes: &[u8]) {
        debug_assert!(self.is_empty(), "input is set only when there is none");
        self.buffer = bytes.to_vec();
        (self.start, self.end) = (0, bytes.len());
    }

    /// Drops all but the last `left` unread bytes, and frees memory far beyond that.
    pub(crate) fn keep_last(&mut self, left: usize) {
        self.start = self.end - left;
        if left == 0 {
            *self = Self::default();
        } else if self.buffer.len() > READ_AT_LEAST && left < self.buffer.len() / 8 {
            self.buffer = self.unread().to_vec();
            (self.start, self.end) = (0, left);
        }
    }

    /// Returns space to read into, behind the unread bytes; empty if there are `max` unread bytes.
    ///
    /// The buffer doubles, so a byte is copied about once on its way to `max`. When it cannot grow
    /// any more, the unread bytes are moved to its front.
    pub(crate) fn space(&mut self, max: usize) -> &mut [u8] {
        let behind = self.buffer.len() - self.end;
        if behind < READ_AT_LEAST.min(max - self.len()) {
            if self.start >= self.len() || self.buffer.len() >= max {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.len());
            }
            let wanted = (2 * self.buffer.len()).max(self.end + READ_AT_LEAST);
            if let Some(more) = wanted.min(max).checked_sub(self.buffer.len()) {
                self.buffer.reserve_exact(more);
                self.buffer.resize(self.buffer.len() + more, 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    /// Counts the first `bytes` of the [`space`](Self::space) as unread input.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.end += bytes;
    }
}

impl PendingOutput {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.buffer.len()
    }

    #[inline]
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }

    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.sent
    }

    /// Appends `buffer` from `sent` on to the pending output.
    pub(crate) fn append(&mut self, (buffer, sent): (Vec<u8>, usize)) {
        if !self.is_empty() {
            return self.buffer.extend_from_slice(&buffer[sent..]);
        }
        *self = Self {
            buffer,
            sent,
            sent_at_deadline: sent,
        };
    }

    /// Counts `bytes` more as sent.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Returns true, once, when `enough` bytes were sent since the last such call.
    pub(crate) fn has_progressed(&mut self, enough: usize) -> bool {
        let progressed = self.sent - self.sent_at_deadline >= enough;
        if progressed {
            self.sent_at_deadline = self.sent;
        }
        progressed
    }
}

/// The least space for reading behind unread input, while the buffer may grow.
const READ_AT_LEAST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn input_read_and_consumed_in_any_pieces_is_the_stream(
            max in 1..20_000_usize,
            pieces in prop::collection::vec((0..9_000_usize, 0..9_000_usize), 1..40),
        ) {
            let (mut input, mut read, mut consumed) = (ReadBuf::default(), 0_usize, 0_usize);
            for (offered, taken) in pieces {
                let space = input.space(max);
                let bytes = offered.min(space.len());
                space[..bytes].iter_mut().for_each(|byte| {
                    *byte = read as u8;
                    read += 1;
                });
                input.add(bytes);
                prop_assert_eq!(input.len(), read - consumed);
                prop_assert!(input.buffer.len() <= max && input.buffer.capacity() <= max);
                prop_assert_eq!(input.space(max).is_empty(), input.len() == max);
                let left = input.len() - taken.min(input.len());
                input.keep_last(left);
                consumed = read - left;
                let expected = (consumed..read).map(|byte| byte as u8);
                prop_assert!(input.unread().iter().copied().eq(expected));
            }
        }
    }

    #[test]
    fn output_progress_counts_from_the_last_deadline() {
        let mut unsent = PendingOutput::default();
        unsent.append((vec![0; 100], 10));
        unsent.advance(9);
        assert!(!unsent.has_progressed(10));
        unsent.advance(1);
        assert!(unsent.has_progressed(10));
        assert!(!unsent.has_progressed(10));
        unsent.advance(80);
        assert!(unsent.is_empty());
        assert_eq!(unsent.buffer.capacity(), 0);
    }
}
