//! Records all sessions, streams and requests. The network's witness, the service and the peers write
//! to the ledger, which notes every violation.

mod witness;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use oneloop::inspect::Inspection;
use oneloop::{CallError, CloseReason, ConnectError, EndReason, Handle, Next, Peer, Time};

use super::calls::Calls;
use super::doors::Doors;
use super::inspections::Inspections;
use super::model::{Ending, Model, Role, Step};
use super::plan::{ADMINISTRATORS, Conversation, Door, Leaves, Plan, Server, number_of};
use super::streams::Streams;
use super::whole::Whole;
use crate::swarm::oracle::Verdict;
use crate::swarm::watch::SLACK;

/// The state of the run.
#[derive(Debug)]
pub struct Ledger {
    pub plan: Plan,
    pub now: Time,
    pub turn: u64,
    pub wrong: Option<String>,
    /// The sessions by their serial numbers.
    pub models: BTreeMap<u32, Model>,
    sessions: u32,
    /// The open sessions by the addresses of their peers.
    by_address: HashMap<SocketAddr, u32>,
    /// The conversations by number.
    pub streams: HashMap<usize, Streams>,
    pub doors: Doors,
    /// The turn in which all sessions were woken last.
    woken_all_in: Option<u64>,
    /// The connection that was accepted only to be shed.
    shed: Option<SocketAddr>,
    pub calls: Calls,
    inspections: Inspections,
    /// The administrator that visits at present.
    pub administrator: Option<usize>,
    /// Outbound connections in progress, by conversation, and the time of each attempt.
    connecting: BTreeMap<usize, Time>,
    /// The timers of the services by key: the time each is due and the time it was set.
    timers: BTreeMap<(Door, u64), (Time, Time)>,
    /// Jobs under way, and the time each was started.
    jobs: BTreeMap<u64, Time>,
    jobs_started: u64,
    pub draining_since: Option<Time>,
    /// Since when the administrators are to drain, too.
    last_drains_since: Option<Time>,
    pub is_dropped: bool,
    /// The loop has stopped, or is gone.
    pub is_over: bool,
    pub steps: u64,
    /// The traffic of the session that was closed last, for the meter.
    metered: Option<(u64, u64)>,
    /// What the sessions have done, if it is recorded.
    pub notes: Option<Vec<String>>,
}

/// The ledger, shared by the network's witness, the service and the peers.
#[derive(Clone, Debug)]
pub struct Shared(pub Rc<RefCell<Ledger>>);

impl Ledger {
    pub fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            now: Time::START,
            turn: 0,
            wrong: None,
            models: BTreeMap::new(),
            sessions: 0,
            by_address: HashMap::new(),
            streams: HashMap::new(),
            doors: Doors::new(plan),
            woken_all_in: None,
            shed: None,
            calls: Calls::default(),
            inspections: Inspections::default(),
            administrator: None,
            connecting: BTreeMap::new(),
            timers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            jobs_started: 0,
            draining_since: None,
            last_drains_since: None,
            is_dropped: false,
            is_over: false,
            steps: 0,
            metered: None,
            notes: None,
        }
    }

    pub fn judge(&mut self, subject: impl Display, verdict: Verdict) {
        if let Err(wrong) = verdict {
            self.wrong.get_or_insert(format!("{subject}: {wrong}"));
        }
    }

    pub fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(notes) = &mut self.notes {
            notes.push(format!("{:?} {}", self.now, text()));
        }
    }

    /// Adds a conversation, before its client connects.
    pub fn invite(&mut self, number: usize, conversation: &Conversation) {
        self.streams.insert(number, Streams::new(conversation));
    }

    pub fn streams(&mut self, number: usize) -> &mut Streams {
        self.streams.get_mut(&number).expect("it was invited")
    }

    /// Notes why a conversation need not be complete.
    pub fn excuse(&mut self, number: usize, why: &str) {
        self.note(|| format!("conversation {number}: {why}"));
        self.streams(number).excuse(why);
    }
}

/// The sessions.
impl Ledger {
    /// Notes a new session, and returns its serial number.
    pub fn opened(&mut self, peer: &Peer, door: Door) -> u32 {
        let address = peer.address.socket_addr().expect("an IP address");
        let serial = self.sessions;
        self.sessions += 1;
        let role = role_of(address);
        self.note(|| format!("session {serial} opens: {role:?}"));
        let verdict = match (role, peer.listener) {
            (Role::End(number, 1), None) => {
                let known = self.connecting.remove(&number).map(drop);
                known.ok_or_else(|| "it was not asked for".into())
            }
            (Role::End(_, 0) | Role::Administrator, Some(listener)) => {
                self.doors.opened(address, listener.name())
            }
            _ => Err(format!("{role:?} comes from {:?}", peer.listener)),
        };
        self.judge(format_args!("session {serial}"), verdict);
        let mut model = Model::new(address, role, door);
        // It may be among the sessions that are woken at the end of this turn.
        model.may_wake(self.woken_all_in.filter(|&asked| asked + 1 >= self.turn));
        if let Role::End(number, end) = role {
            let streams = self.streams(number);
            streams.sides[end].is_connected = true;
            model.is_duplex = streams.duplex;
            let right = streams.door == door;
            let verdict = right.then_some(());
            let verdict = verdict.ok_or_else(|| format!("the relay of {door:?} has its session"));
            self.judge(format_args!("conversation {number}"), verdict);
        }
        self.by_address.insert(address, serial);
        self.models.insert(serial, model);
        serial
    }

    /// Checks a step.
    pub fn stepped(&mut self, serial: u32, step: Step) {
        self.now = step.now;
        self.note(|| {
            format!(
                "session {serial}: {:?} with {} bytes",
                step.event, step.input
            )
        });
        let verdict = match self.models.get_mut(&serial) {
            Some(model) => model.stepped(step),
            None => Err("it is closed".into()),
        };
        self.judge(format_args!("session {serial}"), verdict);
    }

    pub fn answered(&mut self, serial: u32, next: Next, bytes: (usize, usize, usize)) {
        self.note(|| {
            let (consumed, left, written) = bytes;
            format!(
                "session {serial}: {next:?}, {consumed} consumed, {left} left, {written} written"
            )
        });
        if let Some(model) = self.models.get_mut(&serial) {
            model.answered(next, bytes);
        }
    }

    /// Notes that a session, or a layer around it, closes its connection.
    pub fn closes(&mut self, peer: SocketAddr, reason: CloseReason) {
        if let Some(model) = self.model_at(peer) {
            model.close(reason);
        }
    }

    pub fn closed(&mut self, now: Time, serial: u32, why: EndReason) {
        self.now = now;
        self.note(|| format!("session {serial} is closed: {why}"));
        let Some(model) = self.models.remove(&serial) else {
            return self.judge("a session", Err(format!("{serial} is closed twice")));
        };
        self.by_address.remove(&model.peer);
        self.metered = (!model.panicked).then(|| model.traffic());
        let mut ending = self.ending(now);
        if let Role::End(number, end) = model.role {
            let streams = self.streams(number);
            ending.dawdles = streams.dawdles();
            ending.leaves = matches!(streams.sides[end].manners.leaves, Leaves::ByClosing(_));
            if why != EndReason::Completed {
                self.excuse(number, &format!("its end {end} ended as \"{why}\""));
            }
            if why == EndReason::Timeout {
                self.streams(number).cut_orderly();
            }
        }
        let verdict = model.closed(why, &ending);
        self.judge(format_args!("session {serial}"), verdict);
        if !matches!(model.role, Role::End(_, 1)) {
            let verdict = self.doors.session_closed(model.peer);
            self.judge(format_args!("session {serial}"), verdict);
        }
    }

    fn ending(&self, now: Time) -> Ending {
        let grace = self.plan.limits.drain_timeout;
        Ending {
            drains: self.draining_since.is_some(),
            drain_is_over: self
                .draining_since
                .is_some_and(|since| now - since >= grace),
            is_dropped: self.is_dropped,
            dawdles: false,
            leaves: false,
        }
    }

    /// Checks the traffic that the meter reports for the session that was closed last.
    pub fn metered(&mut self, peer: &Peer, bytes: (u64, u64)) {
        let expected = self.metered.take();
        let verdict = match expected {
            Some(expected) if expected != bytes => {
                Err(format!("{bytes:?} bytes are reported, {expected:?} passed"))
            }
            _ => Ok(()),
        };
        self.judge(format_args!("the meter of {}", peer.address), verdict);
    }

    pub fn wake(&mut self, serial: u32, now: Time) {
        let turn = self.turn;
        if let Some(model) = self.models.get_mut(&serial) {
            model.wake(now, turn);
        }
    }

    pub fn wake_all(&mut self, now: Time) {
        let turn = self.turn;
        self.note(|| "all sessions are woken".into());
        self.woken_all_in = Some(turn);
        for model in self.models.values_mut() {
            model.wake(now, turn);
        }
    }

    /// Notes that the end of a session is requested.
    pub fn abort(&mut self, serial: u32, why: &str) {
        let turn = self.turn;
        self.note(|| format!("session {serial} is to be aborted: {why}"));
        let Some(model) = self.models.get_mut(&serial) else {
            return;
        };
        model.abort(turn);
        if let Role::End(number, _) = model.role {
            self.excuse(number, why);
        }
    }

    /// Sets a timer of a session, or cancels it.
    pub fn set_session_timer(&mut self, serial: u32, key: u32, at: Option<Time>, now: Time) {
        let Some(model) = self.models.get_mut(&serial) else {
            return;
        };
        match at {
            Some(at) => drop(model.timers.insert(key, (at, now))),
            None => drop(model.timers.remove(&key)),
        }
    }

    /// Returns the number of timers that sessions have set.
    pub fn session_timers(&self) -> usize {
        self.models.values().map(|model| model.timers.len()).sum()
    }
}

/// Connections, timers and jobs of the service.
impl Ledger {
    pub fn connecting(&mut self, number: usize, now: Time) {
        self.connecting.insert(number, now);
    }

    pub fn connect_failed(&mut self, number: usize, error: &ConnectError, now: Time) {
        self.now = now;
        let since = self.connecting.remove(&number);
        let server = self.streams(number).server;
        let timeout = self.plan.limits.connect_timeout;
        let verdict = match since {
            None => Err("it was not asked for".into()),
            Some(_) if self.draining_since.is_some() => Ok(()),
            Some(since) if error.kind() == ErrorKind::TimedOut => {
                let right = server == Server::Silent && now - since >= timeout;
                right
                    .then_some(())
                    .ok_or(format!("it timed out after {:?}", now - since))
            }
            Some(_) if server == Server::Absent => Ok(()),
            // For want of descriptors or places, or because of the network.
            Some(_) if error.kind() == ErrorKind::QuotaExceeded => self.check_outbound_quota(),
            Some(_) if !self.plan.accepts_all() => Ok(()),
            Some(_) => {
                let leaves = self.streams(number).sides[1].manners.leaves;
                let resets = matches!(leaves, Leaves::ByReset(_));
                resets.then_some(()).ok_or(format!("it failed: {error}"))
            }
        };
        self.judge(format_args!("the connection of {number}"), verdict);
        self.excuse(number, "its server cannot be reached");
    }

    /// Checks that there are as many outbound connections as there may be.
    fn check_outbound_quota(&self) -> Verdict {
        let servers = self.models.values();
        let servers = servers.filter(|model| matches!(model.role, Role::End(_, 1)));
        let outbound = servers.count() + self.connecting.len();
        let most = self.plan.limits.outbound_max;
        // Those that have just ended may hold their places until the end of the turn.
        match outbound + 1 >= most {
            true => Ok(()),
            false => Err(format!("it was refused with {outbound} of {most}")),
        }
    }

    /// Calls the loop from another thread.
    pub fn call(&mut self, handle: &Handle<Whole>, now: Time, sender: usize) {
        if self.is_over {
            return;
        }
        let (most, results) = (self.plan.limits.calls_max, self.jobs.len());
        let verdict = self.calls.call(handle, now, (sender, most, results));
        self.judge("the calls", verdict);
    }

    /// Begins a walk over the sessions, and returns its key.
    pub fn begin_walk(&mut self, now: Time) -> u64 {
        let open = self.models.values().map(|model| model.peer);
        self.inspections.begin(now, open.collect())
    }

    /// Checks a report of the loop's state.
    pub fn reported(&mut self, key: u64, report: &Inspection<'_>, now: Time) {
        self.now = now;
        let turn = self.turn;
        let verdict = self
            .inspections
            .reported((key, report), (now, turn), &self.doors);
        self.judge("a report", verdict);
    }

    /// Sets a timer of a service, or cancels it.
    pub fn set_timer(&mut self, door: Door, key: u64, at: Option<Time>, now: Time) {
        match at {
            Some(at) => drop(self.timers.insert((door, key), (at, now))),
            None => drop(self.timers.remove(&(door, key))),
        }
    }

    pub fn timer_fired(&mut self, door: Door, key: u64, now: Time) {
        self.now = now;
        let verdict = match self.timers.remove(&(door, key)) {
            Some((at, _)) if at <= now => Ok(()),
            due => Err(format!("it comes at {now:?}, asked for was {due:?}")),
        };
        self.judge(format_args!("the timer {key} of {door:?}"), verdict);
    }

    /// Returns the number of the next job.
    pub fn next_job(&self) -> u64 {
        self.jobs_started
    }

    /// Notes that a job is started, or was refused. Returns true if it is under way.
    pub fn job_started(&mut self, outcome: Result<(), CallError>, now: Time) -> bool {
        let most = self.plan.pool.map_or(0, |(_, most)| most);
        let started = outcome.is_ok();
        let verdict = match outcome {
            Ok(()) if self.jobs.len() < most => {
                self.jobs.insert(self.jobs_started, now);
                Ok(())
            }
            Err(CallError::Busy) if self.jobs.len() == most => Ok(()),
            Err(CallError::Stopped) if self.is_dropped => Ok(()),
            outcome => Err(format!("{outcome:?} with {} under way", self.jobs.len())),
        };
        let number = self.jobs_started;
        self.judge(format_args!("the job {number}"), verdict);
        self.jobs_started += 1;
        started
    }

    /// Notes that a job has brought its result. Once.
    pub fn job_ended(&mut self, number: u64) {
        self.calls.count_run();
        let known = self.jobs.remove(&number).map(drop);
        let verdict = known.ok_or_else(|| "it ends twice".into());
        self.judge(format_args!("the job {number}"), verdict);
    }

    pub fn drains(&mut self, now: Time) {
        self.now = now;
        self.note(|| "the drain begins".into());
        self.draining_since.get_or_insert(now);
    }

    /// Returns true while administrators must be served, although the others drain.
    pub fn serves_administrators(&self) -> bool {
        if self.is_over || self.is_dropped {
            return false;
        }
        let Some(since) = self.draining_since else {
            return true;
        };
        self.now - since < self.first_drains_for() && self.others_are_open()
    }

    /// Returns the time after which administrators drain in any case.
    fn first_drains_for(&self) -> Duration {
        self.plan.limits.drain_timeout * 9 / 10
    }

    fn others_are_open(&self) -> bool {
        let mut models = self.models.values();
        models.any(|model| model.role != Role::Administrator)
    }

    /// Notes since when administrators are to drain.
    fn note_last_drain(&mut self) {
        let Some(since) = self.draining_since else {
            return;
        };
        let is_time = self.now - since >= self.first_drains_for();
        let others = self.others_are_open() || !self.connecting.is_empty();
        match is_time || !others {
            true => drop(self.last_drains_since.get_or_insert(self.now)),
            false => self.last_drains_since = None,
        }
    }

    /// Checks that the drain of an administrator is due.
    pub fn administrator_drains(&mut self, now: Time) {
        self.now = now;
        let early = self.serves_administrators();
        let verdict = (!early).then_some(());
        let verdict = verdict.ok_or_else(|| "it drains before the others have ended".into());
        self.judge("an administrator", verdict);
    }
}

/// The checks at the end of a turn.
impl Ledger {
    pub fn turn_ends(&mut self, now: Time) {
        self.now = now;
        self.turn += 1;
        self.note_last_drain();
        let open = |peer| self.by_address.contains_key(&peer);
        let verdict = self.inspections.turn_ends(self.turn, open);
        self.judge("a report", verdict);
        let most = self.plan.limits.turn_calls_max;
        let verdict = self.calls.turn_ends(most);
        self.judge("the calls", verdict);
    }

    pub fn check_patience(&self) -> Verdict {
        self.doors.check()?;
        // The listeners' queues are accepted from first.
        let retry = self.plan.limits.accept_retry + SLACK;
        let last = self.last_drains_since.map(|since| since + retry);
        for (serial, model) in &self.models {
            let drains_since = match model.role {
                Role::Administrator => last,
                Role::End(..) => self.draining_since,
            };
            let verdict = model.check_patience(self.now, self.turn, drains_since);
            verdict.map_err(|wrong| format!("session {serial}: {wrong}"))?;
        }
        let longest = self.plan.limits.connect_timeout + SLACK;
        for (number, &since) in &self.connecting {
            if self.now - since > longest {
                return Err(format!("connection {number} is neither made nor failed"));
            }
        }
        self.calls.check_patience(self.now)?;
        self.inspections.check_patience(self.now)?;
        let job = self.plan.job_time * self.plan.pool.map_or(0, |(_, most)| most as u32);
        let overdue = |&(_, &at): &(&u64, &Time)| self.now - at > job + SLACK;
        if let Some((number, _)) = self.jobs.iter().find(overdue) {
            return Err(format!("the result of job {number} is overdue"));
        }
        for ((door, key), &(at, set)) in &self.timers {
            if self.now - at.max(set) > SLACK {
                return Err(format!(
                    "the timer {key} of {door:?}, of {at:?}, is overdue"
                ));
            }
        }
        Ok(())
    }

    /// Checks the streams of all conversations, once nothing is under way any more.
    pub fn check_streams(&self) -> Verdict {
        let mut numbers: Vec<_> = self.streams.keys().collect();
        numbers.sort_unstable();
        for number in numbers {
            let verdict = self.streams[number].check();
            verdict.map_err(|wrong| format!("conversation {number}: {wrong}"))?;
        }
        Ok(())
    }

    fn model_at(&mut self, peer: SocketAddr) -> Option<&mut Model> {
        let serial = self.by_address.get(&peer)?;
        self.models.get_mut(serial)
    }
}

fn role_of(peer: SocketAddr) -> Role {
    match number_of(peer) {
        (number, end) if number < ADMINISTRATORS => Role::End(number, end),
        _ => Role::Administrator,
    }
}
