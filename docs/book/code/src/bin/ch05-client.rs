//! Chapter 5: the client. One read is one message, or it reads until a message is whole.

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

const QUESTION: &[u8] = b"What's your name?";

// ANCHOR: main
/// Runs as `ch05-client broken|mended ADDRESS NAME...`.
fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let is_broken = arguments.next().as_deref() == Some("broken");
    let address = arguments.next().unwrap_or("127.0.0.1:6000".to_owned());
    let mut server = Server {
        stream: TcpStream::connect(address)?,
        received: Vec::new(),
    };
    let show = |server: &mut Server| -> io::Result<()> {
        let message = match is_broken {
            true => server.one_read()?,
            false => server.next()?,
        };
        println!("{}", String::from_utf8_lossy(&message).trim_end());
        Ok(())
    };
    show(&mut server)?; // the welcome
    show(&mut server)?; // the question
    for name in arguments {
        server.stream.write_all(name.as_bytes())?;
        show(&mut server)?; // the reply
        if name == "exit" {
            break;
        }
        show(&mut server)?; // the question
    }
    Ok(())
}
// ANCHOR_END: main

struct Server {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Server {
    // ANCHOR: broken
    /// Takes one read for one message, as the tutorial does.
    fn one_read(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = [0; 1024];
        let count = self.stream.read(&mut chunk)?;
        Ok(chunk[..count].to_vec())
    }
    // ANCHOR_END: broken

    // ANCHOR: mended
    /// Returns the next line, or the question, which has no line feed.
    fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if self.received.starts_with(QUESTION) {
                return Ok(self.received.drain(..QUESTION.len()).collect());
            }
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                return Ok(self.received.drain(..=end).collect());
            }
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.received.extend_from_slice(&chunk[..count]),
            }
        }
    }
    // ANCHOR_END: mended
}
