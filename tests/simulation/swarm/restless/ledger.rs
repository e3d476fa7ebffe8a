//! Records all sessions, connections and requests. The network's witness and the service write to
//! the ledger, which notes every violation.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;

use oneloop::{EndReason, Time};
use oneloop_sim::{Observer, Syscall};

use super::load::Load;
use super::model::Model;
use super::plan::Plan;
use crate::swarm::door::{Admission, Door};
use crate::swarm::oracle::Verdict;
use crate::swarm::watch::SLACK;

/// The state of the run.
#[derive(Debug)]
pub struct Ledger {
    pub plan: Plan,
    pub now: Time,
    pub models: HashMap<u32, Model>,
    watched: HashMap<SocketAddr, u32>,
    pub door: Door,
    pub load: Load,
    /// The address of a connection that was accepted but is not known to the loop yet, and true if
    /// it is registered.
    entering: Option<(SocketAddr, bool)>,
    /// The connection that was accepted only to be shed.
    shed: Option<SocketAddr>,
    pub wrong: Option<String>,
    /// Outbound connections in progress, by tag, and the time of each attempt.
    pub tags: HashMap<u32, Time>,
    /// The timer: the time it is due and the time it was set. `timer_asked` holds a timer set since
    /// the turn began.
    pub timer: Option<(Time, Time)>,
    pub timer_asked: Option<(Time, Time)>,
    pub draining_since: Option<Time>,
    pub is_dropped: bool,
    pub timeouts: usize,
    pub turn: u64,
    /// Steps of this turn, by session.
    steps: HashMap<u32, u64>,
    /// Steps in all.
    pub steps_in_all: u64,
    pub ended: HashMap<u32, (EndReason, u64)>,
    pub listeners: HashSet<SocketAddr>,
}

/// The ledger, shared by the network's witness, the service and the peers.
#[derive(Clone, Debug)]
pub struct Shared(pub Rc<RefCell<Ledger>>);

impl Ledger {
    pub fn new(plan: &Plan) -> Self {
        Self {
            door: Door::new(&plan.limits),
            load: Load::new(&plan.limits),
            plan: plan.clone(),
            now: Time::START,
            models: HashMap::new(),
            watched: HashMap::new(),
            entering: None,
            shed: None,
            wrong: None,
            tags: HashMap::new(),
            timer: None,
            timer_asked: None,
            draining_since: None,
            is_dropped: false,
            timeouts: 0,
            turn: 0,
            steps: HashMap::new(),
            steps_in_all: 0,
            ended: HashMap::new(),
            listeners: HashSet::new(),
        }
    }

    pub fn judge(&mut self, who: &str, verdict: Verdict) {
        if let Err(wrong) = verdict {
            self.wrong.get_or_insert(format!("{who}: {wrong}"));
        }
    }

    pub fn opened(&mut self, number: u32, peer: SocketAddr) {
        let is_watched = !self.listeners.contains(&peer) && !self.watched.contains_key(&peer);
        if is_watched {
            self.watched.insert(peer, number);
        }
        self.models.insert(number, Model::new(peer, is_watched));
    }

    pub fn closed(&mut self, now: Time, number: u32, why: EndReason, written: u64) {
        self.now = now;
        let drain = self.plan.limits.drain_timeout;
        let is_over = self
            .draining_since
            .is_some_and(|since| now - since >= drain);
        let Some(model) = self.models.remove(&number) else {
            return self.judge("a session", Err(format!("{number} is closed twice")));
        };
        if model.is_watched {
            self.watched.remove(&model.peer);
        }
        self.ended.insert(number, (why, written));
        let verdict = model.closed(why, &self.plan.limits, (is_over, self.is_dropped));
        self.judge(&format!("session {number}"), verdict);
    }

    /// Counts a step. A session's steps in one turn must not exceed its budget.
    pub fn count_step(&mut self, number: u32) {
        self.steps_in_all += 1;
        let steps = self.steps.entry(number).or_default();
        *steps += 1;
        // One budget each for an event, a turn in the ready queue, the look before a deadline, and
        // the deadline.
        let most = 5 * (self.plan.limits.turn_bytes_max as u64 / 64 + 2);
        if *steps > most {
            let wrong = format!("session {number} was stepped {steps} times in one turn");
            self.wrong.get_or_insert(wrong);
        }
    }

    pub fn turn_ends(&mut self, now: Time, ready_before: usize) {
        self.now = now;
        self.turn += 1;
        self.take_note_of_entering();
        let verdict = self.door.turn_ends();
        self.judge("the door", verdict);
        if std::mem::take(&mut self.load.sweeps) {
            for model in self.models.values_mut() {
                model.shorten(now, &self.load);
            }
        }
        if let Some(at) = self.timer_asked.take() {
            self.timer = Some(at);
        }
        self.steps.clear();
        let timeouts = std::mem::take(&mut self.timeouts);
        let most = self.plan.limits.turn_deadlines_max + ready_before;
        if timeouts > most {
            let wrong = format!("{timeouts} deadlines in one turn, {most} are allowed");
            self.wrong.get_or_insert(wrong);
        }
    }

    pub fn check_patience(&self) -> Verdict {
        for (number, model) in &self.models {
            let verdict = model.check_patience(self.now, self.draining_since);
            verdict.map_err(|wrong| format!("session {number}: {wrong}"))?;
        }
        let connecting = self.plan.limits.connect_timeout + SLACK;
        for (tag, &since) in &self.tags {
            if self.now - since > connecting {
                return Err(format!("connection {tag} is neither made nor failed"));
            }
        }
        match self.timer {
            Some((at, asked)) if self.now - at.max(asked) > SLACK => {
                Err(format!("the timer of {at:?} is overdue"))
            }
            _ => Ok(()),
        }
    }

    fn take_note_of_entering(&mut self) {
        if self.entering.take().is_some() {
            self.load.set(self.door.inside());
        }
    }

    fn left(&mut self, now: Time, peer: SocketAddr) {
        if self.shed.take() == Some(peer) {
            return; // it frees no descriptor but the one in reserve
        }
        match self.entering {
            // Its registration failed: the loop never knew it.
            Some((entering, false)) if entering == peer => self.entering = None,
            _ => self.take_note_of_entering(),
        }
        self.door.closed(now, peer);
        self.load.set(self.door.inside());
    }
}

impl Observer for Shared {
    fn observe(&mut self, now: Time, peer: SocketAddr, what: Syscall<'_>) {
        let mut ledger = self.0.borrow_mut();
        ledger.now = now;
        match what {
            Syscall::Accepted => {
                ledger.take_note_of_entering();
                let _: Admission = ledger.door.accepted(peer);
                ledger.entering = Some((peer, false));
            }
            Syscall::Registered => {
                if let Some((entering, registered)) = &mut ledger.entering
                    && *entering == peer
                {
                    *registered = true;
                }
            }
            Syscall::Shed => ledger.shed = Some(peer),
            Syscall::Closed => ledger.left(now, peer),
            _ => {}
        }
        let Some(&number) = ledger.watched.get(&peer) else {
            return;
        };
        let Some(model) = ledger.models.get_mut(&number) else {
            return;
        };
        let fails = |kind| !matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted);
        match what {
            Syscall::Wrote { bytes, offered } => model.wrote(now, bytes.len() == offered),
            Syscall::WriteFailed(kind) if fails(kind) => model.broken = true,
            Syscall::WriteFailed(_) => model.wrote(now, false),
            Syscall::ReadFailed(kind) if fails(kind) => model.broken = true,
            Syscall::Broken(_) => model.broken = true,
            Syscall::Finished => model.is_finished = true,
            Syscall::Reset => model.was_reset = true,
            _ => {}
        }
    }

    fn observe_accept(
        &mut self,
        now: Time,
        address: SocketAddr,
        result: Result<SocketAddr, &Error>,
    ) {
        let mut ledger = self.0.borrow_mut();
        ledger.take_note_of_entering();
        let verdict = ledger.door.asked(now, address, result);
        ledger.judge("the door", verdict);
    }

    fn observe_shed(&mut self, _: Time, address: SocketAddr, result: Result<SocketAddr, &Error>) {
        let mut ledger = self.0.borrow_mut();
        ledger.take_note_of_entering();
        ledger.door.shed(address, result);
    }
}
