//! mio's own TCP example, extended into a server.
//!
//! Connections are in a `HashMap`. Each readable event reads into a new vector until `WouldBlock`. A
//! reply registers the connection for writing, writes when it is writable, and registers it for
//! reading again. Unlike the example, it survives errors of a connection and continues short
//! writes: otherwise it could not be measured.
//!
//! Not implemented: deadlines; limits on connections, names or unfinished lines; checks of names; a
//! drain; counters; logs. Out of descriptors, it stops accepting until the next connect.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};

#[cfg(not(unix))]
mod stdin_thread;
mod wire;
use wire::Then;

/// One connection, with the replies that the kernel has not taken.
struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    owed: Vec<u8>,
    then: Then,
}

fn main() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    watch_stdin(poll.registry())?;
    let mut listener = listen(poll.registry())?;
    let mut connections = HashMap::new();
    let mut next_token = FIRST_CONNECTION;
    loop {
        if let Err(error) = poll.poll(&mut events, None) {
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        for event in &events {
            match event.token() {
                LISTENER => accept_all(
                    &mut listener,
                    poll.registry(),
                    &mut connections,
                    &mut next_token,
                ),
                STDIN => exit_if_stdin_ended(),
                token => serve(poll.registry(), &mut connections, token, event),
            }
        }
    }
}

#[cfg(unix)]
fn watch_stdin(registry: &Registry) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let stdin = io::stdin().as_raw_fd();
    registry
        .register(&mut mio::unix::SourceFd(&stdin), STDIN, Interest::READABLE)
        .map_err(|error| io::Error::other(format!("stdin must be a pipe or a terminal: {error}")))
}

#[cfg(not(unix))]
fn watch_stdin(_: &Registry) -> io::Result<()> {
    stdin_thread::exit_with_stdin();
    Ok(())
}

fn exit_if_stdin_ended() {
    // Blocking is fine: only the end is ever sent, and the event reported it.
    if !matches!(io::stdin().read(&mut [0; 256]), Ok(1..)) {
        std::process::exit(0);
    }
}

fn listen(registry: &Registry) -> io::Result<TcpListener> {
    let listener = wire::listen()?;
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    Ok(listener)
}

fn accept_all(
    listener: &mut TcpListener,
    registry: &Registry,
    connections: &mut HashMap<Token, Connection>,
    next_token: &mut Token,
) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                let token = *next_token;
                *next_token = Token(token.0 + 1);
                // A connection that cannot be registered is dropped, which closes it.
                if let Ok(connection) = Connection::open(stream, registry, token) {
                    connections.insert(token, connection);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => return,
        }
    }
}

fn serve(
    registry: &Registry,
    connections: &mut HashMap<Token, Connection>,
    token: Token,
    event: &Event,
) {
    let Some(connection) = connections.get_mut(&token) else {
        return;
    };
    let done = connection.on_event(registry, event).unwrap_or(true);
    if done && let Some(mut connection) = connections.remove(&token) {
        // Closing the socket deregisters it in any case.
        let _ = registry.deregister(&mut connection.stream);
    }
}

impl Connection {
    fn open(mut stream: TcpStream, registry: &Registry, token: Token) -> io::Result<Self> {
        registry.register(&mut stream, token, Interest::WRITABLE)?;
        Ok(Self {
            stream,
            input: Vec::new(),
            owed: wire::GREETING.to_vec(),
            then: Then::GoOn,
        })
    }

    /// Returns true if the connection is done.
    fn on_event(&mut self, registry: &Registry, event: &Event) -> io::Result<bool> {
        if event.is_writable() && !self.owed.is_empty() {
            return self.flush(registry, event.token());
        }
        if event.is_readable() && self.owed.is_empty() {
            return self.read(registry, event.token());
        }
        Ok(false)
    }

    fn flush(&mut self, registry: &Registry, token: Token) -> io::Result<bool> {
        while !self.owed.is_empty() {
            match self.stream.write(&self.owed) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.owed.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.then == Then::Close {
            return Ok(true);
        }
        registry.reregister(&mut self.stream, token, Interest::READABLE)?;
        Ok(false)
    }

    fn read(&mut self, registry: &Registry, token: Token) -> io::Result<bool> {
        let ended = self.read_until_would_block()?;
        if wire::answer(&mut self.input, &mut self.owed) == Then::Close || ended {
            self.then = Then::Close;
        }
        if self.owed.is_empty() {
            return Ok(ended);
        }
        registry.reregister(&mut self.stream, token, Interest::WRITABLE)?;
        Ok(false)
    }

    /// Returns true if the peer has finished sending.
    fn read_until_would_block(&mut self) -> io::Result<bool> {
        let mut received = vec![0; 4096];
        let mut length = 0;
        let ended = loop {
            match self.stream.read(&mut received[length..]) {
                Ok(0) => break true,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if length == received.len() {
                received.resize(length + 1024, 0);
            }
        };
        self.input.extend_from_slice(&received[..length]);
        Ok(ended)
    }
}

const STDIN: Token = Token(0);
const LISTENER: Token = Token(1);
const FIRST_CONNECTION: Token = Token(2);
