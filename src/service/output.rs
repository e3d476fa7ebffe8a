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
    #[inline]
    pub(crate) fn append<const PARTS: usize>(&mut self, parts: [&[u8]; PARTS]) -> bool {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let Some(mut room) = self.buffer[self.filled..].get_mut(..bytes) else {
            return false;
        };
        for part in parts {
            let (here, behind) = room.split_at_mut(part.len());
            here.copy_from_slice(part);
            room = behind;
        }
        self.filled += bytes;
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
