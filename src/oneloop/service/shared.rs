//! Bytes that several sessions hold without a copy for each.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::{Bound, Deref, RangeBounds};
use std::sync::Arc;

/// Bytes with a reference count: a clone or a slice refers to the same bytes.
///
/// [`Context::write_shared`](super::Context::write_shared) sends them without a copy: a broadcast
/// holds its bytes once, however many sessions wait to send them. They are freed with the last
/// reference; a slice keeps the whole of the bytes that it was taken from.
#[derive(Clone)]
pub struct Shared {
    bytes: Bytes,
    start: usize,
    end: usize,
    /// A file that begins with the bytes.
    file: Option<Arc<File>>,
}

/// The bytes that a [`Shared`] is a part of.
#[derive(Clone)]
enum Bytes {
    /// Beside their reference count, in one allocation.
    Beside(Arc<[u8]>),
    /// In a container.
    Within(Arc<dyn AsRef<[u8]> + Send + Sync>),
}

/// Bytes that are in memory, and in a file from byte `offset` on.
#[derive(Clone, Copy, Debug)]
pub struct FileSlice<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// The file.
    pub file: &'a File,
    /// Where the bytes begin in the file.
    pub offset: usize,
}

impl Shared {
    /// Reads a whole file, and keeps it open to be sent from.
    ///
    /// Where the system can (Linux), its bytes go from the page cache to a socket without a copy:
    /// a third of the processor time for large ones. They are in memory too, for layers that change
    /// the output, and for other systems. The file must not be changed afterwards: a peer would get
    /// the changed bytes.
    ///
    /// ```no_run
    /// # use std::fs::File;
    /// # use oneloop::Shared;
    /// let page = Shared::from_file(File::open("index.html")?)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the error of reading the file.
    pub fn from_file(mut file: File) -> io::Result<Self> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        let file = Some(Arc::new(file));
        Ok(Self {
            file,
            ..bytes.into()
        })
    }

    /// Shares the bytes of any `owner` of some, without a copy: a vector, or a string type of another
    /// crate. It is dropped with the last reference.
    ///
    /// It must return the same bytes each time.
    ///
    /// ```
    /// # use oneloop::Shared;
    /// let shared = Shared::from_owner("twenty bytes of text".to_owned());
    /// assert_eq!(&shared.slice(7..12)[..], b"bytes");
    /// ```
    #[must_use]
    pub fn from_owner(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        let (start, end) = (0, owner.as_ref().len());
        Self {
            bytes: Bytes::Within(Arc::new(owner)),
            start,
            end,
            file: None,
        }
    }

    /// Returns the bytes with their place in the file, if they have one and are worth the system
    /// call.
    pub(crate) fn in_file(&self) -> Option<FileSlice<'_>> {
        let file = self
            .file
            .as_deref()
            .filter(|_| self.len() >= SENT_FROM_FILE_AT_LEAST)?;
        Some(FileSlice {
            bytes: self,
            file,
            offset: self.start,
        })
    }

    /// Returns a part of these bytes, without a copy.
    ///
    /// # Panics
    /// If the range is not within the bytes.
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last + 1,
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len(),
        };
        assert!(
            start <= end && end <= self.len(),
            "the range {start}..{end} is not within {} bytes",
            self.len()
        );
        Self {
            bytes: self.bytes.clone(),
            start: self.start + start,
            end: self.start + end,
            file: self.file.clone(),
        }
    }

    /// Removes the first `bytes` bytes.
    pub(crate) fn advance(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.len(), "no more is sent than there is");
        self.start += bytes;
    }
}

impl Deref for Shared {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all = match &self.bytes {
            Bytes::Beside(bytes) => bytes,
            Bytes::Within(owner) => (**owner).as_ref(),
        };
        &all[self.start..self.end]
    }
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Arc<[u8]>> for Shared {
    fn from(bytes: Arc<[u8]>) -> Self {
        let (start, end) = (0, bytes.len());
        Self {
            bytes: Bytes::Beside(bytes),
            start,
            end,
            file: None,
        }
    }
}

impl From<Vec<u8>> for Shared {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from_owner(bytes)
    }
}

impl From<&[u8]> for Shared {
    /// Copies the bytes once.
    fn from(bytes: &[u8]) -> Self {
        Arc::<[u8]>::from(bytes).into()
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Shared {}

impl fmt::Debug for Shared {
    /// Formats the number of bytes, not the bytes: there may be many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({} bytes)", self.len())
    }
}

/// For fewer bytes, a copy costs less than a system call.
const SENT_FROM_FILE_AT_LEAST: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slice_of_a_slice_is_a_part_of_the_same_bytes() {
        let all = Shared::from((0..100).collect::<Vec<u8>>());
        let part = all.slice(10..=59).slice(..40).slice(5..);
        assert_eq!(*part, *(15..50).collect::<Vec<u8>>());
        assert_eq!(part, all.slice((Bound::Excluded(14), Bound::Excluded(50))));
        assert_eq!(part.as_ptr(), all[15..].as_ptr());
        assert_eq!(all.slice(100..).len(), 0);
    }

    #[test]
    fn file_is_read_whole_and_its_place_is_that_of_the_bytes() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        let bytes: Vec<u8> = (0..100_000_u32).map(|byte| byte as u8).collect();
        io::Write::write_all(&mut file, &bytes).expect("it takes them");
        let shared = Shared::from_file(file).expect("it has them");
        assert_eq!(*shared, *bytes);
        let mut part = shared.slice(10..50_000);
        part.advance(5);
        let slice = part.in_file().expect("it is long");
        assert_eq!((slice.offset, slice.bytes), (15, &bytes[15..50_000]));
        assert!(shared.slice(..1000).in_file().is_none());
        assert!(Shared::from(bytes).in_file().is_none());
    }

    #[test]
    #[should_panic(expected = "the range 0..5 is not within 4 bytes")]
    fn slice_beyond_a_part_panics() {
        let all = Shared::from(&b"0123456789"[..]);
        let _ = all.slice(2..6).slice(..5);
    }
}
