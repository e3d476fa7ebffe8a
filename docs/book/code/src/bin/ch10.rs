//! Chapter 10: the end. Close at once, or shut down, discard, and then close.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use oneloop_book::Variant;

fn main() -> io::Result<()> {
    let (listener, variant) = oneloop_book::listen()?;
    loop {
        let (stream, _) = listener.accept()?;
        thread::spawn(move || -> io::Result<()> {
            converse(&stream)?;
            match variant {
                Variant::Broken => drop(stream),
                _ => linger(&stream),
            }
            Ok(())
        });
    }
}

/// Answers lines until `exit`, or until the client has finished.
fn converse(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"Welcome!\nWhat's your name?")?;
    let mut unread = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        unread.extend_from_slice(&chunk[..count]);
        let mut replies = Vec::new();
        while let Some(end) = unread.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            if line == b"exit\n" {
                replies.extend_from_slice(b"Good bye!\n");
                return stream.write_all(&replies);
            }
            replies.extend([b"Hello ", &line[..end], b"!\nWhat's your name?"].concat());
        }
        stream.write_all(&replies)?;
    }
}

// ANCHOR: linger
const LINGER_MAX: Duration = Duration::from_secs(2);
const DISCARD_MAX: usize = 64 * 1024;

/// Ends the sending side, and discards input until the client has ended its own side too.
fn linger(mut stream: &TcpStream) {
    let started = Instant::now();
    let mut discarded = 0;
    let mut chunk = [0; 4096];
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    while discarded < DISCARD_MAX {
        let rest = LINGER_MAX.saturating_sub(started.elapsed());
        // A time-out of zero is an error: the time is over.
        if stream.set_read_timeout(Some(rest)).is_err() {
            return;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(count) => discarded += count,
        }
    }
}
// ANCHOR_END: linger
