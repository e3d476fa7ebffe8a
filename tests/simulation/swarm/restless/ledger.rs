//! Records all sessions, connections and requests. The network's witness and the service write to
//! the ledger, which notes every violation.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;

use oneloop::{CallError, EndReason, Handle, Reply, ReplyError, Time};
use oneloop_sim::{Observer, Syscall};

use super::load::Load;
use super::model::Model;
use super::plan::Plan;
use super::service::Restless;
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
    /// The address of a connection that was accepted but is not registered yet.
    entering: Option<SocketAddr>,
    /// The connection that was accepted only to be shed.
    shed: Option<SocketAddr>,
    pub wrong: Option<String>,
    /// Outbound connections in progress, by tag, and the time of each attempt.
    pub tags: HashMap<u32, Time>,
    /// The timers of the service by key: the time each is due and the time it was set.
    pub timers: BTreeMap<u64, (Time, Time)>,
    /// Calls of other threads that the loop has taken, in order, with their times.
    pub calls: VecDeque<(u64, Time)>,
    calls_made: u64,
    replies: Vec<(u64, Reply<u64>)>,
    /// Number of calls that were carried out in this turn.
    calls_run: usize,
    /// Jobs under way, and the time each was started.
    jobs: BTreeMap<u64, Time>,
    pub draining_since: Option<Time>,
    pub is_dropped: bool,
    pub timeouts: usize,
    /// Number of timers of the service that have come in this turn.
    pub timers_fired: usize,
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
            timers: BTreeMap::new(),
            calls: VecDeque::new(),
            calls_made: 0,
            replies: Vec::new(),
            calls_run: 0,
            jobs: BTreeMap::new(),
            draining_since: None,
            is_dropped: false,
            timeouts: 0,
            timers_fired: 0,
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

    /// Notes that the end of a session is requested, which may have ended already.
    pub fn abort(&mut self, number: u32) {
        if let Some(model) = self.models.get_mut(&number) {
            model.abort(self.turn);
        }
    }

    /// Calls the loop from another thread, at the time `now`.
    pub fn call<const EDGE: bool>(&mut self, handle: &Handle<Restless<EDGE>>, now: Time) {
        let number = self.calls_made;
        self.calls_made += 1;
        let asks = number.is_multiple_of(3);
        let outcome = match asks {
            true => handle
                .ask(move |service, cx| service.called(number, cx))
                .map(|reply| self.replies.push((number, reply))),
            false => handle.run(move |service, cx| {
                service.called(number, cx);
            }),
        };
        let verdict = match outcome {
            Ok(()) => {
                self.calls.push_back((number, now));
                Ok(())
            }
            Err(CallError::Busy) if self.calls.len() >= self.plan.limits.calls_max => Ok(()),
            Err(CallError::Busy) if !self.jobs.is_empty() => Ok(()), // their results wait, too
            Err(error) => Err(format!("{error}, though only {} wait", self.calls.len())),
        };
        self.judge(&format!("the call {number}"), verdict);
    }

    /// Notes that a call is carried out. They come in order.
    pub fn called(&mut self, number: u64) {
        self.calls_run += 1;
        let verdict = match self.calls.pop_front() {
            Some((first, _)) if first == number => Ok(()),
            first => Err(format!("{first:?} was before it")),
        };
        self.judge(&format!("the call {number}"), verdict);
    }

    /// Notes that a job is started, or was refused.
    ///
    /// # Errors
    /// If it was refused although there was room.
    pub fn job_started(
        &mut self,
        number: u64,
        outcome: Result<(), CallError>,
        now: Time,
    ) -> Verdict {
        let most = self.plan.pool.map_or(0, |(_, most)| most);
        match outcome {
            Ok(()) if self.jobs.len() < most => {
                self.jobs.insert(number, now);
                Ok(())
            }
            Err(CallError::Busy) if self.jobs.len() == most => Ok(()),
            // The sessions are closed without the loop, which takes no results any more.
            Err(CallError::Stopped) if self.is_dropped => Ok(()),
            outcome => Err(format!("{outcome:?} with {} under way", self.jobs.len())),
        }
    }

    /// Notes that a job has brought its result. Once.
    pub fn job_ended(&mut self, number: u64) {
        self.calls_run += 1;
        let known = self.jobs.remove(&number).map(drop);
        let verdict = known.ok_or_else(|| "it ends twice".into());
        self.judge(&format!("the job {number}"), verdict);
    }

    /// Checks the replies once the loop is gone: none is left without an answer or an error.
    ///
    /// # Errors
    /// If one is.
    pub fn check_replies(&mut self) -> Verdict {
        for (number, mut reply) in self.replies.drain(..) {
            match reply.try_take() {
                Ok(answer) if answer == number => {}
                Err(ReplyError::Abandoned) => {}
                answer => return Err(format!("the call {number} is answered {answer:?}")),
            }
        }
        Ok(())
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
        let verdict = self.door.turn_ends();
        self.judge("the door", verdict);
        if std::mem::take(&mut self.load.sweeps) {
            for model in self.models.values_mut() {
                model.shorten(now, &self.load);
            }
        }
        self.steps.clear();
        let calls = std::mem::take(&mut self.calls_run);
        let most = self.plan.limits.turn_calls_max;
        if calls > most {
            let wrong = format!("{calls} calls in one turn, {most} are allowed");
            self.wrong.get_or_insert(wrong);
        }
        let timeouts = std::mem::take(&mut self.timeouts);
        let most = self.plan.limits.turn_deadlines_max + ready_before;
        if timeouts > most {
            let wrong = format!("{timeouts} deadlines in one turn, {most} are allowed");
            self.wrong.get_or_insert(wrong);
        }
        let timers = std::mem::take(&mut self.timers_fired);
        let most = self.plan.limits.turn_deadlines_max;
        if timers > most {
            let wrong = format!("{timers} timers in one turn, {most} are allowed");
            self.wrong.get_or_insert(wrong);
        }
    }

    pub fn check_patience(&self) -> Verdict {
        for (number, model) in &self.models {
            let verdict = model.check_patience((self.now, self.turn), self.draining_since);
            verdict.map_err(|wrong| format!("session {number}: {wrong}"))?;
        }
        let connecting = self.plan.limits.connect_timeout + SLACK;
        for (tag, &since) in &self.tags {
            if self.now - since > connecting {
                return Err(format!("connection {tag} is neither made nor failed"));
            }
        }
        if let Some((number, since)) = self.calls.front()
            && self.now - *since > SLACK
        {
            return Err(format!("the call {number} is overdue"));
        }
        let job = self.plan.job_time * self.plan.pool.map_or(0, |(_, most)| most as u32);
        if let Some((number, _)) = self
            .jobs
            .iter()
            // Once for the jobs before it, and once for the calls before its result.
            .find(|&(_, &at)| self.now - at > job + SLACK * 2)
        {
            return Err(format!("the result of job {number} is overdue"));
        }
        for (key, &(at, asked)) in &self.timers {
            if self.now - at.max(asked) > SLACK {
                return Err(format!("the timer {key} of {at:?} is overdue"));
            }
        }
        Ok(())
    }

    /// Returns the number of timers that sessions have set.
    pub fn session_timers(&self) -> usize {
        let timers = |model: &Model| model.timers.len();
        self.models.values().map(timers).sum()
    }

    /// Notes that the loop has put a connection into a slot. It counts before its first step.
    fn registered(&mut self, peer: SocketAddr) {
        if self
            .entering
            .take_if(|entering| *entering == peer)
            .is_some()
        {
            self.load.set(self.door.inside());
        }
    }

    fn left(&mut self, now: Time, peer: SocketAddr) {
        if self.shed.take() == Some(peer) {
            return; // it frees no descriptor but the one in reserve
        }
        // If its registration failed, the loop never knew it.
        self.entering.take_if(|entering| *entering == peer);
        self.door.closed(now, peer);
        self.load.set(self.door.inside());
    }
}

impl Observer for Shared {
    fn observe(&mut self, now: Time, peer: SocketAddr, what: Syscall<'_>) {
        let ledger = &mut *self.0.borrow_mut();
        ledger.now = now;
        match what {
            Syscall::Accepted => {
                let _: Admission = ledger.door.accepted(peer);
                ledger.entering = Some(peer);
            }
            Syscall::Registered => ledger.registered(peer),
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
            Syscall::Wrote { bytes, .. } => {
                model.wrote(now, bytes.len(), &ledger.load);
                if model.is_aborting() {
                    let wrong = Err(format!("it aborts, and {} bytes leave", bytes.len()));
                    ledger.judge(&format!("session {number}"), wrong);
                }
            }
            Syscall::WriteFailed(kind) if fails(kind) => model.broken = true,
            Syscall::WriteFailed(_) => model.wrote(now, 0, &ledger.load),
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
        let verdict = ledger.door.asked(now, address, result);
        ledger.judge("the door", verdict);
    }

    fn observe_shed(&mut self, _: Time, address: SocketAddr, result: Result<SocketAddr, &Error>) {
        let mut ledger = self.0.borrow_mut();
        ledger.door.shed(address, result);
    }
}
