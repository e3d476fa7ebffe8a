//! A server that plays a part: correct, but for what a test makes it do.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::common::{GOOD_BYE, QUESTION, WELCOME};

/// One conversation, from the server's side.
#[derive(Debug)]
pub(crate) struct Guest {
    stream: BufReader<TcpStream>,
    served: Arc<AtomicUsize>,
}

/// A server on a free port that plays `part` with each guest, in a thread of its own. The threads
/// end with their guests, the listener with the test program.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) address: SocketAddr,
    served: Arc<AtomicUsize>,
}

impl Actor {
    pub(crate) fn plays(part: impl Fn(&mut Guest) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let served = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&served);
        let part = Arc::new(part);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (part, served) = (Arc::clone(&part), Arc::clone(&counter));
                let stream = BufReader::new(stream.expect("a guest"));
                thread::spawn(move || part(&mut Guest { stream, served }));
            }
        });
        Self { address, served }
    }

    /// Answers given so far, over all guests.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

impl Guest {
    /// Says welcome and asks.
    pub(crate) fn welcome(&mut self) {
        self.say(WELCOME);
        self.say(QUESTION);
    }

    /// Answers rightly until the guest leaves.
    pub(crate) fn serve(&mut self) {
        self.serve_names(usize::MAX);
    }

    /// Answers so many names rightly, or fewer if the guest leaves.
    pub(crate) fn serve_names(&mut self, names: usize) {
        for _ in 0..names {
            match self.hear() {
                Some(name) if name != "exit" => self.answer(&name),
                Some(_) => return self.say(GOOD_BYE),
                None => return,
            }
        }
    }

    /// The next name; `None` at the end.
    pub(crate) fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(bytes) if bytes > 0 => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }

    pub(crate) fn answer(&mut self, name: &str) {
        self.served.fetch_add(1, Ordering::Relaxed);
        self.say(&format!("Hello {name}!\n{QUESTION}"));
    }

    /// Sends it, if the guest is still there.
    pub(crate) fn say(&mut self, words: &str) {
        let _ = self.stream.get_mut().write_all(words.as_bytes());
    }

    /// Ends the conversation with a reset.
    pub(crate) fn reset(&mut self) {
        let socket = socket2::SockRef::from(self.stream.get_ref());
        let zero = Some(std::time::Duration::ZERO);
        socket.set_linger(zero).expect("a socket can be reset");
    }

    /// Answers rightly until the guest leaves, and takes its time for each answer.
    pub(crate) fn serve_slowly(&mut self, each: std::time::Duration) {
        while let Some(name) = self.hear() {
            if name == "exit" {
                return self.say(GOOD_BYE);
            }
            thread::sleep(each);
            self.answer(&name);
        }
    }

    /// Does nothing more until the guest leaves.
    pub(crate) fn ignore(&mut self) {
        while self.hear().is_some() {}
    }
}
