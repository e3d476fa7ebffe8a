//! Chapter 7: one loop on epoll, through mio. An edge is announced once.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use oneloop_book::Variant;
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);

// ANCHOR: loop
fn main() -> io::Result<()> {
    let (listener, variant) = oneloop_book::listen()?;
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let mut connections = Slab::new();
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => accept_all(&listener, poll.registry(), &mut connections)?,
                Token(key) => {
                    let connection: &mut Connection = &mut connections[key];
                    let outcome = match variant {
                        Variant::Broken => connection.read_once().map(|chunk| chunk.is_end()),
                        _ => connection.read_all(),
                    };
                    if !matches!(outcome, Ok(false)) {
                        connections.remove(key);
                    }
                }
            }
        }
    }
}
// ANCHOR_END: loop

// ANCHOR: accept
fn accept_all(
    listener: &TcpListener,
    registry: &Registry,
    connections: &mut Slab<Connection>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?; // small replies leave at once
        if stream.write(b"Welcome!\nWhat's your name?").is_err() {
            continue; // the client has left already
        }
        let entry = connections.vacant_entry();
        registry.register(&mut stream, Token(entry.key()), Interest::READABLE)?;
        let unread = Vec::new();
        entry.insert(Connection { stream, unread });
    }
}
// ANCHOR_END: accept

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

enum Chunk {
    Bytes,
    Empty,
    End,
}

impl Chunk {
    fn is_end(&self) -> bool {
        matches!(self, Self::End)
    }
}

impl Connection {
    // ANCHOR: read
    /// Reads once and answers. On an edge, that is not enough.
    fn read_once(&mut self) -> io::Result<Chunk> {
        let mut chunk = [0; 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Ok(Chunk::End),
            Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Chunk::Empty),
            Err(error) => return Err(error),
        }
        self.answer()
    }

    /// Reads until the socket is empty, and only then waits for the next edge.
    fn read_all(&mut self) -> io::Result<bool> {
        loop {
            match self.read_once()? {
                Chunk::Bytes => {}
                Chunk::Empty => return Ok(false),
                Chunk::End => return Ok(true),
            }
        }
    }
    // ANCHOR_END: read

    fn answer(&mut self) -> io::Result<Chunk> {
        while let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            if line == b"exit\n" {
                self.stream.write_all(b"Good bye!\n")?;
                return Ok(Chunk::End);
            }
            let reply = [b"Hello ", &line[..end], b"!\nWhat's your name?"].concat();
            self.stream.write_all(&reply)?;
        }
        Ok(Chunk::Bytes)
    }
}
