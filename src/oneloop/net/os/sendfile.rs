//! Sending from a file, without a copy through the process.

use std::io::{self, IoSlice, Write};
use std::num::NonZeroUsize;

use mio::net::TcpStream;
use socket2::SockRef;

use crate::service::FileSlice;

/// Writes `before`, and then from the file, as if in one system call.
pub(super) fn write(
    stream: &mut TcpStream,
    before: &[IoSlice<'_>],
    slice: FileSlice<'_>,
) -> io::Result<usize> {
    let mut sent = 0;
    if !before.is_empty() {
        let offered: usize = before.iter().map(|slice| slice.len()).sum();
        sent = SockRef::from(&*stream).send_vectored_with_flags(before, MORE_FOLLOWS)?;
        if sent < offered {
            return Ok(sent);
        }
    }
    let length = NonZeroUsize::new(slice.bytes.len());
    let written = match SockRef::from(&*stream).sendfile(slice.file, slice.offset, length) {
        Ok(0) => stream.write(slice.bytes), // the file has become shorter
        written => written,
    };
    match written {
        Ok(bytes) => Ok(sent + bytes),
        // A lasting error comes again.
        Err(_) if sent > 0 => Ok(sent),
        Err(error) => Err(error),
    }
}

/// `MSG_MORE` and `MSG_NOSIGNAL` of send(2): the bytes leave with those that follow, in full
/// segments.
const MORE_FOLLOWS: i32 = 0x8000 | 0x4000;
