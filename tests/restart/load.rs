//! Clients that connect at a steady rate and check every byte of every answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::common::{GOOD_BYE, PATIENCE, QUESTION, WELCOME, eventually, hello};

/// A load on a server, until [`finish`](Self::finish).
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    began: Instant,
    clients: Vec<JoinHandle<Tally>>,
}

/// What the clients have seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Conversations with every answer.
    pub(crate) complete: u64,
    /// Conversations that the server ended by its goodbye, after whole answers.
    pub(crate) dismissed: u64,
    /// Everything else: refused, reset, cut off within an answer, or wrong bytes.
    pub(crate) failures: Vec<String>,
}

enum Outcome {
    Complete,
    Dismissed,
}

impl Load {
    /// Begins to connect, `per_second` times a second in all.
    pub(crate) fn start(address: SocketAddr, per_second: u32) -> Self {
        let (stop, served) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let interval = Duration::from_secs(1) * CLIENTS / per_second;
        let clients = (0..CLIENTS).map(|number| {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            thread::spawn(move || {
                let mut tally = Tally::default();
                let mut next = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    tally.add(converse(address, &format!("{number}-{}", tally.complete)));
                    served.fetch_add(1, Ordering::Relaxed);
                    next += interval;
                    // The pace, and no synchronisation. Behind it, there is no wait.
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                }
                tally
            })
        });
        Self {
            clients: clients.collect(),
            stop,
            served,
            began: Instant::now(),
        }
    }

    /// Waits until so many more conversations are over.
    #[track_caller]
    pub(crate) fn wait_for(&self, conversations: u64) {
        let target = self.served.load(Ordering::Relaxed) + conversations;
        eventually("the clients go on", || {
            (self.served.load(Ordering::Relaxed) >= target).then_some(())
        });
    }

    /// Stops, prints the rate, and returns what was seen.
    pub(crate) fn finish(self, what: &str) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for client in self.clients {
            let one = client.join().expect("no panic");
            tally.complete += one.complete;
            tally.dismissed += one.dismissed;
            tally.failures.extend(one.failures);
        }
        let served = tally.complete + tally.dismissed;
        let per_second = served as f64 / self.began.elapsed().as_secs_f64();
        println!(
            "{what}: {} conversations, {} dismissed, {} failures, {per_second:.0} a second",
            tally.complete,
            tally.dismissed,
            tally.failures.len()
        );
        tally
    }
}

impl Tally {
    fn add(&mut self, outcome: Result<Outcome, String>) {
        match outcome {
            Ok(Outcome::Complete) => self.complete += 1,
            Ok(Outcome::Dismissed) => self.dismissed += 1,
            Err(failure) => self.failures.push(failure),
        }
    }

    /// Asserts that no client was refused, reset or got anything but whole answers.
    #[track_caller]
    pub(crate) fn assert_no_failures(&self) {
        let few: Vec<_> = self.failures.iter().take(5).collect();
        assert!(few.is_empty(), "{} failures: {few:?}", self.failures.len());
        assert!(self.complete > 0);
    }
}

/// Has one conversation. The server must answer lines at once: `--framing line`.
fn converse(address: SocketAddr, name: &str) -> Result<Outcome, String> {
    let connected = TcpStream::connect_timeout(&address, PATIENCE);
    let mut stream = connected.map_err(|error| format!("connecting: {error}"))?;
    let patience = stream.set_read_timeout(Some(PATIENCE));
    patience.map_err(|error| error.to_string())?;
    let greeting = [WELCOME.as_bytes(), QUESTION.as_bytes()].concat();
    let answer = [hello(name).as_bytes(), QUESTION.as_bytes()].concat();
    for (sent, expected) in [
        (String::new(), greeting),
        (format!("{name}\n"), answer),
        ("exit\n".into(), GOOD_BYE.into()),
    ] {
        stream
            .write_all(sent.as_bytes())
            .map_err(|error| format!("sending {sent:?}: {error}"))?;
        let read = read(&mut stream, expected.len());
        let read = read.map_err(|error| format!("after {sent:?}: {error}"))?;
        if read != expected {
            return dismissal(&read, &expected, stream);
        }
    }
    match read(&mut stream, 1) {
        Ok(rest) if rest.is_empty() => Ok(Outcome::Complete),
        rest => Err(format!("after the goodbye: {rest:?}")),
    }
}

/// Reads so many bytes, or fewer if the stream ends before.
fn read(stream: &mut TcpStream, bytes: usize) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    stream.take(bytes as u64).read_to_end(&mut read)?;
    Ok(read)
}

/// Accepts whole messages, each as expected, and then the goodbye and the end.
fn dismissal(read: &[u8], expected: &[u8], mut stream: TcpStream) -> Result<Outcome, String> {
    let mut all = read.to_vec();
    let rest = stream.read_to_end(&mut all);
    let text = String::from_utf8_lossy(&all).into_owned();
    let Err(error) = rest else {
        let whole = |prefix: &[u8]| all == [prefix, GOOD_BYE.as_bytes()].concat();
        let question = expected.strip_suffix(QUESTION.as_bytes());
        return match whole(b"") || whole(expected) || question.is_some_and(whole) {
            true => Ok(Outcome::Dismissed),
            false => Err(format!("{text:?}")),
        };
    };
    Err(format!("{error} after {text:?}"))
}

/// Clients at once.
const CLIENTS: u32 = 16;
