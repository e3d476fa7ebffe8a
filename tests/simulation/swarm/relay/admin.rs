//! Administrators: their service answers each line at once, and they expect it to, however full the
//! other listeners are.

use std::time::Duration;

use oneloop::inspect::{Cursor, Inspect, Inspection};
use oneloop::{
    CloseReason, Context, EndReason, Event, ListenerId, Next, Peer, Service, ServiceContext, Time,
};
use oneloop_sim::{RemotePeer, Rng, Script, Status};

use super::ledger::Shared;
use super::model::Step;
use super::plan::{Door, IDLE};

/// Answers each line.
pub struct Admin {
    shared: Shared,
}

/// One administrator's session.
#[derive(Debug)]
pub struct Session {
    serial: u32,
}

impl Admin {
    pub fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// Asks for a report of the loop's state, with all sessions in pieces.
    fn inspect(&mut self, cx: &mut ServiceContext) {
        let key = self.shared.0.borrow_mut().begin_walk(cx.now());
        let walk = Inspect::new(key).sessions(Cursor::default(), SESSIONS_PER_REPORT);
        cx.inspect(walk);
    }

    fn answer(&mut self, event: Event, cx: &mut Context<'_>) -> Next {
        let lines = cx.input().iter().filter(|&&byte| byte == b'\n').count();
        for _ in 0..lines {
            cx.write(ANSWER);
        }
        cx.consume(cx.input().len());
        if event == Event::Open {
            self.inspect(cx);
        }
        match event {
            Event::Eof => Next::Close(CloseReason::Eof),
            Event::Timeout => Next::Close(CloseReason::Timeout),
            Event::Drain => {
                self.shared.0.borrow_mut().administrator_drains(cx.now());
                Next::Close(CloseReason::Shutdown)
            }
            _ => Next::Read {
                until: cx.after(IDLE),
            },
        }
    }
}

impl Service for Admin {
    type Session = Session;

    fn open(&mut self, peer: Peer, _: &mut ServiceContext) -> Session {
        let serial = self.shared.0.borrow_mut().opened(&peer, Door::Admin);
        Session { serial }
    }

    fn step(&mut self, session: &mut Session, event: Event, cx: &mut Context<'_>) -> Next {
        let input = cx.input().len();
        let mut ledger = self.shared.0.borrow_mut();
        let step = Step {
            now: cx.now(),
            turn: ledger.turn,
            event,
            input,
            drains: ledger.draining_since.is_some(),
        };
        ledger.stepped(session.serial, step);
        drop(ledger);
        let next = self.answer(event, cx);
        let mut ledger = self.shared.0.borrow_mut();
        ledger.answered(session.serial, next, (input, 0, cx.written()));
        next
    }

    fn closed(&mut self, session: Session, _: Peer, reason: EndReason, cx: &mut ServiceContext) {
        let mut ledger = self.shared.0.borrow_mut();
        ledger.closed(cx.now(), session.serial, reason);
    }

    fn inspected(&mut self, key: u64, report: &Inspection<'_>, cx: &mut ServiceContext) {
        let mut ledger = self.shared.0.borrow_mut();
        ledger.reported(key, report, cx.now());
        if let Some(next) = report.next {
            cx.inspect(Inspect::new(key).sessions(next, SESSIONS_PER_REPORT));
        }
    }

    fn refusal_message(&self, _: ListenerId, _: EndReason) -> &[u8] {
        Door::Admin.refusal()
    }
}

/// An administrator: sends some lines, one after the other.
#[derive(Debug)]
pub struct Administrator {
    shared: Shared,
    random: Rng,
    requests: u64,
    /// When its answer is due, if it waits for one.
    due: Option<Time>,
    asks_at: Time,
    heard: Vec<u8>,
    is_over: bool,
}

impl Administrator {
    pub fn new(shared: Shared, mut random: Rng) -> Self {
        let requests = random.magnitude(1..=8);
        Self {
            shared,
            random,
            requests,
            due: None,
            asks_at: Time::START,
            heard: Vec::new(),
            is_over: false,
        }
    }

    /// Ends the visit. Unless there is a reason for it, `wrong` is a violation.
    fn end(&mut self, wrong: Option<&str>) -> Option<Time> {
        self.is_over = true;
        let ledger = &mut *self.shared.0.borrow_mut();
        ledger.administrator = None;
        if let Some(wrong) = wrong
            && ledger.plan.accepts_all()
            && ledger.serves_administrators()
        {
            ledger.judge("an administrator", Err(wrong.into()));
        }
        None
    }

    fn listen(&mut self, remote: &mut RemotePeer<'_>) {
        remote.read(usize::MAX, &mut self.heard);
        if self.due.is_some() && self.heard == ANSWER {
            self.heard.clear();
            self.due = None;
            self.requests -= 1;
            let pause = self.random.duration_up_to(PAUSE_MAX);
            self.asks_at = remote.now() + pause;
        }
    }
}

impl Script for Administrator {
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
        if self.is_over {
            return None;
        }
        let now = remote.now();
        match remote.status() {
            Status::Connecting => return None,
            Status::Open => {}
            Status::Failed(_) | Status::Closed => return self.end(Some("it is reset or refused")),
        }
        self.listen(remote);
        if self.requests == 0 {
            remote.close();
            return self.end(None);
        }
        if remote.at_end() || !self.heard.is_empty() && !ANSWER.starts_with(&self.heard) {
            remote.close();
            let wrong = format!("it hears {:?}", self.heard.escape_ascii().to_string());
            return self.end(Some(&wrong));
        }
        match self.due {
            Some(due) if due <= now => {
                remote.close();
                self.end(Some("it has no answer"))
            }
            Some(due) => Some(due),
            None if self.asks_at <= now => {
                remote.send(b"how are you?\n");
                self.due = Some(now + PATIENCE);
                self.due
            }
            None => Some(self.asks_at),
        }
    }
}

/// The most sessions in one report.
const SESSIONS_PER_REPORT: usize = 5;
const ANSWER: &[u8] = b"well\n";
/// The longest time until an answer: the queue, the retry of an accept, and the way.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE_MAX: Duration = Duration::from_secs(2);
