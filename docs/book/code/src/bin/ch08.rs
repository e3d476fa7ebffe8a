//! Chapter 8: a write may take less than it was given. Lost, kept without end, or pushed back.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use oneloop_book::Variant;
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);

fn main() -> io::Result<()> {
    let (listener, variant) = oneloop_book::listen()?;
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let mut connections: Slab<Connection> = Slab::new();
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
                Token(key) => match connections[key].drive(variant) {
                    Ok(State::Open) => {}
                    Ok(State::Ended) | Err(_) => drop(connections.remove(key)),
                },
            }
        }
    }
}

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
        let entry = connections.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(entry.key()), both)?;
        entry.insert(Connection {
            stream,
            unread: Vec::new(),
            unsent: b"Welcome!\nWhat's your name?".to_vec(),
        });
    }
}

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

enum State {
    Open,
    Ended,
}

impl Connection {
    // ANCHOR: drive
    fn drive(&mut self, variant: Variant) -> io::Result<State> {
        loop {
            match variant {
                Variant::Broken => self.write_and_forget(),
                _ => self.flush()?,
            }
            // Back-pressure: while the client does not read, the server does not either.
            if variant == Variant::Mended && !self.unsent.is_empty() {
                return Ok(State::Open);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(State::Ended),
                Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(State::Open),
                Err(error) => return Err(error),
            }
            self.answer();
        }
    }
    // ANCHOR_END: drive

    // ANCHOR: broken
    /// Writes once. What the socket does not take is lost.
    fn write_and_forget(&mut self) {
        let _ = self.stream.write(&self.unsent);
        self.unsent.clear();
    }
    // ANCHOR_END: broken

    // ANCHOR: flush
    /// Writes as much as the socket takes, and keeps the rest.
    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
    // ANCHOR_END: flush

    fn answer(&mut self) {
        let mut rest = &self.unread[..];
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.unsent.extend_from_slice(b"Hello ");
            self.unsent.extend_from_slice(&rest[..end]);
            self.unsent.extend_from_slice(b"!\nWhat's your name?");
            rest = &rest[end + 1..];
        }
        self.unread = rest.to_vec();
    }
}
