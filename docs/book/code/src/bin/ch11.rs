//! Chapter 11: no descriptor is left. End the server, or refuse one client.

use std::fs::File;
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
    let mut connections = Slab::new();
    let mut reserve = Reserve::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => {
                    let registry = poll.registry();
                    match variant {
                        Variant::Broken => accept_all(&listener, registry, &mut connections)?,
                        _ => reserve.accept_all(&listener, registry, &mut connections)?,
                    }
                }
                Token(key) => {
                    let connection: &mut Connection = &mut connections[key];
                    if connection.answer_all().is_err() {
                        connections.remove(key);
                    }
                }
            }
        }
    }
}

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
        let _ = stream.write(b"Welcome!\nWhat's your name?");
        let entry = connections.vacant_entry();
        registry.register(&mut stream, Token(entry.key()), Interest::READABLE)?;
        let unread = Vec::new();
        entry.insert(Connection { stream, unread });
    }
}
// ANCHOR_END: accept

// ANCHOR: reserve
/// Holds one descriptor back, so that there is always one to refuse a client with.
struct Reserve(Option<File>);

impl Reserve {
    fn new() -> io::Result<Self> {
        Ok(Self(Some(File::open("/dev/null")?)))
    }

    fn accept_all(
        &mut self,
        listener: &TcpListener,
        registry: &Registry,
        connections: &mut Slab<Connection>,
    ) -> io::Result<()> {
        loop {
            match accept_all(listener, registry, connections) {
                Err(error) if is_out_of_descriptors(&error) => {}
                result => return result,
            }
            match self.refuse(listener) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                result => result?,
            }
        }
    }

    /// Accepts one client with the descriptor held back, and refuses it. Fails with `WouldBlock`
    /// if the queue is empty: without a free descriptor, `accept` reports that in either case.
    fn refuse(&mut self, listener: &TcpListener) -> io::Result<()> {
        self.0 = None;
        let refused = listener.accept().map(|(mut stream, _)| {
            let _ = stream.write(b"Sorry, the server is full. Please try again later.\n");
        });
        *self = Self::new()?;
        refused
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}
// ANCHOR_END: reserve

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Reads all there is, and answers it. Every end is an error here.
    fn answer_all(&mut self) -> io::Result<()> {
        loop {
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            while let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let reply = [b"Hello ", &line[..end], b"!\nWhat's your name?"].concat();
                self.stream.write_all(&reply)?;
            }
        }
    }
}
