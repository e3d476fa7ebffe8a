//! A client of the admin service.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::common::PATIENCE;

/// The path of a test's own admin socket. Its file is removed at the end.
pub(crate) struct AdminSocket(PathBuf);

/// Where an admin service listens.
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A connection that is kept.
pub(crate) struct Connection(BufReader<Box<dyn ReadWrite>>);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

impl AdminSocket {
    /// Returns a path that no other test has. A socket's path is short, so it is not in the target
    /// folder.
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("oneloop-{test}-{}.sock", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn flag(&self) -> &str {
        self.0.to_str().expect("a path of plain letters")
    }

    #[track_caller]
    pub(crate) fn connect(&self) -> Connection {
        Target::Unix(self.0.clone()).connect()
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request(&format!("GET {path}"))
    }

    #[track_caller]
    pub(crate) fn request(&self, line: &str) -> Answer {
        self.connect().request(line)
    }

    /// Returns the samples of `/metrics`.
    #[track_caller]
    pub(crate) fn scrape(&self) -> BTreeMap<String, f64> {
        samples(&self.get("/metrics").body)
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Target {
    #[track_caller]
    pub(crate) fn connect(&self) -> Connection {
        let stream: Box<dyn ReadWrite> = match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).expect("connecting");
                stream
                    .set_read_timeout(Some(PATIENCE))
                    .expect("a time limit");
                Box::new(stream)
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path).expect("connecting");
                stream
                    .set_read_timeout(Some(PATIENCE))
                    .expect("a time limit");
                Box::new(stream)
            }
        };
        Connection(BufReader::new(stream))
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.connect().request(&format!("GET {path}"))
    }
}

impl Connection {
    /// Sends a request, such as `GET /live`, and returns its answer.
    #[track_caller]
    pub(crate) fn request(&mut self, line: &str) -> Answer {
        let request = format!("{line} HTTP/1.1\r\nHost: test\r\n\r\n");
        let stream = self.0.get_mut();
        stream.write_all(request.as_bytes()).expect("sending");
        self.answer()
    }

    /// Reads an answer, of a known length, in chunks, or up to the end of the stream.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let bytes = self.0.read_line(&mut head).expect("reading a head");
            assert!(bytes > 0, "the head ends: {head:?}");
        }
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let field = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let mut body = Vec::new();
        if let Some(length) = field("Content-Length") {
            body.resize(length.parse().expect("a length"), 0);
            self.0.read_exact(&mut body).expect("reading a body");
        } else if field("Transfer-Encoding") == Some("chunked") {
            while self.chunk(&mut body) > 0 {}
        } else {
            self.0.read_to_end(&mut body).expect("reading to the end");
        }
        Answer {
            status: status.expect("a status"),
            body: String::from_utf8(body).expect("text"),
            head,
        }
    }

    /// Appends the next chunk to `body`, and returns its length.
    fn chunk(&mut self, body: &mut Vec<u8>) -> usize {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("reading a length");
        let length = usize::from_str_radix(line.trim_end(), 16).expect("a length");
        let mut chunk = vec![0; length + 2];
        self.0.read_exact(&mut chunk).expect("reading a chunk");
        assert!(chunk.ends_with(b"\r\n"));
        body.extend(&chunk[..length]);
        length
    }
}

/// Returns the samples in a text for Prometheus, each with its labels.
#[track_caller]
pub(crate) fn samples(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').expect("a sample"))
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
        .collect()
}
