//! The tutorial's design in Rust: a thread per connection, blocking sockets, std alone.
//!
//! Not implemented: deadlines; limits on connections, names, unfinished lines or threads; checks of
//! names; a drain; counters; logs.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

mod stdin_thread;
mod wire;
use wire::Then;

fn main() -> io::Result<()> {
    let listener = wire::listen()?;
    stdin_thread::exit_with_stdin();
    loop {
        match listener.accept() {
            Ok((stream, _)) => serve_in_a_thread(stream),
            // Probably out of descriptors: wait for a connection to close.
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn serve_in_a_thread(stream: TcpStream) {
    // Without a thread for it, the connection is dropped. An error ends its own connection alone.
    let _ = thread::Builder::new().spawn(move || converse(stream));
}

fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(wire::GREETING)?;
    let (mut input, mut replies) = (Vec::new(), Vec::new());
    let mut chunk = [0; 4096];
    loop {
        let count = match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        input.extend_from_slice(&chunk[..count]);
        let then = wire::answer(&mut input, &mut replies);
        stream.write_all(&replies)?;
        replies.clear();
        if then == Then::Close {
            return Ok(());
        }
    }
}
