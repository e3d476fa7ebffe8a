//! Chapter 4: a thread for each client, without and with a limit.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use oneloop_book::Variant;

fn main() -> io::Result<()> {
    let (listener, variant) = oneloop_book::listen()?;
    match variant {
        Variant::Broken => serve_all(&listener),
        _ => serve_some(&listener),
    }
}

// ANCHOR: broken
fn serve_all(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        thread::spawn(move || converse(stream));
    }
}
// ANCHOR_END: broken

// ANCHOR: mended
const THREADS_MAX: usize = 32;

fn serve_some(listener: &TcpListener) -> io::Result<()> {
    let running = Arc::new(AtomicUsize::new(0));
    loop {
        let (mut stream, _) = listener.accept()?;
        if running.load(Ordering::Relaxed) == THREADS_MAX {
            let _ = stream.write(b"Sorry, the server is full. Please try again later.\n");
            continue;
        }
        let seat = Seat::take(&running);
        let work = move || {
            let _seat = seat; // given back however the conversation ends
            converse(stream)
        };
        if let Err(error) = thread::Builder::new().spawn(work) {
            eprintln!("no thread for a client: {error}");
        }
    }
}

struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(running: &Arc<AtomicUsize>) -> Self {
        running.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(running))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
// ANCHOR_END: mended

// ANCHOR: converse
fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"Welcome!\nWhat's your name?")?;
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer)?;
        match &buffer[..count] {
            b"" => return Ok(()),
            b"exit" => return stream.write_all(b"Good bye!\n"),
            name => stream.write_all(&[b"Hello ", name, b"!\nWhat's your name?"].concat())?,
        }
    }
}
// ANCHOR_END: converse
