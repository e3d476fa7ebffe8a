//! The output of a step.

use std::fmt;

/// A buffer that is filled from the front, with a mark and a hard maximum.
#[derive(Debug)]
pub(crate) struct WriteBuf {
    /// Fully initialised; `mark` bytes long unless a step has written more.
    buffer: Box<[u8]>,
    filled: usize,
    mark: usize,
    max: usize,
    overflowed: bool,
}

impl WriteBuf {
    pub(crate) fn new(mark: usize, max: usize) -> Self {
        Self {
            buffer: vec![0; mark].into(),
            filled: 0,
            mark,
            max,
            overflowed: false,
        }
    }

    /// Appends all parts. Beyond the maximum it appends none, and sets `overflowed`.
    #[inline(always)]
    pub(crate) fn append<const PARTS: usize>(&mut self, parts: [&[u8]; PARTS]) {
        if !self.try_append(parts) {
            self.append_growing(&std::hint::black_box(parts));
        }
    }

    #[cold]
    #[inline(never)]
    fn append_growing(&mut self, parts: &[&[u8]]) {
        if self.make_room(parts.iter().map(|part| part.len()).sum()) {
            for part in parts {
                self.try_append([part]);
            }
        }
    }

    /// Appends all parts, or none if the buffer is too short.
    #[inline(always)]
    fn try_append<const PARTS: usize>(&mut self, parts: [&[u8]; PARTS]) -> bool {
        let mut room = &mut self.buffer[self.filled..];
        for part in parts {
            let Some((here, behind)) = room.split_at_mut_checked(part.len()) else {
                return false; // `filled` is unchanged
            };
            copy(part, here);
            room = behind;
        }
        let unfilled = room.len();
        self.filled = self.buffer.len() - unfilled;
        true
    }

    /// Grows the buffer for `bytes` more. Returns false if that would exceed the maximum.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, bytes: usize) -> bool {
        if self.overflowed || self.max_room() < bytes {
            // Partial output is never sent, and no more is accepted.
            self.overflow();
            return false;
        }
        let length = (self.filled + bytes).max(2 * self.buffer.len());
        let length = length.min(self.max);
        let mut buffer = std::mem::take(&mut self.buffer).into_vec();
        buffer.reserve_exact(length - buffer.len());
        buffer.resize(length, 0);
        self.buffer = buffer.into();
        true
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Clears the contents and the overflow, and frees memory beyond the mark.
    pub(crate) fn reset(&mut self) {
        self.filled = 0;
        self.overflowed = false;
        if self.buffer.len() != self.mark {
            self.buffer = vec![0; self.mark].into();
        }
    }

    /// Begins a step with another mark and maximum. The memory is used again.
    pub(crate) fn begin(&mut self, mark: usize, max: usize) {
        (self.mark, self.max) = (mark, max);
        self.filled = 0;
        self.overflowed = false;
    }

    /// Discards the output as too much.
    pub(crate) fn overflow(&mut self) {
        self.overflowed = true;
        self.buffer = Box::default();
        self.filled = 0;
    }

    /// Takes the bytes from `sent` on, and clears the buffer. A large buffer is moved, not copied.
    pub(crate) fn take_from(&mut self, sent: usize) -> (Vec<u8>, usize) {
        let unsent = self.filled - sent;
        if self.buffer.len() > self.mark && unsent > self.filled / 2 {
            let buffer = std::mem::replace(&mut self.buffer, vec![0; self.mark].into());
            let mut buffer = buffer.into_vec();
            buffer.truncate(self.filled);
            buffer.shrink_to_fit();
            self.filled = 0;
            return (buffer, sent);
        }
        let rest = self.as_slice()[sent..].to_vec();
        self.reset();
        (rest, 0)
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Returns how many more bytes fit below the mark.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.mark.saturating_sub(self.filled)
    }

    /// Returns how many more bytes fit below the maximum.
    pub(crate) fn max_room(&self) -> usize {
        self.max.saturating_sub(self.filled)
    }

    /// Returns how many bytes were written.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    /// Returns true if the output exceeded the maximum.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.overflowed
    }
}

impl fmt::Write for WriteBuf {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.append([text.as_bytes()]);
        Ok(())
    }
}

/// Copies bytes. Short slices avoid the call that `copy_from_slice` makes, which costs more than
/// the copy.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    match from.len() {
        8..=16 => copy_ends::<8>(from, to),
        4..8 => copy_ends::<4>(from, to),
        _ => to.copy_from_slice(from),
    }
}

/// Copies the first and the last `N` bytes: everything, up to `2 * N` bytes. They agree where they
/// overlap.
#[inline(always)]
fn copy_ends<const N: usize>(from: &[u8], to: &mut [u8]) {
    if let (Some(head), Some(to_head)) = (from.first_chunk::<N>(), to.first_chunk_mut()) {
        *to_head = *head;
    }
    if let (Some(tail), Some(to_tail)) = (from.last_chunk::<N>(), to.last_chunk_mut()) {
        *to_tail = *tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_of_every_length_is_whole() {
        for length in 0..40 {
            let from: Vec<u8> = (1..=length).collect();
            let mut to = vec![0; from.len()];
            copy(&from, &mut to);
            assert_eq!(to, from);
        }
    }

    #[test]
    fn output_up_to_the_maximum_is_kept_in_order() {
        for length in 0..=64_u8 {
            let mut output = WriteBuf::new(7, 64);
            let expected: Vec<u8> = (0..length).collect();
            expected.chunks(3).for_each(|part| output.append([part]));
            assert_eq!(output.as_slice(), expected);
            assert!(!output.has_overflowed());
            assert!(output.buffer.len() <= 64);
            for sent in 0..=expected.len() {
                let mut output = WriteBuf::new(7, 64);
                output.append([&expected]);
                let (kept, from) = output.take_from(sent);
                assert_eq!(kept[from..], expected[sent..]);
                assert_eq!((output.as_slice().len(), output.buffer.len()), (0, 7));
            }
        }
    }

    #[test]
    fn output_beyond_the_maximum_overflows_until_reset() {
        let mut output = WriteBuf::new(4, 8);
        output.append([b"abcdefgh"]);
        assert!(!output.has_overflowed());
        output.append([b"i"]);
        assert!(output.has_overflowed());
        output.reset();
        assert!(!output.has_overflowed());
        assert_eq!(output.room(), 4);
    }
}
