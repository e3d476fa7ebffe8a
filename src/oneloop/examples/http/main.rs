//! Serves three pages over HTTP/1.1: `/` with 128 bytes, `/64k` and `/10m`.
//!
//! `cargo run --release -p oneloop --example http -- 127.0.0.1:8080`, then `curl -i 127.0.0.1:8080`
//!
//! A connection waits for the head of a request, answers it, and then discards the request's body.
//! Pipelined requests and slow readers need no state: unread input is presented again when there is
//! room for the next answer, and a session is not stepped until its output was taken.

use oneloop::{CloseReason, Context, Event, Limits, Next, Peer, Reactor};
use oneloop::{Service, ServiceContext, Shared, Time};
use std::{io, io::Write, mem::MaybeUninit, time::Duration};

/// A longer head, or one with more fields, is answered with 431.
const HEAD_BYTES_MAX: usize = 8 * 1024;
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
    /// The head of a request is incomplete; so many bytes of it were looked at.
    Head(usize),
    /// So many bytes of a request's body have not arrived.
    Body(usize),
}

/// The reason why no further request is served in a step.
enum Stop {
    /// The request has not arrived whole.
    Incomplete,
    /// The answer was the last one.
    Last,
    /// The request is refused with this status. Where the next one begins is not known.
    Refused(&'static str),
}
const BAD_REQUEST: Stop = Stop::Refused("400 Bad Request");
const HEAD_TOO_LARGE: Stop = Stop::Refused("431 Request Header Fields Too Large");

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

impl Http {
    fn new(pages: impl IntoIterator<Item = (&'static str, usize)>) -> io::Result<Self> {
        let pages = pages.into_iter().map(|(path, bytes)| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n");
            let body: Vec<u8> = (0..bytes).map(|at| b'a' + (at % 23) as u8).collect();
            let mut file = tempfile::tempfile()?;
            file.write_all(&body)?;
            let body = Shared::from_file(file)?; // the kernel sends it without a copy
            Ok(Page { path, head, body })
        });
        let (pages, draining) = (pages.collect::<io::Result<_>>()?, false);
        Ok(Self { pages, draining })
    }

    fn serve(&self, state: &mut State, cx: &mut Context<'_>) -> Result<(), Stop> {
        match state {
            State::Head(seen) => {
                let head = &cx.input()[..cx.input().len().min(HEAD_BYTES_MAX)];
                // A head ends with a line. The parser runs once for each, however slowly they arrive.
                let has_new_line = head[*seen..].iter().rev().any(|&byte| byte == b'\n');
                *seen = head.len();
                if !has_new_line && head.len() < HEAD_BYTES_MAX {
                    return Err(Stop::Incomplete);
                }
                let (request, bytes) = Request::parse(head)?;
                cx.consume(bytes);
                *state = State::Body(request.body_bytes);
                self.answer(&request, cx)?;
            }
            State::Body(0) => *state = State::Head(0),
            State::Body(_) if cx.input().is_empty() => return Err(Stop::Incomplete),
            State::Body(left) => {
                let arrived = cx.input().len().min(*left);
                cx.consume(arrived);
                *left -= arrived;
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
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
        (end != CLOSE).then_some(()).ok_or(Stop::Last)
    }
}

impl Service for Http {
    type Session = Connection;

    fn open(&mut self, _: Peer, cx: &mut ServiceContext) -> Connection {
        let (state, until) = (State::Head(0), cx.after(PATIENCE));
        Connection { state, until }
    }

    fn step(&mut self, connection: &mut Connection, event: Event, cx: &mut Context<'_>) -> Next {
        while cx.has_room() {
            match self.serve(&mut connection.state, cx) {
                Ok(()) => {}
                Err(Stop::Incomplete) => break,
                Err(Stop::Last) => return Next::Close(CloseReason::Completed),
                Err(Stop::Refused(status)) => {
                    write_status(status, CLOSE, cx);
                    return Next::Close(CloseReason::ProtocolError);
                }
            }
        }
        if cx.written() > 0 || event == Event::Flushed {
            connection.until = cx.after(PATIENCE);
        }
        let Connection { state, until } = connection;
        let is_idle = matches!(state, State::Head(_)) && cx.input().trim_ascii().is_empty();
        match event {
            Event::Eof => Next::Close(CloseReason::Eof),
            Event::Timeout => Next::Close(CloseReason::Timeout),
            _ if self.draining && is_idle => Next::Close(CloseReason::Shutdown),
            _ => Next::Read { until: *until },
        }
    }

    fn draining(&mut self, _: usize, _: Duration, _: &mut ServiceContext) {
        self.draining = true;
    }
}

impl<'a> Request<'a> {
    /// Returns the request with the length of its head.
    fn parse(head: &'a [u8]) -> Result<(Self, usize), Stop> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        let bytes = match parsed.parse_with_uninit_headers(head, &mut fields) {
            Ok(httparse::Status::Complete(bytes)) => bytes,
            Ok(_) if head.len() < HEAD_BYTES_MAX => return Err(Stop::Incomplete),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HEAD_TOO_LARGE),
            Err(_) => return Err(BAD_REQUEST),
        };
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
                return Err(Stop::Refused("411 Length Required"));
            } else if field.name.eq_ignore_ascii_case("Connection") && lists(field.value, "close") {
                request.end = CLOSE;
            }
        }
        // RFC 9112, sections 3.2 and 6.3: otherwise a proxy and this server might disagree.
        if lengths > 1 || hosts > 1 || (hosts == 0 && is_1_1) {
            return Err(BAD_REQUEST);
        }
        Ok((request, bytes))
    }
}

fn write_status(status: &str, end: End, cx: &mut Context<'_>) {
    let length = b"\r\nContent-Length: 0\r\n";
    cx.write_parts([b"HTTP/1.1 ", status.as_bytes(), length, end]);
}

/// Returns the path of a target: `/a?b` and `http://host/a` both have `/a`.
fn path(target: &str) -> &str {
    let path = target
        .strip_prefix("http://")
        .map_or(target, |rest| rest.find('/').map_or("/", |at| &rest[at..]));
    let end = path.bytes().position(|byte| byte == b'?');
    end.map_or(path, |end| &path[..end])
}

/// Parses a length that is digits and nothing else, without a sign.
fn content_length(value: &[u8]) -> Result<usize, Stop> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(BAD_REQUEST);
    }
    let digits = str::from_utf8(value).unwrap_or_default();
    let length = digits.parse().ok().filter(|&bytes| bytes <= BODY_BYTES_MAX);
    length.ok_or(Stop::Refused("413 Content Too Large"))
}

/// Returns true if a list such as `close, upgrade` contains `option`.
fn lists(list: &[u8], option: &str) -> bool {
    let mut options = list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    options.any(|listed| listed.eq_ignore_ascii_case(option.as_bytes()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: http ADDRESS:PORT")?;
    let http = Http::new([("/", 128), ("/64k", 64 << 10), ("/10m", 10 << 20)])?;
    let limits = Limits {
        send_buffer_bytes: 4 << 20, // what it holds of a file is not a copy
        gather_time: Duration::from_micros(300), // requests of many clients share a poll
        ..Limits::for_messages_up_to(10 << 20)
    };
    let mut reactor = Reactor::new(http, limits)?;
    println!("listening on {}", reactor.listen(address.parse()?)?);
    reactor.stop_on_signals()?;
    reactor.run()?;
    Ok(())
}

#[cfg(test)]
mod tests;
