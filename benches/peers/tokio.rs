//! tokio on its current-thread runtime: a task per connection, one write for each read.
//!
//! Only the drivers that are needed run (I/O and time). Input and replies are buffers that each
//! task owns and reuses.
//!
//! What it lacks: deadlines, a limit on connections, names or unfinished lines, checks of names, a
//! drain, counters, logs.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, TcpStream};

mod wire;
use wire::Then;

fn main() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(accept_forever())
}

async fn accept_forever() -> io::Result<()> {
    tokio::spawn(exit_with(stdin()?));
    let listener = wire::listen()?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream))),
            // Out of descriptors, most likely: someone has to leave first.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Stdin as a pipe that the runtime watches: a thread for it would make each system call dearer,
/// because the kernel must count references to descriptors that threads share.
fn stdin() -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)
        .map_err(|error| io::Error::other(format!("stdin must be a pipe: {error}")))
}

async fn exit_with(mut stdin: pipe::Receiver) {
    // An error is an end, too.
    while let Ok(1..) = stdin.read(&mut [0; 256]).await {}
    std::process::exit(0);
}

async fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(wire::GREETING).await?;
    let (mut input, mut replies) = (Vec::with_capacity(READ_SIZE), Vec::new());
    loop {
        input.reserve(READ_SIZE);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let then = wire::answer(&mut input, &mut replies);
        stream.write_all(&replies).await?;
        replies.clear();
        if then == Then::Close {
            return Ok(());
        }
    }
}

const READ_SIZE: usize = 4096;
