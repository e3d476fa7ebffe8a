//! Shared by the Rust peers: the wire of the greeting protocol and a listener.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};

use oneloop_client::wire;
use socket2::{Domain, Protocol, Socket, Type};

pub(crate) const GREETING: &[u8] = wire::GREETING.as_bytes();

/// The connection's state after its replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    GoOn,
    Close,
}

/// Removes each complete line from `input` and appends the answers to `replies`.
pub(crate) fn answer(input: &mut Vec<u8>, replies: &mut Vec<u8>) -> Then {
    let mut taken = 0;
    while let Some(length) = memchr::memchr(b'\n', &input[taken..]) {
        let line = &input[taken..taken + length];
        let name = line.strip_suffix(b"\r").unwrap_or(line);
        taken += length + 1;
        if name == wire::EXIT.as_bytes() {
            replies.extend_from_slice(wire::GOOD_BYE.as_bytes());
            return Then::Close;
        }
        replies.extend_from_slice(wire::HELLO.as_bytes());
        replies.extend_from_slice(name);
        replies.extend_from_slice(wire::HELLO_END_AND_QUESTION.as_bytes());
    }
    input.drain(..taken);
    Then::GoOn
}

/// Binds a listener to the address in the only argument and prints the local address.
///
/// # Errors
/// If the argument is not an address, or binding fails.
pub(crate) fn listen() -> io::Result<TcpListener> {
    let address = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let Some(address): Option<SocketAddr> = address else {
        return Err(io::Error::other(
            "give an address to listen on, such as 127.0.0.1:0",
        ));
    };
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it, which saves each of them a system call.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on {}", listener.local_addr()?)?;
    stdout.flush()?;
    Ok(listener)
}

/// std and mio listen with a backlog of 128, which a burst of connections overflows.
const BACKLOG: i32 = 4096;
