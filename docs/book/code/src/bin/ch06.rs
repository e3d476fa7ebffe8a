//! Chapter 6: many clients without threads, by asking each socket in turn.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use oneloop_book::Variant;

// ANCHOR: loop
fn main() -> io::Result<()> {
    let (listener, variant) = oneloop_book::listen()?;
    listener.set_nonblocking(true)?;
    let mut connections: Vec<Connection> = Vec::new();
    let mut nap = NAP_MIN;
    loop {
        let mut progress = false;
        match listener.accept() {
            Ok((stream, _)) => {
                connections.extend(Connection::open(stream));
                progress = true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        connections.retain_mut(|connection| match connection.advance() {
            Ok(Advance::Waits) => true,
            Ok(Advance::Progress) => {
                progress = true;
                true
            }
            Ok(Advance::Ended) | Err(_) => false,
        });
        if variant == Variant::Mended {
            nap = if progress { NAP_MIN } else { rest(nap) };
        }
    }
}
// ANCHOR_END: loop

// ANCHOR: rest
const NAP_MIN: Duration = Duration::from_micros(100);
const NAP_MAX: Duration = Duration::from_millis(10);

/// Sleeps because no socket had anything, and longer each time.
fn rest(nap: Duration) -> Duration {
    thread::sleep(nap);
    (nap * 2).min(NAP_MAX)
}
// ANCHOR_END: rest

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

enum Advance {
    Waits,
    Progress,
    Ended,
}

impl Connection {
    fn open(mut stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.write_all(b"Welcome!\nWhat's your name?")?;
        let unread = Vec::new();
        Ok(Self { stream, unread })
    }

    // ANCHOR: advance
    /// Reads once and answers the lines that are complete. Never waits.
    fn advance(&mut self) -> io::Result<Advance> {
        let mut chunk = [0; 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Ok(Advance::Ended),
            Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Advance::Waits),
            Err(error) => return Err(error),
        }
        while let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            if line == b"exit\n" {
                self.stream.write_all(b"Good bye!\n")?;
                return Ok(Advance::Ended);
            }
            let reply = [b"Hello ", &line[..end], b"!\nWhat's your name?"].concat();
            self.stream.write_all(&reply)?;
        }
        Ok(Advance::Progress)
    }
    // ANCHOR_END: advance
}
