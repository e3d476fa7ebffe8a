//! tokio on its current-thread runtime: a task per connection, one write for each read.
//!
//! Only the drivers that are needed run (I/O and time). Input and replies are buffers that each
//! task owns and reuses.
//!
//! Not implemented: deadlines; limits on connections, names or unfinished lines; checks of names; a
//! drain; counters; logs.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[cfg(not(unix))]
mod stdin_thread;
mod wire;
use wire::Then;

fn main() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(accept_forever())
}

async fn accept_forever() -> io::Result<()> {
    exit_with_stdin()?;
    let listener = wire::listen()?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream))),
            // Probably out of descriptors: wait for a connection to close.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Exits at the end of stdin. The runtime reads it, because a thread would make each system call
/// more expensive: the kernel counts references to descriptors that threads share.
#[cfg(unix)]
fn exit_with_stdin() -> io::Result<()> {
    use std::os::fd::AsFd;
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let mut stdin = tokio::net::unix::pipe::Receiver::from_owned_fd(stdin)
        .map_err(|error| io::Error::other(format!("stdin must be a pipe: {error}")))?;
    tokio::spawn(async move {
        // An error is an end, too.
        while let Ok(1..) = stdin.read(&mut [0; 256]).await {}
        std::process::exit(0);
    });
    Ok(())
}

#[cfg(not(unix))]
fn exit_with_stdin() -> io::Result<()> {
    stdin_thread::exit_with_stdin();
    Ok(())
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
