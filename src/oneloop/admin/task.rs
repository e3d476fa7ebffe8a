//! Requests whose answers need a report of the loop.

use log::info;

use super::answer::{Answer, End, Extent, TEXT};
use super::exposition::Exposition;
use super::request::Version;
use super::{Readiness, Ready, metrics, sessions};
use crate::service::inspect::{Cursor, Inspect, Inspection};
use crate::service::{Context, ServiceContext, SessionId};

/// A request of one session.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: SessionId,
    work: Work,
    form: Form,
    stage: Stage,
    /// Output that had no room yet.
    outbox: Vec<u8>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// The metrics; so many bytes are held by the sessions seen so far.
    Metrics { held_bytes: usize },
    /// At most so many more sessions.
    Sessions { most: usize },
    /// The slowest turns.
    Slow,
    /// To end the session with this number.
    Close { number: u32 },
    /// HAProxy's agent check.
    Agent,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) version: Version,
    pub(super) end: End,
    pub(super) extent: Extent,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The report from there on is to be requested.
    Next(Cursor),
    /// The loop's report is awaited.
    Requested,
    /// The answer is complete.
    Complete,
}

/// How far a task has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits for the loop.
    Waits,
    /// It waits for room.
    Full,
    Done(End),
}

impl Form {
    /// The form of an agent's line, which has no head and ends the connection.
    pub(super) const LINE: Self = Self {
        version: Version::Http10,
        end: End::Close,
        extent: Extent::Whole,
    };
}

impl Task {
    pub(super) fn new(id: SessionId, work: Work, form: Form) -> Self {
        let mut task = Self {
            id,
            work,
            form,
            stage: Stage::Next(Cursor::default()),
            outbox: Vec::new(),
        };
        if let Work::Sessions { .. } = work {
            task.begin_stream();
        }
        task
    }

    /// Writes output while there is room, and requests what is missing from the loop.
    pub(super) fn proceed(&mut self, cx: &mut Context<'_>) -> Progress {
        let now = self.outbox.len().min(cx.room());
        cx.write(&self.outbox[..now]);
        self.outbox.drain(..now);
        match self.stage {
            _ if !self.outbox.is_empty() || !cx.has_room() => Progress::Full,
            Stage::Requested => Progress::Waits,
            Stage::Complete => Progress::Done(self.form.end),
            Stage::Next(from) => {
                cx.inspect(self.request(from));
                self.stage = Stage::Requested;
                Progress::Waits
            }
        }
    }

    fn request(&self, from: Cursor) -> Inspect {
        let request = Inspect::new(self.id.number().into());
        match self.work {
            Work::Slow | Work::Agent => request,
            Work::Sessions { most } => request.sessions(from, most.min(SESSIONS_AT_ONCE)),
            Work::Metrics { .. } | Work::Close { .. } => request.sessions(from, usize::MAX),
        }
    }

    /// Adds to the answer what a report has for it. The session is to be woken then.
    pub(super) fn take(
        &mut self,
        report: &Inspection<'_>,
        readiness: &Readiness,
        own_metrics: &mut dyn FnMut(&mut Exposition),
        cx: &mut ServiceContext,
    ) {
        self.stage = report.next.map_or(Stage::Complete, Stage::Next);
        match &mut self.work {
            Work::Metrics { held_bytes } => {
                let held = report.sessions.iter().map(|session| session.held_bytes);
                *held_bytes += held.sum::<usize>();
                if report.next.is_none() {
                    let mut metrics = Exposition::default();
                    metrics::of_loop(&mut metrics, report);
                    metrics::held_bytes(&mut metrics, *held_bytes);
                    metrics::readiness(&mut metrics, readiness);
                    own_metrics(&mut metrics);
                    self.answer(&Answer::metrics(metrics.text()));
                }
            }
            Work::Sessions { most } => {
                *most -= report.sessions.len();
                if *most == 0 {
                    self.stage = Stage::Complete;
                }
                let mut text = String::new();
                for session in report.sessions {
                    sessions::line(&mut text, session, cx.now());
                }
                self.stream(&text);
            }
            Work::Slow => {
                let mut text = String::new();
                sessions::slow_turns(&mut text, report.times, cx.now());
                self.answer(&Answer::ok(&text));
            }
            Work::Close { number } => {
                let number = *number;
                let mut ids = report.sessions.iter().map(|session| session.peer.id);
                if let Some(id) = ids.find(|id| id.number() == number) {
                    info!("an operator closes {id}");
                    cx.abort(id);
                    self.stage = Stage::Complete;
                    self.answer(&Answer::ok("closed\n"));
                } else if report.next.is_none() {
                    self.answer(&Answer::NO_SESSION);
                }
            }
            Work::Agent => self.outbox.extend(agent(report, readiness).as_bytes()),
        }
    }

    fn answer(&mut self, answer: &Answer<'_>) {
        let text = answer.text(self.form.end, self.form.extent);
        self.outbox.extend(text.as_bytes());
    }

    /// Begins an answer whose length is not known.
    fn begin_stream(&mut self) {
        let framing = match self.form.version {
            Version::Http11 => "Transfer-Encoding: chunked\r\n",
            // The end of the stream is the end of the body.
            Version::Http10 => {
                self.form.end = End::Close;
                ""
            }
        };
        let end = self.form.end.field();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {TEXT}\r\nCache-Control: no-store\r\n\
             {framing}{end}\r\n"
        );
        self.outbox.extend(head.as_bytes());
        if self.form.extent == Extent::Head {
            self.stage = Stage::Complete;
        }
    }

    /// Adds a piece of the body, and after the last piece its end.
    fn stream(&mut self, piece: &str) {
        match self.form.version {
            Version::Http10 => self.outbox.extend(piece.as_bytes()),
            Version::Http11 => {
                if !piece.is_empty() {
                    let length = format!("{:x}\r\n", piece.len());
                    self.outbox.extend(length.as_bytes());
                    self.outbox.extend(piece.as_bytes());
                    self.outbox.extend(b"\r\n");
                }
                if let Stage::Complete = self.stage {
                    self.outbox.extend(b"0\r\n\r\n");
                }
            }
        }
    }
}

/// Returns the line of HAProxy's agent check: the state, and as the weight the places that are free.
fn agent(report: &Inspection<'_>, readiness: &Readiness) -> String {
    match readiness.get() {
        Ready::Starting => "maint\n".into(),
        Ready::Leaving => "drain\n".into(),
        Ready::Ready => {
            let taken = report.listeners.iter().map(|listener| listener.open);
            let most = report.connections_max.max(1);
            let free = most.saturating_sub(taken.sum());
            // A full server is not to be taken out: its connections would go to the others, at once.
            format!("up ready {}%\n", (free * 100).div_ceil(most).max(1))
        }
    }
}

/// Sessions of one report: some 8 KiB of text.
const SESSIONS_AT_ONCE: usize = 64;
