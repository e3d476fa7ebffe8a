//! Chapter 5: where a name ends. One read is one name, or framing by line and by silence.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use oneloop_book::Variant;

fn main() -> io::Result<()> {
    let (listener, variant) = oneloop_book::listen()?;
    let gap = Duration::from_millis(oneloop_book::number(3, 30));
    loop {
        let (stream, _) = listener.accept()?;
        let names = Names {
            stream: stream.try_clone()?,
            received: Vec::new(),
            gap,
        };
        thread::spawn(move || converse(stream, names, variant));
    }
}

fn converse(mut stream: TcpStream, mut names: Names, variant: Variant) -> io::Result<()> {
    stream.write_all(b"Welcome!\n")?;
    loop {
        stream.write_all(b"What's your name?")?;
        let name = match variant {
            Variant::Broken => names.one_read()?,
            _ => names.next()?,
        };
        match name.as_deref() {
            None => return Ok(()),
            Some(b"exit") => return stream.write_all(b"Good bye!\n"),
            Some(name) => stream.write_all(&[b"Hello ", name, b"!\n"].concat())?,
        }
    }
}

struct Names {
    stream: TcpStream,
    received: Vec<u8>,
    gap: Duration,
}

impl Names {
    // ANCHOR: broken
    /// Takes one read for one name, as the tutorial does.
    fn one_read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut chunk = [0; 1024];
        let count = self.stream.read(&mut chunk)?;
        Ok((count > 0).then(|| chunk[..count].to_vec()))
    }
    // ANCHOR_END: broken

    // ANCHOR: mended
    /// Returns the bytes before a line feed; without one, the bytes before a silence.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let name = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
                return Ok(Some(name.to_vec()));
            }
            if self.received.len() > 1024 {
                return Err(ErrorKind::InvalidData.into());
            }
            // Only a name that has begun can be ended by silence.
            let patience = (!self.received.is_empty()).then_some(self.gap);
            self.stream.set_read_timeout(patience)?;
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) if self.received.is_empty() => return Ok(None),
                Ok(0) => return Ok(Some(mem::take(&mut self.received))),
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error) if is_silence(&error) => return Ok(Some(mem::take(&mut self.received))),
                Err(error) => return Err(error),
            }
        }
    }
    // ANCHOR_END: mended
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
