//! Buffered input and pending output of a connection.

use std::collections::VecDeque;

use crate::service::{Chunk, Segment, Time};

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
    /// The session's own maximum, for the message at hand.
    raised_max: Option<usize>,
}

/// Buffers of long messages that were consumed, for the next long ones.
///
/// The kernel provides the pages of a new buffer one by one, and glibc's allocator returns them when
/// the buffer is freed. That costs several times as much as to receive the message.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    buffers: Vec<Vec<u8>>,
    /// The length of all buffers.
    bytes: usize,
}

/// Output that the operating system has not taken yet: a queue of segments.
#[derive(Debug, Default)]
pub(crate) struct PendingOutput {
    /// None of them is empty.
    segments: VecDeque<Segment>,
    /// The length of all segments.
    unsent: usize,
    /// The bytes sent since the write deadline was set.
    sent_since_deadline: usize,
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
        self.input.buffer.capacity() + self.output.capacity()
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

    /// Returns true if there is no space for more: there are `max` unread bytes, or as many as the
    /// raised maximum.
    pub(crate) fn is_full(&self, max: usize) -> bool {
        self.len() >= self.raised_max.unwrap_or(max)
    }

    /// Raises the maximum until input is consumed.
    pub(crate) fn raise_max(&mut self, max: Option<usize>) {
        if max.is_some() && !self.is_empty() {
            self.raised_max = max;
        }
    }

    /// Drops all but the last `left` unread bytes, and frees memory far beyond that.
    pub(crate) fn keep_last(&mut self, left: usize) {
        if left < self.len() {
            self.raised_max = None;
        }
        self.start = self.end - left;
        if left == 0 {
            *self = Self::default();
        } else if self.buffer.len() > READ_AT_LEAST && left < self.buffer.len() / 8 {
            self.buffer = self.unread().to_vec();
            (self.start, self.end) = (0, left);
        }
    }

    /// Returns space to read into, behind the unread bytes; empty if it [is
    /// full](Self::is_full).
    ///
    /// The buffer doubles, so a byte is copied about once on its way to `max`, or is replaced by a
    /// spare one. When it cannot grow any more, the unread bytes are moved to its front.
    pub(crate) fn space(&mut self, max: usize, spares: &mut Spares) -> &mut [u8] {
        let max = self.raised_max.unwrap_or(max).max(self.len());
        let behind = self.buffer.len() - self.end;
        if behind < READ_AT_LEAST.min(max - self.len()) {
            if self.start >= self.len() || self.buffer.len() >= max {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.len());
            }
            let wanted = (2 * self.buffer.len()).max(self.end + READ_AT_LEAST);
            let wanted = wanted.min(max);
            if wanted > self.buffer.len() {
                match spares.take(wanted) {
                    Some(spare) => self.move_to(spare),
                    None => self.grow_to(wanted),
                }
            }
        }
        // After a raised maximum the buffer may be longer.
        let end = self.buffer.len().min(self.start + max);
        &mut self.buffer[self.end..end]
    }

    fn grow_to(&mut self, length: usize) {
        self.buffer.reserve_exact(length - self.buffer.len());
        self.buffer.resize(length, 0);
    }

    fn move_to(&mut self, mut buffer: Vec<u8>) {
        buffer[..self.len()].copy_from_slice(self.unread());
        (self.start, self.end) = (0, self.len());
        self.buffer = buffer;
    }

    /// Takes the buffer, when all of it was consumed.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self).buffer
    }

    /// Counts the first `bytes` of the [`space`](Self::space) as unread input.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.end += bytes;
    }
}

impl Spares {
    /// Keeps a buffer, if it is long and there is room for it.
    pub(crate) fn keep(&mut self, buffer: Vec<u8>) {
        let bytes = buffer.len();
        if bytes >= SPARE_AT_LEAST && bytes <= SPARES_MAX - self.bytes {
            self.bytes += bytes;
            self.buffers.push(buffer);
        }
    }

    /// Takes the buffer that was kept last, of those that have at least `bytes` bytes. One that is
    /// much longer stays: a peer that stops in the middle of its message would hold it.
    fn take(&mut self, bytes: usize) -> Option<Vec<u8>> {
        let lengths = bytes..=bytes.saturating_mul(SPARE_TIMES_MAX);
        let fits = |buffer: &Vec<u8>| lengths.contains(&buffer.len());
        let buffer = self.buffers.remove(self.buffers.iter().rposition(fits)?);
        self.bytes -= buffer.len();
        Some(buffer)
    }
}

impl PendingOutput {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.unsent == 0
    }

    /// Returns the number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.unsent
    }

    /// Returns the bytes, in consecutive slices.
    #[cfg(test)]
    pub(crate) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter().map(Segment::as_slice)
    }

    /// Returns the bytes, in the chunks to write.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = Chunk<'_>> {
        self.segments.iter().map(Segment::as_chunk)
    }

    /// Appends a segment behind the pending ones. Short owned segments in a row share a buffer.
    pub(crate) fn append(&mut self, segment: Segment) {
        let added = segment.as_slice();
        if added.is_empty() {
            return;
        }
        self.unsent += added.len();
        let is_owned = matches!(segment, Segment::Owned { .. });
        let segment = match self.segments.back_mut() {
            Some(Segment::Owned { bytes, .. }) if is_owned => {
                if bytes.capacity() - bytes.len() >= added.len() {
                    return bytes.extend_from_slice(added);
                }
                segment.with_space(SEGMENT_AT_LEAST)
            }
            _ => segment,
        };
        if self.segments.is_empty() {
            self.segments.reserve_exact(1); // usually it is the only one
        }
        self.segments.push_back(segment);
    }

    /// Removes the first `bytes` bytes, which were sent.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.unsent -= bytes;
        self.sent_since_deadline += bytes;
        let mut sent = bytes;
        while let Some(first) = self.segments.front_mut() {
            let length = first.as_slice().len();
            if sent < length {
                return first.advance(sent);
            }
            sent -= length;
            self.segments.pop_front();
        }
        *self = Self::default();
    }

    /// Returns true, once, when `enough` bytes were sent since the last such call.
    pub(crate) fn has_progressed(&mut self, enough: usize) -> bool {
        let progressed = self.sent_since_deadline >= enough;
        if progressed {
            self.sent_since_deadline = 0;
        }
        progressed
    }

    /// Returns the number of bytes allocated for this connection alone.
    fn capacity(&self) -> usize {
        let segments = self.segments.iter().map(Segment::capacity);
        self.segments.capacity() * size_of::<Segment>() + segments.sum::<usize>()
    }
}

/// The least space of an owned segment behind another one, so that more can share it.
const SEGMENT_AT_LEAST: usize = 4096;
/// The least space for reading behind unread input, while the buffer may grow.
const READ_AT_LEAST: usize = 4096;
/// The shortest spare buffer: shorter ones cost little, since the allocator keeps their pages.
const SPARE_AT_LEAST: usize = 128 * 1024;
/// The most bytes of all spare buffers.
const SPARES_MAX: usize = 8 * 1024 * 1024;
/// How many times as long as needed a spare buffer may be.
const SPARE_TIMES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn input_read_and_consumed_in_any_pieces_is_the_stream(
            max in 1..20_000_usize,
            pieces in prop::collection::vec(
                (0..9_000_usize, 0..9_000_usize, prop::option::weighted(0.1, 0..40_000_usize)),
                1..40,
            ),
        ) {
            let (mut input, mut read, mut consumed) = (ReadBuf::default(), 0_usize, 0_usize);
            let spares = &mut Spares::default();
            let (mut most, mut longest) = (max, max);
            for (offered, taken, raised) in pieces {
                let space = input.space(max, spares);
                let bytes = offered.min(space.len());
                space[..bytes].iter_mut().for_each(|byte| {
                    *byte = read as u8;
                    read += 1;
                });
                input.add(bytes);
                prop_assert_eq!(input.len(), read - consumed);
                prop_assert!(input.len() <= most);
                prop_assert!(input.buffer.capacity() <= longest);
                prop_assert_eq!(input.is_full(max), input.len() >= most);
                prop_assert_eq!(input.space(max, spares).is_empty(), input.is_full(max));
                let left = input.len() - taken.min(input.len());
                input.keep_last(left);
                if consumed != read - left {
                    consumed = read - left;
                    most = max.max(left);
                }
                if let Some(raised) = raised.filter(|&raised| raised > max) {
                    input.raise_max(Some(raised));
                    if left > 0 {
                        most = raised.max(left);
                        longest = longest.max(most);
                    }
                }
                let expected = (consumed..read).map(|byte| byte as u8);
                prop_assert!(input.unread().iter().copied().eq(expected));
            }
        }
    }

    /// Reads `bytes` into the space of a full read, or as much as fits.
    fn read(input: &mut ReadBuf, max: usize, bytes: usize) -> usize {
        read_with(input, max, bytes, &mut Spares::default())
    }

    fn read_with(input: &mut ReadBuf, max: usize, bytes: usize, spares: &mut Spares) -> usize {
        let space = input.space(max, spares);
        let read = bytes.min(space.len());
        space[..read].fill(1);
        input.add(read);
        read
    }

    #[test]
    fn message_of_1_mb_in_pieces_of_64_kb_is_moved_at_most_once() {
        const MESSAGE: usize = 1_000_000;
        const PIECE: usize = 64 * 1024;
        let mut input = ReadBuf::default();
        // The first read uses the loop's buffer.
        input.set(&[1; 8 * 1024]);
        input.raise_max(Some(MESSAGE));
        let mut moved = 8 * 1024;
        while input.len() < MESSAGE {
            let (place, length) = (input.unread().as_ptr(), input.len());
            let mut piece = PIECE.min(MESSAGE - length);
            while piece > 0 {
                piece -= read(&mut input, 8 * 1024, piece);
            }
            if input.unread().as_ptr() != place {
                moved += length;
            }
        }
        assert!(input.is_full(8 * 1024));
        assert!(input.buffer.capacity() <= MESSAGE);
        assert!(moved <= MESSAGE, "{moved} bytes were moved");
    }

    /// Reads a message of `bytes` bytes, each of them 1, without consuming it.
    fn read_message(bytes: usize, spares: &mut Spares) -> ReadBuf {
        let mut input = ReadBuf::default();
        input.set(&[1; 64 * 1024]);
        while input.len() < bytes {
            let left = bytes - input.len();
            read_with(&mut input, 16 << 20, left.min(64 * 1024), spares);
        }
        input
    }

    #[test]
    fn second_long_message_is_read_into_the_buffer_of_the_first() {
        let mut spares = Spares::default();
        for other in [1_000_000, 999_999, 600_000] {
            let mut first = read_message(1_000_000, &mut spares);
            let place = first.unread().as_ptr();
            let mut buffer = first.take();
            assert!(first.is_empty());
            buffer.fill(2);
            spares.keep(buffer);
            let mut second = read_message(other, &mut spares);
            assert_eq!(second.unread().as_ptr(), place);
            assert_eq!(second.unread(), vec![1; other]);
            assert_eq!(spares.bytes, 0);
            spares.keep(second.take());
        }
    }

    #[test]
    fn spare_buffers_are_long_and_bounded_together() {
        let mut spares = Spares::default();
        spares.keep(vec![0; SPARE_AT_LEAST - 1]);
        assert_eq!(spares.buffers.len(), 0);
        spares.keep(vec![0; SPARES_MAX + 1]);
        assert_eq!(spares.buffers.len(), 0);
        for _ in 0..20 {
            spares.keep(vec![0; 1 << 20]);
        }
        assert_eq!((spares.buffers.len(), spares.bytes), (8, SPARES_MAX));
        assert!(spares.take((1 << 20) + 1).is_none());
        assert!(spares.take((1 << 17) - 1).is_none(), "it is much longer");
        for left in (0..8).rev() {
            assert!(spares.take(1 << 17).is_some());
            assert_eq!(spares.bytes, left << 20);
        }
        assert!(spares.take(1 << 17).is_none());
    }

    #[test]
    fn raised_maximum_falls_back_when_input_is_consumed() {
        let mut input = ReadBuf::default();
        input.raise_max(Some(100)); // nothing to hold it for
        input.set(&[1; 10]);
        assert!(input.is_full(10));
        input.raise_max(Some(15));
        assert!(!input.is_full(10));
        input.keep_last(10);
        assert_eq!(read(&mut input, 10, 100), 5);
        assert!(input.is_full(10));
        // More unread input than the maximum leaves no space, and is not lost.
        input.keep_last(12);
        assert!(input.is_full(10));
        assert_eq!(read(&mut input, 10, 100), 0);
        assert_eq!(input.unread(), [1; 12]);
        input.keep_last(3);
        assert_eq!(read(&mut input, 10, 100), 7);
    }

    fn owned(bytes: &[u8]) -> Segment {
        Segment::Owned {
            bytes: bytes.to_vec(),
            start: 0,
        }
    }

    #[test]
    fn output_progress_counts_from_the_last_deadline() {
        let mut unsent = PendingOutput::default();
        unsent.append(Segment::Owned {
            bytes: vec![0; 100],
            start: 10,
        });
        unsent.advance(9);
        assert!(!unsent.has_progressed(10));
        unsent.advance(1);
        assert!(unsent.has_progressed(10));
        assert!(!unsent.has_progressed(10));
        unsent.advance(80);
        assert!(unsent.is_empty());
        assert_eq!(unsent.capacity(), 0);
    }

    proptest! {
        #[test]
        fn output_appended_and_sent_in_any_pieces_is_the_stream(
            pieces in prop::collection::vec(
                (0..6_000_usize, prop::bool::ANY, 0..9_000_usize),
                1..40,
            ),
        ) {
            let (mut output, mut written, mut sent) = (PendingOutput::default(), 0_usize, 0);
            for (length, is_shared, taken) in pieces {
                let bytes: Vec<u8> = (written..written + length).map(|byte| byte as u8).collect();
                written += length;
                output.append(match is_shared {
                    true => Segment::Shared(bytes.into()),
                    false => owned(&bytes),
                });
                let taken = taken.min(output.len());
                output.advance(taken);
                sent += taken;
                prop_assert_eq!(output.len(), written - sent);
                prop_assert_eq!(output.is_empty(), written == sent);
                let expected = (sent..written).map(|byte| byte as u8);
                prop_assert!(output.slices().flatten().copied().eq(expected));
                prop_assert!(output.slices().all(|slice| !slice.is_empty()));
            }
        }

        /// A stream that is never empty must not keep what was sent.
        #[test]
        fn output_appended_as_fast_as_it_is_sent_takes_no_more_memory(
            length in 1..3_000_usize,
        ) {
            let mut output = PendingOutput::default();
            output.append(owned(&vec![0; 3_000]));
            for _ in 0..1_000 {
                output.append(owned(&vec![0; length]));
                output.advance(length);
                prop_assert!(output.capacity() <= 3_000 + 4 * SEGMENT_AT_LEAST);
            }
        }
    }
}
