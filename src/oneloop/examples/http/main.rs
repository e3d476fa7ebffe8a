//! Serves three pages over HTTP/1.1: `/` with 128 bytes, `/64k` and `/10m`.
//!
//! `cargo run --release -p oneloop --example http -- 127.0.0.1:8080`, then `curl -i 127.0.0.1:8080`
//!
//! A connection waits for the head of a request, which it answers, and then for the request's body,
//! which it discards. Pipelined requests need no state: they are unread input, which the loop
//! presents again when there is room for the next answer. A slow reader needs none either: the loop
//! does not step its session until it has taken its output.

use std::mem::MaybeUninit;
use std::time::Duration;

use oneloop::framing::{HttpHead, Scanned};
use oneloop::{CloseReason, Context, Event, Limits, Next, Peer, Reactor};
use oneloop::{Service, ServiceContext, Shared, Time};

/// A longer head, or one with more fields, is answered with 431.
const HEADS: HttpHead = HttpHead::new(8 * 1024);
const FIELDS_MAX: usize = 64;
/// A longer body is answered with 413.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// The time for each request, from the end of the answer before it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pages, and whether the server is stopping.
struct Http {
    pages: Vec<Page>,
    draining: bool,
}

struct Page {
    path: &'static str,
    head: String,
    body: Shared, // in memory once, however many connections wait for it
}

/// One connection, and the end of the time for the request at hand.
struct Connection {
    state: State,
    until: Time,
}

enum State {
    /// The head of a request is incomplete; so much of it was searched for its end.
    Head(Scanned),
    /// So many bytes of a request's body have not arrived.
    Body(usize),
}

/// The outcome of one attempt to serve a request.
enum Served {
    One,
    Incomplete,
    Last,
}

/// The parts of a request on which its answer depends.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    body_bytes: usize,
    end: End,
}

/// The end of an answer's head, which decides whether the connection is kept.
type End = &'static [u8];
const KEEP_ALIVE: End = b"\r\n";
const CLOSE: End = b"Connection: close\r\n\r\n";

/// A status after which the connection is closed: where the next request begins is not known.
struct Refusal(&'static str);
const BAD_REQUEST: Refusal = Refusal("400 Bad Request");
const LENGTH_REQUIRED: Refusal = Refusal("411 Length Required");
const BODY_TOO_LARGE: Refusal = Refusal("413 Content Too Large");
const HEAD_TOO_LARGE: Refusal = Refusal("431 Request Header Fields Too Large");

impl Http {
    /// Creates a service with a page of so many bytes at each path.
    fn new(pages: impl IntoIterator<Item = (&'static str, usize)>) -> Self {
        let pages = pages.into_iter().map(|(path, bytes)| Page {
            path,
            head: format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n"),
            body: (0..bytes)
                .map(|at| b'a' + (at % 23) as u8)
                .collect::<Vec<_>>()
                .into(),
        });
        Self {
            pages: pages.collect(),
            draining: false,
        }
    }

    fn serve(&self, state: &mut State, cx: &mut Context<'_>) -> Result<Served, Refusal> {
        match state {
            State::Head(scanned) => {
                let head = HEADS.first(cx.input(), scanned);
                let Some(head) = head.map_err(|_| HEAD_TOO_LARGE)? else {
                    return Ok(Served::Incomplete);
                };
                cx.consume(head.bytes);
                if head.body.is_empty() {
                    return Ok(Served::One); // an empty line before a request
                }
                let request = Request::parse(head.body)?;
                *state = State::Body(request.body_bytes);
                Ok(self.answer(&request, cx))
            }
            State::Body(left) => {
                let arrived = cx.input().len().min(*left);
                cx.consume(arrived);
                *left -= arrived;
                if *left > 0 {
                    return Ok(Served::Incomplete);
                }
                *state = State::Head(Scanned::default());
                Ok(Served::One)
            }
        }
    }

    fn answer(&self, request: &Request<'_>, cx: &mut Context<'_>) -> Served {
        let end = if self.draining { CLOSE } else { request.end };
        let page = self.pages.iter().find(|page| page.path == request.path);
        match (request.method, page) {
            ("GET", Some(page)) => {
                cx.write_parts([page.head.as_bytes(), end]);
                cx.write_shared(page.body.clone());
            }
            ("HEAD", Some(page)) => cx.write_parts([page.head.as_bytes(), end]),
            ("GET" | "HEAD", None) => write_status("404 Not Found", end, cx),
            _ => write_status("405 Method Not Allowed\r\nAllow: GET, HEAD", end, cx),
        }
        if end == CLOSE {
            Served::Last
        } else {
            Served::One
        }
    }
}

impl Service for Http {
    type Session = Connection;

    fn open(&mut self, _: Peer, cx: &mut ServiceContext) -> Connection {
        let state = State::Head(Scanned::default());
        Connection {
            state,
            until: cx.after(PATIENCE),
        }
    }

    fn step(&mut self, connection: &mut Connection, event: Event, cx: &mut Context<'_>) -> Next {
        while cx.has_room() {
            match self.serve(&mut connection.state, cx) {
                Ok(Served::One) => {}
                Ok(Served::Incomplete) => break,
                Ok(Served::Last) => return Next::Close(CloseReason::Completed),
                Err(Refusal(status)) => {
                    write_status(status, CLOSE, cx);
                    return Next::Close(CloseReason::ProtocolError);
                }
            }
        }
        if cx.written() > 0 || event == Event::Flushed {
            connection.until = cx.after(PATIENCE);
        }
        match event {
            Event::Eof => Next::Close(CloseReason::Eof),
            Event::Timeout => Next::Close(CloseReason::Timeout),
            Event::Drain => Next::Close(CloseReason::Shutdown),
            _ => Next::Read {
                until: connection.until,
            },
        }
    }

    fn draining(&mut self, _: usize, _: Duration, _: &mut ServiceContext) {
        self.draining = true;
    }
}

impl<'a> Request<'a> {
    fn parse(head: &'a [u8]) -> Result<Self, Refusal> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(head, &mut fields) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(HEAD_TOO_LARGE),
            _ => return Err(BAD_REQUEST),
        }
        let is_1_1 = parsed.version == Some(1);
        let mut request = Self {
            method: parsed.method.unwrap_or_default(),
            path: path(parsed.path.unwrap_or_default()),
            body_bytes: 0,
            end: if is_1_1 { KEEP_ALIVE } else { CLOSE },
        };
        let (mut hosts, mut lengths) = (0, 0);
        for field in parsed.headers {
            if field.name.eq_ignore_ascii_case("Host") {
                hosts += 1;
            } else if field.name.eq_ignore_ascii_case("Content-Length") {
                lengths += 1;
                request.body_bytes = content_length(field.value)?;
            } else if field.name.eq_ignore_ascii_case("Transfer-Encoding") {
                return Err(LENGTH_REQUIRED);
            } else if field.name.eq_ignore_ascii_case("Connection") && lists(field.value, "close") {
                request.end = CLOSE;
            }
        }
        // RFC 9112, sections 3.2 and 6.3: otherwise a proxy and this server might disagree.
        if lengths > 1 || hosts > 1 || (hosts == 0 && is_1_1) {
            return Err(BAD_REQUEST);
        }
        Ok(request)
    }
}

/// Writes an answer without a body.
fn write_status(status: &str, end: End, cx: &mut Context<'_>) {
    let length = b"\r\nContent-Length: 0\r\n";
    cx.write_parts([b"HTTP/1.1 ", status.as_bytes(), length, end]);
}

/// Returns the path of a target: `/a?b` and `http://host/a` both have `/a`.
fn path(target: &str) -> &str {
    let target = target.split('?').next().unwrap_or_default();
    match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    }
}

/// Parses a length that is digits and nothing else, without a sign.
fn content_length(value: &[u8]) -> Result<usize, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(BAD_REQUEST);
    }
    let length = str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse().ok());
    length
        .filter(|&bytes| bytes <= BODY_BYTES_MAX)
        .ok_or(BODY_TOO_LARGE)
}

/// Returns true if a list such as `close, upgrade` contains `option`.
fn lists(list: &[u8], option: &str) -> bool {
    let mut options = list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    options.any(|listed| listed.eq_ignore_ascii_case(option.as_bytes()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: http ADDRESS:PORT")?;
    let http = Http::new([("/", 128), ("/64k", 64 << 10), ("/10m", 10 << 20)]);
    let limits = Limits {
        output_bytes_max: 16 << 20,
        ..Limits::for_messages_up_to(64 << 10)
    };
    let mut reactor = Reactor::new(http, limits)?;
    println!("listening on {}", reactor.listen(address.parse()?)?);
    let (stopper, mut signals) = (
        reactor.net().stopper(),
        signal_hook::iterator::Signals::new([2, 15])?,
    );
    std::thread::spawn(move || signals.forever().try_for_each(|_| stopper.stop()));
    reactor.run()?;
    Ok(())
}

#[cfg(test)]
mod tests;
