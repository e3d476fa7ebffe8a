//! Chapter 3: the tutorial's server in blocking Rust. One client at a time, or a thread for each.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use oneloop_book::Variant;

// ANCHOR: accept
fn main() -> io::Result<()> {
    let (listener, variant) = oneloop_book::listen()?;
    loop {
        println!("Waiting for connection...");
        let (stream, peer) = listener.accept()?;
        println!("Accept new connection from {peer}");
        match variant {
            Variant::Broken => serve(stream, peer),
            _ => drop(thread::spawn(move || serve(stream, peer))),
        }
    }
}
// ANCHOR_END: accept

fn serve(stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = converse(stream) {
        println!("Connection from {peer} failed: {error}");
    }
    println!("Connection from {peer} is closed");
}

// ANCHOR: converse
fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"Welcome!\n")?;
    let mut buffer = [0; 1024];
    loop {
        stream.write_all(b"What's your name?")?;
        let count = stream.read(&mut buffer)?;
        match &buffer[..count] {
            b"" => return Ok(()), // the client has finished
            b"exit" => return stream.write_all(b"Good bye!\n"),
            name => stream.write_all(&[b"Hello ", name, b"!\n"].concat())?,
        }
    }
}
// ANCHOR_END: converse
