//! The service: its sessions, and the routes of their requests.

use std::fmt;
use std::time::Duration;

use log::info;

use super::answer::{Answer, End, Extent, FULL, Refusal};
use super::exposition::Exposition;
use super::request::Request;
use super::task::{Form, Progress, Task, Work};
use super::{Readiness, Ready};
use crate::framing::{HttpHead, Scanned};
use crate::service::inspect::Inspection;
use crate::service::{
    CloseReason, Context, EndReason, Event, ListenerId, Next, Peer, PeerAddress, Service,
    ServiceContext, Time,
};

/// The service for operators. See [the module](super).
pub struct Admin {
    readiness: Readiness,
    stage: Stage,
    /// The name of the listeners whose connections are agent checks.
    agent: &'static str,
    /// Adds the program's own metrics.
    metrics: Box<dyn FnMut(&mut Exposition)>,
    /// One for each session that waits for the loop.
    tasks: Vec<Task>,
}

/// A connection of an [`Admin`].
#[derive(Debug)]
pub struct AdminSession {
    door: Door,
    state: State,
    ending: Ending,
    /// The end of the time for the request at hand.
    until: Time,
}

/// How far the server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Each answer is its connection's last.
    Draining,
}

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// Everything: the peer is at a Unix-domain socket, whose file's mode has let it connect.
    Local,
    /// Read, but change nothing.
    Remote,
    /// Get the agent's line.
    Agent,
}

#[derive(Debug)]
enum State {
    /// The head of a request is incomplete; so much of it was searched for its end.
    Head(Scanned),
    /// The session's task waits for the loop, or for room. So many bytes of the request's body
    /// follow.
    Working { body_bytes: usize },
    /// So many bytes of a request's body have not arrived.
    Body(usize),
}

/// Why no more requests will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    None,
    /// The peer has finished sending.
    Eof,
    /// The server drains this connection.
    Drain,
}

/// Why no further request is served in a step.
enum Stop {
    /// The request has not arrived whole.
    Incomplete,
    /// The task waits for the loop.
    Waits,
    /// The answer was the last one.
    Last,
    Refused(Refusal),
}

/// What a request leads to.
enum Route {
    Answer(Answer<'static>),
    Work(Work),
    Drain,
}

impl Admin {
    /// Creates the service.
    #[must_use]
    pub fn new() -> Self {
        Self {
            readiness: Readiness::default(),
            stage: Stage::Serving,
            agent: "agent",
            metrics: Box::new(|_| {}),
            tasks: Vec::new(),
        }
    }

    /// Sets the name of the listeners whose connections are agent checks of HAProxy. Default:
    /// `agent`.
    #[must_use]
    pub const fn agent_listener(mut self, name: &'static str) -> Self {
        self.agent = name;
        self
    }

    /// Adds metrics to those of the loop: `add` is called for each answer to `/metrics`. It must
    /// not block.
    #[must_use]
    pub fn metrics(mut self, add: impl FnMut(&mut Exposition) + 'static) -> Self {
        self.metrics = Box::new(add);
        self
    }

    /// Returns the server's readiness, for the program to change.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Serves a request, or a part of one.
    fn serve(&mut self, session: &mut AdminSession, cx: &mut Context<'_>) -> Result<(), Stop> {
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
                self.begin(&request, session, cx)
            }
            State::Working { body_bytes } => {
                let body_bytes = *body_bytes;
                session.until = cx.after(PATIENCE);
                let end = self.proceed(cx)?;
                session.state = State::Body(body_bytes);
                end.result()
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

    /// Begins to answer a request.
    fn begin(
        &mut self,
        request: &Request<'_>,
        session: &mut AdminSession,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        session.until = cx.after(PATIENCE);
        let form = self.form(request);
        let body_bytes = request.body_bytes;
        let answer = match self.route(request, session.door) {
            Route::Work(work) => {
                session.state = State::Working { body_bytes };
                self.tasks.push(Task::new(cx.id(), work, form));
                return Ok(());
            }
            Route::Drain => {
                info!("an operator requests a drain");
                cx.drain();
                Answer::ok("draining\n")
            }
            Route::Answer(answer) => answer,
        };
        cx.write(answer.text(form.end, form.extent).as_bytes());
        session.state = State::Body(body_bytes);
        form.end.result()
    }

    fn form(&self, request: &Request<'_>) -> Form {
        Form {
            version: request.version,
            end: match self.stage {
                Stage::Serving => request.end,
                Stage::Draining => End::Close,
            },
            extent: match request.method {
                "HEAD" => Extent::Head,
                _ => Extent::Whole,
            },
        }
    }

    fn route(&self, request: &Request<'_>, door: Door) -> Route {
        let answer = match (request.method, request.path) {
            ("GET" | "HEAD", "/live") => Answer::ok("live\n"),
            ("GET" | "HEAD", "/ready") => self.ready(),
            ("GET" | "HEAD", "/metrics") => return Route::Work(Work::Metrics { held_bytes: 0 }),
            ("GET" | "HEAD", "/slow") => return Route::Work(Work::Slow),
            ("GET" | "HEAD", "/sessions") => match request.limit() {
                Some(most) => return Route::Work(Work::Sessions { most }),
                None => Answer::BAD_LIMIT,
            },
            (_, "/live" | "/ready" | "/metrics" | "/slow" | "/sessions") => Answer::ONLY_GET,
            (method, "/drain") => match permitted(method, door) {
                Ok(()) => return Route::Drain,
                Err(answer) => answer,
            },
            (method, path) => match session_to_close(path) {
                None => Answer::NOT_FOUND,
                Some(number) => match permitted(method, door) {
                    Ok(()) => return Route::Work(Work::Close { number }),
                    Err(answer) => answer,
                },
            },
        };
        Route::Answer(answer)
    }

    fn ready(&self) -> Answer<'static> {
        match self.readiness.get() {
            Ready::Starting => Answer::unavailable("starting\n"),
            Ready::Ready => Answer::ok("ready\n"),
            Ready::Leaving => Answer::unavailable("leaving\n"),
        }
    }

    /// Goes on with the task of the session being stepped.
    fn proceed(&mut self, cx: &mut Context<'_>) -> Result<End, Stop> {
        let id = cx.id();
        let task = self.tasks.iter_mut().find(|task| task.id == id);
        match task.map(|task| task.proceed(cx)) {
            Some(Progress::Done(end)) => {
                self.tasks.retain(|task| task.id != id);
                Ok(end)
            }
            Some(Progress::Waits | Progress::Full) => Err(Stop::Waits),
            None => Err(Stop::Last),
        }
    }
}

/// Returns the answer to a request that may not change the server, if this one may not.
fn permitted(method: &str, door: Door) -> Result<(), Answer<'static>> {
    match (method, door) {
        ("POST", Door::Local) => Ok(()),
        ("POST", _) => Err(Answer::FORBIDDEN),
        _ => Err(Answer::ONLY_POST),
    }
}

/// Returns the number in a path such as `/sessions/7/close`.
fn session_to_close(path: &str) -> Option<u32> {
    let number = path.strip_prefix("/sessions/")?.strip_suffix("/close")?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| is_number)
}

impl Service for Admin {
    type Session = AdminSession;

    fn started(&mut self, _: &mut ServiceContext) {
        self.readiness.start();
    }

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> AdminSession {
        let is_agent = peer.listener.is_some_and(|id| id.name() == self.agent);
        AdminSession {
            door: match peer.address {
                _ if is_agent => Door::Agent,
                PeerAddress::Unix => Door::Local,
                _ => Door::Remote,
            },
            state: State::Head(Scanned::default()),
            ending: Ending::None,
            until: cx.after(PATIENCE),
        }
    }

    fn step(&mut self, session: &mut AdminSession, event: Event, cx: &mut Context<'_>) -> Next {
        match event {
            Event::Open if session.door == Door::Agent => {
                session.state = State::Working { body_bytes: 0 };
                self.tasks.push(Task::new(cx.id(), Work::Agent, Form::LINE));
            }
            Event::Eof => session.ending = Ending::Eof,
            Event::Drain => session.ending = Ending::Drain,
            Event::Timeout => return Next::Close(CloseReason::Timeout),
            _ => {}
        }
        while cx.has_room() {
            match self.serve(session, cx) {
                Ok(()) => {}
                Err(Stop::Incomplete) => return session.rest(cx),
                Err(Stop::Waits) if cx.has_room() => {
                    return Next::Pause {
                        until: session.until,
                    };
                }
                Err(Stop::Waits) => break,
                Err(Stop::Last) => return Next::Close(CloseReason::Completed),
                Err(Stop::Refused(refusal)) => {
                    cx.write(refusal.text().as_bytes());
                    return Next::Close(CloseReason::ProtocolError);
                }
            }
        }
        Next::Flush
    }

    fn closed(&mut self, _: AdminSession, peer: Peer, _: EndReason, _: &mut ServiceContext) {
        self.tasks.retain(|task| task.id != peer.id);
    }

    fn inspected(&mut self, key: u64, report: &Inspection<'_>, cx: &mut ServiceContext) {
        let mut tasks = self.tasks.iter_mut();
        let Some(task) = tasks.find(|task| u64::from(task.id.number()) == key) else {
            return;
        };
        task.take(report, &self.readiness, &mut *self.metrics, cx);
        cx.wake(task.id);
    }

    fn refusal_message(&self, listener: ListenerId, _: EndReason) -> &[u8] {
        // HAProxy ignores an agent that sends nothing.
        match listener.name() == self.agent {
            true => b"",
            false => FULL.as_bytes(),
        }
    }

    fn draining(&mut self, _: usize, _: Duration, _: &mut ServiceContext) {
        self.stage = Stage::Draining;
        self.readiness.set(Ready::Leaving);
    }
}

impl AdminSession {
    /// Returns what a session waits for whose request has not arrived whole.
    fn rest(&self, cx: &Context<'_>) -> Next {
        let is_idle = matches!(self.state, State::Head(_)) && cx.input().is_empty();
        match self.ending {
            Ending::Eof => Next::Close(CloseReason::Eof),
            Ending::Drain if is_idle => Next::Close(CloseReason::Shutdown),
            Ending::None | Ending::Drain => Next::Read { until: self.until },
        }
    }
}

impl End {
    fn result(self) -> Result<(), Stop> {
        match self {
            Self::KeepAlive => Ok(()),
            Self::Close => Err(Stop::Last),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("readiness", &self.readiness)
            .field("stage", &self.stage)
            .field("tasks", &self.tasks)
            .finish_non_exhaustive()
    }
}

/// A longer head is answered with 431.
const HEADS: HttpHead = HttpHead::new(4096);

/// The time for a request and its answer, from the one before it.
const PATIENCE: Duration = Duration::from_secs(75);
