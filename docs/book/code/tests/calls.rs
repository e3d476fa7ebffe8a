//! Chapter 0: the calls of the tutorial's reference, in Rust, and the errors of each.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

fn any() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

#[test]
fn each_call_alone_makes_a_connection() -> io::Result<()> {
    // ANCHOR: socket
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?; // socket
    listener.set_reuse_address(true)?;
    listener.bind(&any().into())?; // bind: port 0 asks for a free one
    listener.listen(5)?; // listen: five may wait
    let address = listener.local_addr()?;

    let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    client.connect(&address)?; // connect: the handshake
    let (mut connection, _peer) = listener.accept()?; // accept: a third socket
    // ANCHOR_END: socket
    connection.write_all(b"x")?;
    drop(client);
    Ok(())
}

#[test]
fn standard_library_does_three_calls_in_one() -> io::Result<()> {
    // ANCHOR: std
    let listener = TcpListener::bind("127.0.0.1:0")?; // socket, SO_REUSEADDR, bind, listen
    let mut client = TcpStream::connect(listener.local_addr()?)?; // socket, connect
    let (mut connection, peer) = listener.accept()?;
    assert_eq!(peer, client.local_addr()?);

    client.write_all(b"Alice")?; // send, as often as needed
    let mut buffer = [0; 1024];
    let count = connection.read(&mut buffer)?; // recv: 1 to 1024 bytes, or 0 at the end
    assert_eq!(&buffer[..count], b"Alice");

    drop(client); // close
    assert_eq!(connection.read(&mut buffer)?, 0);
    // ANCHOR_END: std
    Ok(())
}

#[test]
fn thread_is_joined() {
    // ANCHOR: thread
    let name = "Alice".to_owned();
    let thread = thread::spawn(move || format!("Hello {name}!")); // Thread and start in one
    assert_eq!(thread.join().unwrap(), "Hello Alice!"); // join returns the result
    // ANCHOR_END: thread
}

#[test]
fn mio_never_waits_but_in_poll() -> io::Result<()> {
    // ANCHOR: mio
    let mut listener = mio::net::TcpListener::bind(any())?;
    let mut poll = Poll::new()?; // epoll_create1
    poll.registry()
        .register(&mut listener, Token(0), Interest::READABLE)?; // epoll_ctl
    let empty = listener.accept().unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::WouldBlock); // nothing to accept, and no waiting

    let client = TcpStream::connect(listener.local_addr()?)?;
    let mut events = Events::with_capacity(8);
    poll.poll(&mut events, Some(Duration::from_secs(60)))?; // epoll_wait
    assert_eq!(events.iter().next().unwrap().token(), Token(0));
    let (_connection, peer) = listener.accept()?;
    assert_eq!(peer, client.local_addr()?);
    // ANCHOR_END: mio
    Ok(())
}

#[test]
fn errors_have_names() -> io::Result<()> {
    // ANCHOR: errors
    let listener = TcpListener::bind(any())?;
    let address = listener.local_addr()?;
    let taken = TcpListener::bind(address).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse); // EADDRINUSE

    drop(listener);
    let nothing_there = TcpStream::connect(address).unwrap_err();
    assert_eq!(nothing_there.kind(), ErrorKind::ConnectionRefused); // ECONNREFUSED
    // ANCHOR_END: errors
    Ok(())
}

#[test]
fn socket_has_buffers_and_two_ends() -> io::Result<()> {
    // ANCHOR: buffers
    let listener = TcpListener::bind(any())?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nonblocking(true)?;
    let mut sent = 0;
    let full = loop {
        match (&client).write(&[0; 65536]) {
            Ok(count) => sent += count, // the kernel has copied this much
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    assert!(sent > 65536); // nothing has read a byte of it, nothing has even accepted
    // ANCHOR_END: buffers
    Ok(())
}
