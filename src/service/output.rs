//! Room for what a step writes.

/// A buffer of fixed size, filled from the front.
#[derive(Debug)]
pub(crate) struct Output {
    buffer: Box<[u8]>,
    filled: usize,
}

impl Output {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            buffer: vec![0; bytes_max].into(),
            filled: 0,
        }
    }

    /// Appends all parts, or none if they do not fit.
    #[inline(always)]
    pub(crate) fn append<const PARTS: usize>(&mut self, parts: [&[u8]; PARTS]) -> bool {
        let mut room = &mut self.buffer[self.filled..];
        for part in parts {
            let Some((here, behind)) = room.split_at_mut_checked(part.len()) else {
                return false; // what was copied so far does not count
            };
            copy(part, here);
            room = behind;
        }
        let unfilled = room.len();
        self.filled = self.buffer.len() - unfilled;
        true
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.buffer.len() - self.filled
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.buffer.len()
    }
}

/// Copies bytes; short ones without the call that `copy_from_slice` makes of it, which costs more
/// than copying them does.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    match from.len() {
        8..=16 => copy_ends::<8>(from, to),
        4..8 => copy_ends::<4>(from, to),
        _ => to.copy_from_slice(from),
    }
}

/// Copies the first and the last `N` bytes, and so all if there are no more than twice that many.
/// Where the two overlap they agree.
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
    fn bytes_of_every_length_are_copied_whole() {
        for length in 0..40 {
            let from: Vec<u8> = (1..=length).collect();
            let mut to = vec![0; from.len()];
            copy(&from, &mut to);
            assert_eq!(to, from);
        }
    }
}
