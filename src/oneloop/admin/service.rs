//! The service: its sessions, and the routes of their requests.

use std::time::Duration;

use super::answer::{Answer, End, Extent, FULL, Refusal};
use super::request::Request;
use super::{Readiness, Ready};
use crate::framing::{HttpHead, Scanned};
use crate::service::{
    CloseReason, Context, EndReason, Event, ListenerId, Next, Peer, Service, ServiceContext, Time,
};

/// The service for operators. See [the module](super).
#[derive(Debug, Default)]
pub struct Admin {
    readiness: Readiness,
    stage: Stage,
}

/// A connection of an [`Admin`].
#[derive(Debug)]
pub struct AdminSession {
    state: State,
    /// The end of the time for the request at hand.
    until: Time,
}

/// How far the server has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Serving,
    /// Each answer is its connection's last.
    Draining,
}

#[derive(Debug)]
enum State {
    /// The head of a request is incomplete; so much of it was searched for its end.
    Head(Scanned),
    /// So many bytes of a request's body have not arrived.
    Body(usize),
}

/// The reason why no further request is served in a step.
enum Stop {
    /// The request has not arrived whole.
    Incomplete,
    /// The answer was the last one.
    Last,
    Refused(Refusal),
}

impl Admin {
    /// Creates the service.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the server's readiness, for the program to change.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Serves one request, if it has arrived.
    fn serve(&self, session: &mut AdminSession, cx: &mut Context<'_>) -> Result<(), Stop> {
        match &mut session.state {
            State::Head(scanned) => {
                let head = HEADS.first(cx.input(), scanned);
                let head = head.map_err(|_| Stop::Refused(Refusal::HEAD_TOO_LARGE))?;
                let head = head.ok_or(Stop::Incomplete)?;
                cx.consume(head.bytes);
                if head.body.is_empty() {
                    return Ok(()); // an empty line before a request
                }
                let request = Request::parse(head.body).map_err(Stop::Refused)?;
                session.state = State::Body(request.body_bytes);
                session.until = cx.after(PATIENCE);
                self.answer(&request, cx)
            }
            State::Body(left) => {
                let arrived = cx.input().len().min(*left);
                cx.consume(arrived);
                *left -= arrived;
                if *left > 0 {
                    return Err(Stop::Incomplete);
                }
                session.state = State::Head(Scanned::default());
                Ok(())
            }
        }
    }

    fn answer(&self, request: &Request<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let end = match self.stage {
            Stage::Serving => request.end,
            Stage::Draining => End::Close,
        };
        let extent = match request.method {
            "HEAD" => Extent::Head,
            _ => Extent::Whole,
        };
        self.route(request).write(end, extent, cx);
        match end {
            End::KeepAlive => Ok(()),
            End::Close => Err(Stop::Last),
        }
    }

    fn route(&self, request: &Request<'_>) -> Answer<'static> {
        match (request.method, request.path) {
            ("GET" | "HEAD", "/live") => Answer::ok("live\n"),
            ("GET" | "HEAD", "/ready") => self.ready(),
            (_, "/live" | "/ready") => Answer::ONLY_GET,
            _ => Answer::NOT_FOUND,
        }
    }

    fn ready(&self) -> Answer<'static> {
        match self.readiness.get() {
            Ready::Starting => Answer::unavailable("starting\n"),
            Ready::Ready => Answer::ok("ready\n"),
            Ready::Leaving => Answer::unavailable("leaving\n"),
        }
    }
}

impl Service for Admin {
    type Session = AdminSession;

    fn started(&mut self, _: &mut ServiceContext) {
        self.readiness.start();
    }

    fn open(&mut self, _: Peer, cx: &mut ServiceContext) -> AdminSession {
        AdminSession {
            state: State::Head(Scanned::default()),
            until: cx.after(PATIENCE),
        }
    }

    fn step(&mut self, session: &mut AdminSession, event: Event, cx: &mut Context<'_>) -> Next {
        while cx.has_room() {
            match self.serve(session, cx) {
                Ok(()) => {}
                Err(Stop::Incomplete) => break,
                Err(Stop::Last) => return Next::Close(CloseReason::Completed),
                Err(Stop::Refused(refusal)) => {
                    refusal.write(cx);
                    return Next::Close(CloseReason::ProtocolError);
                }
            }
        }
        let is_idle = matches!(session.state, State::Head(_)) && cx.input().is_empty();
        match event {
            Event::Eof => Next::Close(CloseReason::Eof),
            Event::Timeout => Next::Close(CloseReason::Timeout),
            Event::Drain if is_idle => Next::Close(CloseReason::Shutdown),
            _ => Next::Read {
                until: session.until,
            },
        }
    }

    fn refusal_message(&self, _: ListenerId, _: EndReason) -> &[u8] {
        FULL.as_bytes()
    }

    fn draining(&mut self, _: usize, _: Duration, _: &mut ServiceContext) {
        self.stage = Stage::Draining;
        self.readiness.set(Ready::Leaving);
    }
}

/// A longer head is answered with 431.
const HEADS: HttpHead = HttpHead::new(4096);

/// The time for a request, from the one before it.
const PATIENCE: Duration = Duration::from_secs(75);
