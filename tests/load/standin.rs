//! A server that stands in for a real one: correct, except where a test wants it not to be.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::{GOOD_BYE, QUESTION, WELCOME, reply};

/// One connection of a stand-in.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
    served: Arc<AtomicUsize>,
}

/// A server on a free port that handles each connection in a thread of its own. The threads end
/// with their connections, the listener with the test program.
#[derive(Debug)]
pub(crate) struct Standin {
    pub(crate) address: SocketAddr,
    served: Arc<AtomicUsize>,
}

impl Standin {
    /// Starts a server that calls `handle` for each connection.
    pub(crate) fn start(handle: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let served = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&served);
        let handle = Arc::new(handle);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (handle, served) = (Arc::clone(&handle), Arc::clone(&counter));
                let stream = BufReader::new(stream.expect("a connection"));
                thread::spawn(move || handle(&mut Peer { stream, served }));
            }
        });
        Self { address, served }
    }

    /// Returns the number of answers so far, over all connections.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

impl Peer {
    /// Sends the welcome and the first question.
    pub(crate) fn welcome(&mut self) {
        self.send(WELCOME);
        self.send(QUESTION);
    }

    /// Answers correctly until the peer leaves.
    pub(crate) fn serve(&mut self) {
        self.serve_names(usize::MAX);
    }

    /// Answers so many names correctly, or fewer if the peer leaves.
    pub(crate) fn serve_names(&mut self, names: usize) {
        for _ in 0..names {
            match self.read_name() {
                Some(name) if name != "exit" => self.answer(&name),
                Some(_) => return self.send(GOOD_BYE),
                None => return,
            }
        }
    }

    /// Answers correctly until the peer leaves, and waits before each answer.
    pub(crate) fn serve_slowly(&mut self, each: Duration) {
        while let Some(name) = self.read_name() {
            if name == "exit" {
                return self.send(GOOD_BYE);
            }
            thread::sleep(each);
            self.answer(&name);
        }
    }

    /// Reads the next name; `None` at the end of the stream.
    pub(crate) fn read_name(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(bytes) if bytes > 0 => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }

    /// Answers a name.
    pub(crate) fn answer(&mut self, name: &str) {
        self.served.fetch_add(1, Ordering::Relaxed);
        self.send(&reply(name));
    }

    /// Sends bytes, if the peer is still connected.
    pub(crate) fn send(&mut self, words: &str) {
        let _ = self.stream.get_mut().write_all(words.as_bytes());
    }

    /// Lets the connection end with a reset.
    pub(crate) fn reset(&mut self) {
        let socket = socket2::SockRef::from(self.stream.get_ref());
        socket
            .set_linger(Some(Duration::ZERO))
            .expect("a socket can be reset");
    }

    /// Reads and does not answer until the peer leaves.
    pub(crate) fn ignore(&mut self) {
        while self.read_name().is_some() {}
    }
}
