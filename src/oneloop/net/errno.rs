//! Error numbers that std does not name.
//!
//! Numbers below 35 are the same on every Unix. Not a part of the public interface: `oneloop-sim`
//! injects these errors.

pub use numbers::*;

#[cfg(not(windows))]
mod numbers {
    const LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));
    const SOLARIS: bool = cfg!(any(target_os = "illumos", target_os = "solaris"));

    /// The descriptor is not open.
    pub const EBADF: i32 = 9;
    /// The call is not valid for this socket.
    pub const EINVAL: i32 = 22;
    /// The system has no free descriptor.
    pub const ENFILE: i32 = 23;
    /// The process has no free descriptor.
    pub const EMFILE: i32 = 24;
    /// The connection is in progress.
    pub const EINPROGRESS: i32 = pick(115, 150, 36);
    /// The descriptor is not a socket.
    pub const ENOTSOCK: i32 = pick(88, 95, 38);
    /// The kernel has no memory for buffers.
    pub const ENOBUFS: i32 = pick(105, 132, 55);

    const fn pick(linux: i32, solaris: i32, bsd: i32) -> i32 {
        if LINUX {
            linux
        } else if SOLARIS {
            solaris
        } else {
            bsd
        }
    }
}

/// Winsock's error numbers.
#[cfg(windows)]
mod numbers {
    /// The descriptor is not open.
    pub const EBADF: i32 = 10009;
    /// The call is not valid for this socket.
    pub const EINVAL: i32 = 10022;
    /// The process has no free descriptor.
    pub const EMFILE: i32 = 10024;
    /// The connection is in progress.
    pub const EINPROGRESS: i32 = 10036;
    /// The descriptor is not a socket.
    pub const ENOTSOCK: i32 = 10038;
    /// The kernel has no memory for buffers.
    pub const ENOBUFS: i32 = 10055;
    /// Not an error of Windows: a number that it does not use.
    pub const ENFILE: i32 = EMFILE + 100_000;
}
