//! The output of a step.

use std::fmt;

use super::filled::Filled;
use super::segment::{Chunk, Segment};
use super::shared::Shared;

/// The output of a step, with a mark and a hard maximum.
///
/// Nearly every step has plain output: copied bytes below the mark, in `plain`. In every other form
/// `plain` is empty and has no space, so each operation on it takes its slow path, and the fast paths
/// need not know the form.
#[derive(Debug)]
pub(crate) struct WriteBuf {
    plain: Filled,
    form: Form,
    /// The part of the mark that is left for `plain`.
    mark_left: usize,
    /// The length of earlier output that is pending. It takes up a part of the mark.
    pending: usize,
    /// True if there is no room, although the output is below the mark.
    is_full: bool,
    mixed: Mixed,
    mark: usize,
    max: usize,
}

/// The form of a step's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Copied bytes, fewer than the mark: `WriteBuf::plain`.
    Plain,
    /// Copied and shared bytes, or up to the mark and more: `WriteBuf::mixed`.
    Mixed,
    /// More than the maximum. Partial output is never sent, and no more is accepted.
    Overflowed,
}

/// Copied bytes, with shared bytes among them.
#[derive(Debug, Default)]
struct Mixed {
    copied: Filled,
    shared: Vec<Placed>,
    /// The length of all shared bytes.
    shared_bytes: usize,
}

/// Shared bytes, behind the first `behind` copied ones.
#[derive(Debug)]
struct Placed {
    behind: usize,
    bytes: Shared,
}

impl WriteBuf {
    pub(crate) fn new(mark: usize, max: usize) -> Self {
        Self {
            plain: Filled::with_space(mark - 1),
            form: Form::Plain,
            mark_left: mark,
            pending: 0,
            is_full: false,
            mixed: Mixed::default(),
            mark,
            max,
        }
    }

    /// Appends all parts. Beyond the maximum it appends none, and the output has overflowed.
    #[inline(always)]
    pub(crate) fn append<const PARTS: usize>(&mut self, parts: [&[u8]; PARTS]) {
        if !self.plain.try_append(parts) {
            self.append_slowly(&std::hint::black_box(parts));
        }
    }

    #[cold]
    #[inline(never)]
    fn append_slowly(&mut self, parts: &[&[u8]]) {
        let bytes = parts.iter().map(|part| part.len()).sum();
        if !self.accept(bytes) {
            return;
        }
        self.leave_plain();
        let copied = &mut self.mixed.copied;
        copied.make_space(bytes, self.max);
        for part in parts {
            copied.try_append([part]);
        }
        self.update_mark_left();
    }

    /// Appends shared bytes without a copy, if they are worth it.
    pub(crate) fn append_shared(&mut self, bytes: Shared) {
        if bytes.len() < SHARED_AT_LEAST {
            return self.append([&bytes]);
        }
        if self.accept(bytes.len()) {
            self.leave_plain();
            self.mixed.shared_bytes += bytes.len();
            let behind = self.mixed.copied.filled;
            self.mixed.shared.push(Placed { behind, bytes });
            self.update_mark_left();
        }
    }

    /// Returns true if `bytes` more are within the maximum; otherwise the output has overflowed.
    fn accept(&mut self, bytes: usize) -> bool {
        if self.form == Form::Overflowed || self.max - self.len() < bytes {
            self.overflow();
            return false;
        }
        true
    }

    /// Discards the output, and all that follows, as more than the maximum.
    pub(crate) fn overflow(&mut self) {
        self.plain = Filled::default();
        self.mixed = Mixed::default();
        self.form = Form::Overflowed;
    }

    /// Leaves the plain form, so that the step ends on the slow path.
    pub(crate) fn leave_plain(&mut self) {
        if self.form == Form::Plain {
            self.mixed.copied = std::mem::take(&mut self.plain);
            self.form = Form::Mixed;
            self.update_mark_left();
        }
    }

    /// Leaves no room, as if the output had reached the mark.
    pub(crate) fn leave_no_room(&mut self) {
        self.is_full = true;
        self.leave_plain();
        self.update_mark_left();
    }

    /// Sets the length of earlier output that is pending.
    pub(crate) fn set_pending(&mut self, bytes: usize) {
        self.pending = bytes;
        self.update_mark_left();
    }

    fn update_mark_left(&mut self) {
        let beside_plain = match self.form {
            Form::Mixed => self.len(),
            Form::Plain | Form::Overflowed => 0,
        };
        self.mark_left = match self.is_full {
            true => 0,
            false => self.mark.saturating_sub(self.pending + beside_plain),
        };
    }

    /// Clears plain output.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.plain.filled = 0;
    }

    /// Clears the contents and the overflow, and frees memory beyond the mark.
    pub(crate) fn reset(&mut self) {
        if self.form == Form::Mixed {
            self.plain = std::mem::take(&mut self.mixed.copied);
            self.mixed.shared.clear();
            self.mixed.shared_bytes = 0;
        }
        self.form = Form::Plain;
        (self.mark_left, self.pending) = (self.mark, 0);
        self.is_full = false;
        self.plain.filled = 0;
        if self.plain.buffer.len() != self.mark - 1 {
            self.plain = Filled::with_space(self.mark - 1);
        }
    }

    /// Clears the contents and sets another mark and maximum. Most memory is used again.
    pub(crate) fn begin(&mut self, mark: usize, max: usize) {
        (self.mark, self.max) = (mark, max);
        if self.form == Form::Mixed {
            self.plain = std::mem::take(&mut self.mixed.copied);
        }
        (self.mixed, self.form) = (Mixed::default(), Form::Plain);
        (self.mark_left, self.pending) = (mark, 0);
        self.is_full = false;
        self.plain.filled = 0;
        if self.plain.buffer.len() > max.min(REUSED_BYTES_MAX) {
            self.plain = Filled::default();
        }
    }

    /// Passes the output from byte `sent` on to `keep`, and clears it. A large buffer is moved, not
    /// copied.
    pub(crate) fn take_from(&mut self, sent: usize, mut keep: impl FnMut(Segment)) {
        let copied = &mut self.mixed.copied;
        let most_is_unsent = copied.filled - sent.min(copied.filled) > copied.filled / 2;
        if self.mixed.shared.is_empty() && copied.buffer.len() > self.mark && most_is_unsent {
            let mut bytes = std::mem::take(&mut copied.buffer).into_vec();
            bytes.truncate(copied.filled);
            bytes.shrink_to_fit();
            keep(Segment::Owned { bytes, start: sent });
        } else {
            let mut skipped = sent;
            for piece in self.pieces() {
                let sent = skipped.min(piece.as_slice().len());
                skipped -= sent;
                piece.keep_from(sent, &mut keep);
            }
        }
        self.reset();
    }

    /// Returns plain output; nothing in every other form.
    #[inline]
    pub(crate) fn as_plain(&self) -> &[u8] {
        self.plain.as_slice()
    }

    /// Returns true if all of the output is [plain](Self::as_plain).
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.form == Form::Plain
    }

    /// Returns the output, in consecutive slices; nothing after an overflow.
    pub(crate) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces()
            .map(Piece::as_slice)
            .filter(|slice| !slice.is_empty())
    }

    /// Returns the output, in the chunks to write; nothing after an overflow.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = Chunk<'_>> {
        let is_empty = |piece: &Piece<'_>| piece.as_slice().is_empty();
        let pieces = self.pieces().filter(move |piece| !is_empty(piece));
        pieces.map(|piece| match piece {
            Piece::Copied(bytes) => Chunk::Bytes(bytes),
            Piece::Shared(shared) => Chunk::of(shared),
        })
    }

    fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let copied = match self.form {
            Form::Mixed => self.mixed.copied.as_slice(),
            Form::Plain | Form::Overflowed => self.plain.as_slice(),
        };
        let shared = self.mixed.shared.iter();
        let ends = shared.map(|placed| (placed.behind, Some(&placed.bytes)));
        let mut from = 0;
        ends.chain([(copied.len(), None)])
            .flat_map(move |(end, shared)| {
                let before = &copied[from..end];
                from = end;
                [Some(Piece::Copied(before)), shared.map(Piece::Shared)]
            })
            .flatten()
    }

    /// Returns how many more bytes fit below the mark.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.mark_left.saturating_sub(self.plain.filled)
    }

    /// Returns how many more bytes fit below the maximum.
    pub(crate) fn max_room(&self) -> usize {
        self.max.saturating_sub(self.pending + self.len())
    }

    /// Returns true if earlier output is pending.
    pub(crate) fn has_pending(&self) -> bool {
        self.pending > 0
    }

    /// Returns how many bytes were written.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self.form {
            Form::Plain => self.plain.filled,
            Form::Mixed => self.mixed.copied.filled + self.mixed.shared_bytes,
            Form::Overflowed => 0,
        }
    }

    /// Returns true if the output exceeded the maximum.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.form == Form::Overflowed
    }
}

impl fmt::Write for WriteBuf {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.append([text.as_bytes()]);
        Ok(())
    }
}

/// A piece of a step's output.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Copied(&'a [u8]),
    Shared(&'a Shared),
}

impl<'a> Piece<'a> {
    fn as_slice(self) -> &'a [u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    /// Passes the bytes from `start` on to `keep`, if there are any.
    fn keep_from(self, start: usize, mut keep: impl FnMut(Segment)) {
        match self {
            Self::Copied(bytes) if start < bytes.len() => keep(Segment::Owned {
                bytes: bytes[start..].to_vec(),
                start: 0,
            }),
            Self::Shared(bytes) if start < bytes.len() => {
                keep(Segment::Shared(bytes.slice(start..)));
            }
            Self::Copied(_) | Self::Shared(_) => {}
        }
    }
}

/// The least length at which shared bytes are not copied: a reference costs about as much.
const SHARED_AT_LEAST: usize = 256;

/// The largest buffer of a nested output that is kept for the next step.
const REUSED_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes the output from byte `sent` on.
    fn take(output: &mut WriteBuf, sent: usize) -> Vec<Segment> {
        let mut taken = Vec::new();
        output.take_from(sent, |segment| taken.push(segment));
        taken
    }

    fn joined(segments: &[Segment]) -> Vec<u8> {
        segments
            .iter()
            .flat_map(Segment::as_slice)
            .copied()
            .collect()
    }

    #[test]
    fn output_up_to_the_maximum_is_kept_in_order() {
        for length in 0..=64_u8 {
            let mut output = WriteBuf::new(7, 64);
            let expected: Vec<u8> = (0..length).collect();
            expected.chunks(3).for_each(|part| output.append([part]));
            assert_eq!(
                output.slices().flatten().copied().collect::<Vec<_>>(),
                expected
            );
            assert_eq!(output.is_plain(), length < 7);
            assert!(!output.has_overflowed());
            assert!(output.mixed.copied.buffer.len() <= 64);
            for sent in 0..=expected.len() {
                let mut output = WriteBuf::new(7, 64);
                output.append([&expected]);
                let kept = take(&mut output, sent);
                assert_eq!(joined(&kept), expected[sent..]);
                assert_eq!((output.len(), output.plain.buffer.len()), (0, 6));
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
        output.append([b""]);
        assert_eq!(output.slices().count(), 0);
        output.reset();
        assert!(!output.has_overflowed());
        assert_eq!(output.room(), 4);
    }

    #[test]
    fn shared_output_counts_to_the_maximum() {
        let shared = Shared::from(vec![b's'; 500]);
        let mut output = WriteBuf::new(600, 1000);
        output.append([b"front"]);
        output.append_shared(shared.clone());
        assert_eq!((output.room(), output.len()), (95, 505));
        output.append([&[b'c'; 490]]);
        assert_eq!((output.room(), output.len()), (0, 995));
        output.append([b"front"]);
        assert!(!output.has_overflowed());
        output.append([b"!"]);
        assert!(output.has_overflowed());
        output.reset();
        output.append_shared(shared.clone());
        output.append_shared(shared.clone());
        assert!(!output.has_overflowed());
        output.append_shared(shared.clone());
        assert!(output.has_overflowed());
        output.append_shared(shared);
        output.reset();
        assert_eq!(
            (output.room(), output.len(), output.is_plain()),
            (600, 0, true)
        );
    }

    #[test]
    fn short_shared_bytes_are_copied_and_long_ones_are_not() {
        let shared = Shared::from(vec![b's'; 2000]);
        let mut output = WriteBuf::new(4000, 4000);
        output.append_shared(shared.slice(..SHARED_AT_LEAST - 1));
        assert_eq!(output.as_plain().len(), SHARED_AT_LEAST - 1);
        output.append_shared(shared.slice(..SHARED_AT_LEAST));
        assert!(output.as_plain().is_empty());
        let kept = take(&mut output, 1);
        assert_eq!(kept[0].as_slice().len(), SHARED_AT_LEAST - 2);
        assert!(kept[0].capacity() > 0);
        assert_eq!(kept[1].as_slice().as_ptr(), shared.as_ptr());
        assert_eq!(kept[1].capacity(), 0);
    }

    proptest! {
        #[test]
        fn output_of_any_pieces_is_kept_whole_from_any_byte(
            mark in 1..3_000_usize,
            pieces in prop::collection::vec((0..1_000_usize, prop::bool::ANY), 0..12),
            sent in 0..=12_000_usize,
        ) {
            let (mut output, mut expected) = (WriteBuf::new(mark, 12_000), Vec::new());
            for (number, &(length, is_shared)) in pieces.iter().enumerate() {
                let bytes = vec![number as u8; length];
                expected.extend_from_slice(&bytes);
                match is_shared {
                    true => output.append_shared(bytes.into()),
                    false => output.append([&bytes]),
                }
                prop_assert_eq!(output.len(), expected.len());
                prop_assert_eq!(output.room(), mark.saturating_sub(expected.len()));
            }
            prop_assert_eq!(&output.slices().flatten().copied().collect::<Vec<_>>(), &expected);
            prop_assert!(output.slices().all(|slice| !slice.is_empty()));
            let sent = sent.min(expected.len());
            prop_assert_eq!(&joined(&take(&mut output, sent)), &expected[sent..]);
            prop_assert!(output.is_plain() && output.len() == 0);
            prop_assert_eq!((output.room(), output.plain.buffer.len()), (mark, mark - 1));
        }
    }
}
