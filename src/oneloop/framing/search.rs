//! The search for a delimiter, and its progress.

/// How far the unread input was searched without finding the end of a message.
///
/// A session stores one for each framing that searches. Without it, a peer that sends a long
/// message byte by byte would have all of it searched again for each byte. It is zero again when a
/// frame was found or an error returned. A session that consumes input without a frame sets it to
/// [`Scanned::default`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned(u32);

impl Scanned {
    /// Returns the position from which `input` is searched for something of `length` bytes, which
    /// may have begun in the part that was searched before.
    pub(super) fn resume(self, input: &[u8], length: usize) -> usize {
        let searched = usize::try_from(self.0).unwrap_or(usize::MAX);
        searched.min(input.len()).saturating_sub(length - 1)
    }

    /// Stores that `bytes` were searched. Beyond 4 GiB some are searched again.
    pub(super) fn set(&mut self, bytes: usize) {
        self.0 = u32::try_from(bytes).unwrap_or(u32::MAX);
    }
}

/// Returns the position of the first `needle` in `haystack[from..]`.
pub(super) fn find(haystack: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    let window = &haystack[from..];
    let found = match needle {
        [byte] => memchr::memchr(*byte, window),
        _ => memchr::memmem::find(window, needle),
    };
    #[cfg(test)]
    looked_at::add(found.map_or(window.len(), |at| at + needle.len()));
    Some(from + found?)
}

/// The number of bytes searched, counted in tests.
#[cfg(test)]
pub(super) mod looked_at {
    use std::cell::Cell;

    thread_local!(static BYTES: Cell<usize> = const { Cell::new(0) });

    pub(in super::super) fn add(bytes: usize) {
        BYTES.set(BYTES.get() + bytes);
    }

    pub(in super::super) fn take() -> usize {
        BYTES.take()
    }
}
