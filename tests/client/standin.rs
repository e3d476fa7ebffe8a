//! Stand-ins for a server: a thread that accepts one connection and follows a script.
//!
//! The most important script is the tutorial's server, which knows no newline and takes one read
//! for one name.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use oneloop_client::wire::{GOOD_BYE, HELLO, QUESTION, WELCOME};

/// No wait of any test is longer: a failure fails, and does not hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server for one connection, with a script that returns a `T`.
pub(crate) struct Standin<T> {
    address: SocketAddr,
    result: Receiver<T>,
}

impl<T: Send + 'static> Standin<T> {
    pub(crate) fn start(script: impl FnOnce(TcpStream) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        Self::serve(listener, script)
    }

    /// Returns `None` if this machine does not have the address.
    pub(crate) fn try_start_at(
        address: &str,
        script: impl FnOnce(TcpStream) -> T + Send + 'static,
    ) -> Option<Self> {
        TcpListener::bind(address)
            .ok()
            .map(|listener| Self::serve(listener, script))
    }

    fn serve(listener: TcpListener, script: impl FnOnce(TcpStream) -> T + Send + 'static) -> Self {
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let (sender, result) = mpsc::channel();
        thread::spawn(move || {
            let (peer, _) = listener.accept().expect("the client connects");
            peer.set_read_timeout(Some(PATIENCE))
                .expect("the wait is not zero");
            peer.set_write_timeout(Some(PATIENCE))
                .expect("the wait is not zero");
            // The test may have seen enough.
            let _ = sender.send(script(peer));
        });
        Self { address, result }
    }

    /// Returns the address in the form for the command line.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits for the result of the script.
    #[track_caller]
    pub(crate) fn result(self) -> T {
        self.result
            .recv_timeout(PATIENCE)
            .expect("the script of the stand-in ends well and in time")
    }
}

/// How the messages of a server are spread over segments.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delivery {
    /// One send for one message, which the kernel may hold back and merge: the tutorial's server.
    Sends,
    /// One segment for one message.
    Segments,
    /// All messages that can be sent are sent at once.
    Coalesced,
    /// One segment for one byte.
    Bytes,
}

pub(crate) const DELIVERIES: [Delivery; 4] = [
    Delivery::Sends,
    Delivery::Segments,
    Delivery::Coalesced,
    Delivery::Bytes,
];

/// Starts the tutorial's server. Its script returns the bytes of each read.
pub(crate) fn tutorial(delivery: Delivery) -> Standin<Vec<Vec<u8>>> {
    Standin::start(move |mut peer| {
        let nodelay = !matches!(delivery, Delivery::Sends);
        peer.set_nodelay(nodelay).expect("the socket is open");
        let mut names = Vec::new();
        deliver(
            &mut peer,
            delivery,
            &[WELCOME.as_bytes(), QUESTION.as_bytes()],
        );
        loop {
            let name = read_once(&mut peer);
            names.push(name.clone());
            if name.is_empty() {
                return names;
            }
            if name == b"exit" {
                deliver(&mut peer, delivery, &[GOOD_BYE.as_bytes()]);
                return names;
            }
            let hello = [HELLO.as_bytes(), &name, b"!\n"].concat();
            deliver(&mut peer, delivery, &[&hello, QUESTION.as_bytes()]);
        }
    })
}

/// Starts a server that sends `words` and then closes in good order.
pub(crate) fn speaker(words: impl Into<Vec<u8>>) -> Standin<()> {
    let words = words.into();
    Standin::start(move |mut peer| say(&mut peer, &words))
}

/// Starts a server that sends `words` and then nothing, until the client closes.
pub(crate) fn staller(words: impl Into<Vec<u8>>) -> Standin<()> {
    let words = words.into();
    Standin::start(move |mut peer| {
        say(&mut peer, &words);
        read_to_end(&mut peer);
    })
}

/// Sends `words` unless the client has closed.
pub(crate) fn say(peer: &mut TcpStream, words: impl AsRef<[u8]>) {
    let _ = peer.write_all(words.as_ref());
}

/// Returns the bytes of one read: none if the client has closed.
pub(crate) fn read_once(peer: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    let count = peer.read(&mut bytes).unwrap_or(0);
    bytes.truncate(count);
    bytes
}

/// Returns all bytes that the client sends until it closes, in good order or not.
pub(crate) fn read_to_end(peer: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _: io::Result<usize> = peer.read_to_end(&mut bytes);
    bytes
}

fn deliver(peer: &mut TcpStream, delivery: Delivery, messages: &[&[u8]]) {
    match delivery {
        Delivery::Sends | Delivery::Segments => {
            for message in messages {
                say(peer, message);
            }
        }
        Delivery::Coalesced => say(peer, messages.concat()),
        Delivery::Bytes => {
            for byte in messages.concat() {
                say(peer, [byte]);
            }
        }
    }
}
