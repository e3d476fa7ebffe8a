//! A buffer for copied output.

/// A buffer that is filled from the front.
#[derive(Debug, Default)]
pub(super) struct Filled {
    /// Fully initialised.
    pub(super) buffer: Box<[u8]>,
    pub(super) filled: usize,
}

impl Filled {
    pub(super) fn with_space(bytes: usize) -> Self {
        Self {
            buffer: vec![0; bytes].into(),
            filled: 0,
        }
    }

    /// Appends all parts, or none if the buffer is too short.
    #[inline(always)]
    pub(super) fn try_append<const PARTS: usize>(&mut self, parts: [&[u8]; PARTS]) -> bool {
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

    /// Makes space for `bytes` more: at least doubles the buffer, up to `max`.
    pub(super) fn make_space(&mut self, bytes: usize, max: usize) {
        if self.buffer.len() - self.filled >= bytes {
            return;
        }
        let length = (self.filled + bytes).max(2 * self.buffer.len()).min(max);
        let mut buffer = std::mem::take(&mut self.buffer).into_vec();
        buffer.reserve_exact(length - buffer.len());
        buffer.resize(length, 0);
        self.buffer = buffer.into();
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.buffer[..self.filled]
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
}
