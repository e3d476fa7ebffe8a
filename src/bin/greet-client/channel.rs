//! The connection as the conversation sees it: bytes in and out, encrypted or not.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// A connection that one thread reads and another one writes.
#[derive(Debug)]
pub(crate) enum Channel {
    /// The bytes are those of the socket.
    Plain(TcpStream),
    /// The bytes are encrypted on the socket.
    #[cfg(feature = "tls")]
    Encrypted(Box<crate::tls::TlsStream>),
}

impl Channel {
    /// Waits for some bytes. Returns 0 at the end of the server's stream.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => (&mut &*stream).read(buffer),
            #[cfg(feature = "tls")]
            Self::Encrypted(stream) => stream.read(buffer),
        }
    }

    /// Sends all bytes, in one write if that is possible: a server may take one read for one name.
    pub(crate) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => (&mut &*stream).write_all(bytes),
            #[cfg(feature = "tls")]
            Self::Encrypted(stream) => stream.write_all(bytes),
        }
    }
}
