//! Standard error as a stream that never blocks: a file, a pipe, a terminal or a socket.

use std::fs::File;
use std::io;

/// Standard error, written without blocking.
#[derive(Debug)]
pub(super) enum Stream {
    /// A regular file: writing to it does not wait for a reader.
    File(File),
    /// A pipe or a terminal, opened once more: the flag `O_NONBLOCK` then concerns this program
    /// alone, and not the shell and everything else that writes to the same pipe or terminal.
    #[cfg(target_os = "linux")]
    Reopened(File),
    /// A socket, as under journald; each call asks not to block.
    #[cfg(unix)]
    Socket(File),
    /// A pipe or a terminal that cannot be opened again: asked first whether it takes more.
    #[cfg(unix)]
    Polled(File),
    /// A system without any of these.
    #[cfg(not(unix))]
    Blocking(io::Stderr),
}

#[cfg(unix)]
impl Stream {
    /// Opens standard error.
    ///
    /// # Errors
    /// If standard error is closed.
    pub(super) fn open() -> io::Result<Self> {
        use std::os::fd::AsFd;
        use std::os::unix::fs::FileTypeExt;

        let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        Ok(if kind.is_file() {
            Self::File(file)
        } else if kind.is_socket() {
            Self::Socket(file)
        } else {
            Self::reopened().unwrap_or(Self::Polled(file))
        })
    }

    #[cfg(target_os = "linux")]
    fn reopened() -> Option<Self> {
        use nix::libc::{O_NOCTTY, O_NONBLOCK};
        use std::os::unix::fs::OpenOptionsExt;

        let mut options = File::options();
        options.write(true).custom_flags(O_NONBLOCK | O_NOCTTY);
        options.open("/proc/self/fd/2").ok().map(Self::Reopened)
    }

    /// Returns `None`: elsewhere, a stream that is opened so shares its flags with the original.
    #[cfg(not(target_os = "linux"))]
    fn reopened() -> Option<Self> {
        None
    }

    /// Writes a part of `bytes` and returns its length.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is no room now.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        use std::io::Write;

        match self {
            Self::File(file) => {
                let mut file = file;
                file.write(bytes)
            }
            #[cfg(target_os = "linux")]
            Self::Reopened(file) => {
                let mut file = file;
                file.write(bytes)
            }
            Self::Socket(file) => {
                socket2::SockRef::from(file).send_with_flags(bytes, nix::libc::MSG_DONTWAIT)
            }
            Self::Polled(file) => {
                if !self.wait_for_room(0) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let mut file = file;
                file.write(&bytes[..bytes.len().min(POLLED_BYTES_MAX)])
            }
        }
    }

    /// Waits for room to write, at most so many milliseconds. Returns `true` if there is room.
    pub(super) fn wait_for_room(&self, milliseconds: u16) -> bool {
        use nix::poll::{PollFd, PollFlags, poll};

        let mut descriptors = [PollFd::new(self.descriptor(), PollFlags::POLLOUT)];
        poll(&mut descriptors, milliseconds).is_ok_and(|ready| ready > 0)
    }

    /// Returns the descriptor, to be woken when it becomes writable.
    pub(super) fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        use std::os::fd::AsFd;

        match self {
            Self::File(file) | Self::Socket(file) | Self::Polled(file) => file.as_fd(),
            #[cfg(target_os = "linux")]
            Self::Reopened(file) => file.as_fd(),
        }
    }

    /// Returns `true` if `JOURNAL_STREAM` names this very stream: journald reads it.
    pub(super) fn is_journal(&self) -> bool {
        use std::os::unix::fs::MetadataExt;

        let Self::Socket(file) = self else {
            return false;
        };
        let Ok(named) = std::env::var("JOURNAL_STREAM") else {
            return false;
        };
        file.metadata()
            .is_ok_and(|data| named == format!("{}:{}", data.dev(), data.ino()))
    }
}

#[cfg(not(unix))]
impl Stream {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self::Blocking(io::stderr()))
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        use std::io::Write;

        let (Self::File(_) | Self::Blocking(_)) = self;
        io::stderr().write(bytes)
    }

    pub(super) fn wait_for_room(&self, _: u16) -> bool {
        false
    }

    pub(super) fn is_journal(&self) -> bool {
        false
    }
}

/// A pipe that can be written takes this much without blocking on every system (POSIX's
/// `PIPE_BUF`).
#[cfg(unix)]
const POLLED_BYTES_MAX: usize = 512;
