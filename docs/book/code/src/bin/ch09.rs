//! Chapter 9: a deadline for each name, in a sorted map. Each byte moves it, or only a whole name.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use oneloop_book::Variant;
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);

// ANCHOR: loop
fn main() -> io::Result<()> {
    let (listener, variant) = oneloop_book::listen()?;
    let patience = Duration::from_millis(oneloop_book::number(3, 10_000));
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(256);
    let mut server = Server {
        connections: Slab::new(),
        deadlines: BTreeSet::new(),
        patience,
    };
    loop {
        match poll.poll(&mut events, server.until_next_deadline()) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept_all(&listener, poll.registry())?,
                Token(key) => server.read(key, variant),
            }
        }
        server.end_overdue();
    }
}
// ANCHOR_END: loop

struct Server {
    connections: Slab<Connection>,
    deadlines: BTreeSet<(Instant, usize)>,
    patience: Duration,
}

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    deadline: Instant,
}

impl Server {
    // ANCHOR: map
    fn until_next_deadline(&self) -> Option<Duration> {
        let (first, _) = self.deadlines.first()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    fn set_deadline(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        self.deadlines.remove(&(connection.deadline, key));
        connection.deadline = Instant::now() + self.patience;
        self.deadlines.insert((connection.deadline, key));
    }

    fn end_overdue(&mut self) {
        let now = Instant::now();
        while let Some(&(deadline, key)) = self.deadlines.first() {
            if deadline > now {
                return;
            }
            let _ = self.connections[key].send(b"You took too long. Good bye!\n");
            self.end(key);
        }
    }
    // ANCHOR_END: map

    // ANCHOR: read
    fn read(&mut self, key: usize, variant: Variant) {
        loop {
            let Ok(progress) = self.connections[key].read() else {
                return self.end(key);
            };
            match progress {
                Progress::Nothing => return,
                Progress::Bytes if variant == Variant::Broken => self.set_deadline(key),
                Progress::Bytes => {}
                Progress::Name => self.set_deadline(key),
            }
        }
    }
    // ANCHOR_END: read

    fn end(&mut self, key: usize) {
        let connection = self.connections.remove(key);
        self.deadlines.remove(&(connection.deadline, key));
    }

    fn accept_all(&mut self, listener: &TcpListener, registry: &Registry) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let token = Token(self.connections.vacant_key());
            registry.register(&mut stream, token, Interest::READABLE)?;
            let key = self.connections.insert(Connection {
                stream,
                unread: Vec::new(),
                deadline: Instant::now(),
            });
            self.set_deadline(key);
            let _ = self.connections[key].send(b"Welcome!\nWhat's your name?");
        }
    }
}

enum Progress {
    Nothing,
    Bytes,
    Name,
}

impl Connection {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads once. The end of the stream and `exit` are errors here: both end the connection.
    fn read(&mut self) -> io::Result<Progress> {
        let mut chunk = [0; 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Nothing),
            Err(error) => return Err(error),
        }
        let mut progress = Progress::Bytes;
        while let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            if line == b"exit\n" {
                self.send(b"Good bye!\n")?;
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.send(&[b"Hello ", &line[..end], b"!\nWhat's your name?"].concat())?;
            progress = Progress::Name;
        }
        Ok(progress)
    }
}
