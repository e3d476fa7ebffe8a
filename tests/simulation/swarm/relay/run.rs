//! Runs one seed of the relay.

use std::rc::Rc;
use std::time::Duration;

use oneloop::net::Net;
use oneloop::{Handle, Reactor, Time, Turn};
use oneloop_sim::{Faults, LinkProfile, Network, Rng};

use super::admin::Administrator;
use super::calls::SENDERS;
use super::ledger::{Ledger, Shared};
use super::peer::FarEnd;
use super::plan::{ADMINISTRATORS, Conversation, Door, Finale, Plan, Server, administrator};
use super::whole::{self, Whole};
use crate::swarm::accounts::{self, Bounds, Rest};
use crate::swarm::oracle::Verdict;
use crate::swarm::plan::Poller;
use crate::swarm::run::{Order, Report, or_panic};
use crate::swarm::watch::SLACK;

/// A run in progress.
struct Run<const EDGE: bool> {
    plan: Plan,
    only: Option<Vec<usize>>,
    network: Network<EDGE>,
    reactor: Reactor<Whole, Network<EDGE>>,
    shared: Shared,
    /// The number of the next client, and the time of its connection.
    next: usize,
    next_at: Time,
    administrators: usize,
    turns: usize,
    rest: Rest,
    handle: Option<Handle<Whole>>,
    call_at: Time,
    /// Decides the times of calls, and what administrators do.
    random: Rng,
}

/// Runs a seed.
pub fn run(order: &Order) -> Report {
    let plan = Plan::new(order.seed);
    let chances = Rng::new(!plan.seed);
    run_plan(plan, chances, order)
}

/// Runs a plan with other chances.
pub fn run_plan(plan: Plan, chances: Rng, order: &Order) -> Report {
    match plan.poller {
        Poller::Edge => play::<true>(plan, chances, order),
        Poller::Rearmed => play::<false>(plan, chances, order),
    }
}

fn play<const EDGE: bool>(plan: Plan, chances: Rng, order: &Order) -> Report {
    let mut run = Run::<EDGE>::new(plan, chances, order);
    let verdict = or_panic(|| run.play(order.turns));
    let (turns, clients) = (run.turns, run.next);
    let sessions = run.reactor.counters().accepted();
    let (network, shared) = (run.network.clone(), run.shared.clone());
    let verdict = verdict.and_then(|()| run.end());
    let mut trace = network.take_trace();
    trace.extend(shared.0.borrow_mut().notes.take().into_iter().flatten());
    Report {
        verdict: verdict.map_err(|wrong| format!("turn {turns}: {wrong}")),
        digest: network.digest(),
        turns,
        clients,
        sessions,
        trace,
    }
}

impl<const EDGE: bool> Run<EDGE> {
    fn new(plan: Plan, chances: Rng, order: &Order) -> Self {
        let network = Network::<EDGE>::with_rng(chances);
        let mut ledger = Ledger::new(&plan);
        if order.trace {
            network.record_trace();
            ledger.notes = Some(Vec::new());
        }
        let shared = Shared(Rc::new(ledger.into()));
        network.set_observer(shared.clone());
        let mut builder = Reactor::builder(whole::new(&plan, &shared)).limits(plan.limits.clone());
        for door in Door::ALL {
            builder = builder.listen(plan.listen(door));
        }
        let reactor = builder.build_on(network.clone());
        let mut reactor = reactor.expect("valid limits and a new network");
        network.set_job_time(Duration::ZERO..=plan.job_time);
        if let Some((threads, jobs_max)) = plan.pool {
            let pool = reactor.pool("job", threads, jobs_max);
            let pool = Rc::new(pool.expect("virtual threads"));
            whole::for_each_relay(reactor.service_mut(), |relay| {
                relay.pool = Some(Rc::clone(&pool));
            });
        }
        network.set_faults(plan.faults);
        network.set_outbound_link(plan.outbound_link.clone());
        if let Some(most) = plan.descriptors_max {
            network.set_fd_limit(most);
        }
        let handle = plan.call_pause.map(|_| reactor.handle());
        Self {
            only: order.only.clone(),
            plan,
            network,
            reactor,
            shared,
            next: 0,
            next_at: Time::START,
            administrators: 0,
            turns: 0,
            rest: Rest::new(),
            handle,
            call_at: Time::START,
            random: Rng::new(order.seed.rotate_left(41)),
        }
    }

    fn play(&mut self, turns: usize) -> Verdict {
        while self.turns < turns {
            self.invite();
            self.plan_calls();
            self.turn()?;
        }
        match self.plan.finale {
            Finale::Farewell => {
                self.let_everybody_leave()?;
                self.network.stop();
                self.drain()
            }
            Finale::Drain => {
                self.network.stop();
                self.drain()
            }
            Finale::Stop => {
                self.reactor.handle().stop();
                self.drain()
            }
            Finale::Drop => Ok(()),
        }
    }

    /// Starts the next clients, and an administrator if none visits.
    fn invite(&mut self) {
        let now = self.network.time();
        while self.next_at <= now + self.plan.pause && self.next < CLIENTS_MAX {
            let number = self.next;
            self.next += 1;
            let conversation = self.plan.conversation(number);
            self.next_at = self.next_at.max(now) + conversation.pause;
            let only = self.only.as_ref();
            if only.is_none_or(|only| only.contains(&number)) {
                self.start(number, conversation);
            }
        }
        self.invite_administrator();
    }

    fn start(&mut self, number: usize, conversation: Conversation) {
        self.shared.0.borrow_mut().invite(number, &conversation);
        let [client, server] = conversation.ends;
        let (shared, frame) = (self.shared.clone(), self.plan.frame_bytes_max);
        let peer = FarEnd::new(shared.clone(), (number, 0), &conversation, frame);
        let (to, link) = (conversation.door.address(), conversation.link.clone());
        self.network
            .connect_at(self.next_at, (client, to), link, peer);
        match conversation.server {
            Server::Absent => {}
            Server::Silent => self.network.drop_syns_to(server),
            Server::Serves => self.network.serve(server, move || {
                FarEnd::new(shared.clone(), (number, 1), &conversation, frame)
            }),
        }
    }

    fn invite_administrator(&mut self) {
        let mut ledger = self.shared.0.borrow_mut();
        if ledger.administrator.is_some() || self.administrators == ADMINISTRATORS_MAX {
            return;
        }
        ledger.administrator = Some(self.administrators);
        drop(ledger);
        let from = administrator(self.administrators);
        let script = Administrator::new(self.shared.clone(), self.random.fork());
        self.administrators += 1;
        let latency = Duration::from_millis(1);
        let link = LinkProfile {
            latency: latency..=latency,
            ..LinkProfile::ideal()
        };
        let when = self.network.time() + self.random.duration_up_to(ADMINISTRATOR_PAUSE);
        let to = Door::Admin.address();
        self.network.connect_at(when, (from, to), link, script);
    }

    /// Plans the calls of other threads that come within the longest pause between them.
    fn plan_calls(&mut self) {
        let (Some(handle), Some(pause)) = (&self.handle, self.plan.call_pause) else {
            return;
        };
        let now = self.network.time();
        self.call_at = self.call_at.max(now);
        while self.call_at <= now + pause {
            self.call_at = self.call_at + self.random.duration_up_to(pause) + MICROSECOND;
            let (handle, shared, at) = (handle.clone(), self.shared.clone(), self.call_at);
            let (sender, calls) = (self.random.below(SENDERS), self.random.magnitude(1..=20));
            self.network.act_at(at, move || {
                for _ in 0..calls {
                    shared.0.borrow_mut().call(&handle, at, sender);
                }
            });
        }
    }

    fn turn(&mut self) -> Result<Turn, String> {
        self.turns += 1;
        let horizon = self.network.time() + LONGEST_SLEEP;
        self.network.stop_poll_at(Some(horizon));
        let turn = self.reactor.turn().map_err(|error| error.to_string())?;
        self.shared.0.borrow_mut().turn_ends(self.network.time());
        self.check()?;
        Ok(turn)
    }

    fn let_everybody_leave(&mut self) -> Verdict {
        let (begun, turns) = (self.network.time(), self.turns);
        while self.reactor.open_connections() > 0 || self.network.next_event_at().is_some() {
            self.turn()?;
            if self.turns > turns + FAREWELL_TURNS_MAX {
                return Ok(()); // the drain ends the others
            }
            if self.network.time() > begun + LONGEST_VISIT {
                return Err(format!(
                    "a connection never ends: {:?}",
                    self.reactor.usage()
                ));
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Verdict {
        let (begun, turns) = (self.network.time(), self.turns);
        let stopped = loop {
            if self.turns < turns + DRAIN_TURNS_WITH_ADMINISTRATORS {
                self.invite_administrator();
            }
            if let Turn::Stopped(stopped) = self.turn()? {
                break stopped;
            }
            if self.network.time() > begun + self.plan.limits.drain_timeout + SLACK {
                return Err(format!(
                    "the drain does not end: {:?}",
                    self.reactor.usage()
                ));
            }
        };
        self.shared.0.borrow_mut().is_over = true;
        accounts::check_stopped(&self.reactor, stopped)
    }

    /// Drops the reactor, lets the network deliver what is under way, and checks all streams.
    fn end(mut self) -> Verdict {
        let mut is_idle = true;
        if self.shared.0.borrow().is_over {
            whole::for_each_relay(self.reactor.service_mut(), |relay| {
                is_idle &= relay.is_idle()
            });
        }
        self.shared.0.borrow_mut().is_dropped = true;
        drop(self.reactor);
        self.shared.0.borrow_mut().is_over = true;
        self.network.set_faults(Faults::NONE);
        self.network.stop_poll_at(None);
        while self.network.next_event_at().is_some() {
            let mut events = Vec::new();
            let polled = self.network.poll(&mut events, Some(LONGEST_SLEEP));
            polled.map_err(|error| error.to_string())?;
        }
        let mut ledger = self.shared.0.borrow_mut();
        ledger.calls.check_end()?;
        if let Some(wrong) = &ledger.wrong {
            return Err(wrong.clone());
        }
        if !is_idle {
            return Err("a relay holds a pair without sessions".into());
        }
        let left = ledger.models.len();
        if left > 0 {
            return Err(format!("{left} sessions were never closed"));
        }
        match self.network.descriptors_open() {
            0 => ledger.check_streams(),
            open => Err(format!("{open} sockets were never closed")),
        }
    }

    /// Checks the invariants that hold after every turn.
    fn check(&mut self) -> Verdict {
        let ledger = self.shared.0.borrow();
        if let Some(wrong) = &ledger.wrong {
            return Err(wrong.clone());
        }
        let (steps, (accepted, _)) = (ledger.steps, ledger.doors.accounts());
        drop(ledger);
        accounts::check(&self.reactor, &self.network, (self.turns, steps))?;
        let counters = self.reactor.counters();
        // Those that were shed are counted, too.
        if counters.accepted() < accepted {
            let counted = counters.accepted();
            return Err(format!("{accepted} were accepted, {counted} are counted"));
        }
        let tally = self.network.call_counts();
        if tally.reads_without_readiness > counters.looks() {
            return Err("a connection was read that had no event".into());
        }
        if self.turns.is_multiple_of(8) {
            self.shared.0.borrow().check_patience()?;
            self.check_neglect()?;
            self.check_usage()?;
        }
        self.rest.check(&self.reactor, &self.network, false)
    }

    /// Checks that input is read and queued connections are accepted in time.
    fn check_neglect(&self) -> Verdict {
        let ledger = self.shared.0.borrow();
        let now = self.network.time();
        for (serial, model) in &ledger.models {
            if let Some(wants) = model.wants_reading_since()
                && let Some(since) = self.network.unread_since(model.peer)
                && now - since.max(wants) > SLACK
            {
                return Err(format!(
                    "session {serial} is not read since {since:?}: {model:?}"
                ));
            }
        }
        let retry = self.plan.limits.accept_retry;
        for door in Door::ALL {
            let since = self.network.waiting_since(door.address());
            let since = since.and_then(|since| ledger.doors.overdue_since(door, since));
            if since.is_some_and(|since| now - since > retry + SLACK) {
                return Err(format!("a connection waits at {door:?} since {since:?}"));
            }
        }
        Ok(())
    }

    fn check_usage(&self) -> Verdict {
        let limits = &self.plan.limits;
        let most = Bounds {
            connections: limits.connections_max + limits.refusals_max + limits.outbound_max,
            bytes: limits.input_bytes_max + limits.output_bytes_max + QUEUE_BYTES_MAX,
            timers: self.shared.0.borrow().session_timers(),
        };
        accounts::check_usage(&self.reactor.usage(), &most)
    }
}

const MICROSECOND: Duration = Duration::from_micros(1);
/// Bounded by the number of ports before those of administrators.
const CLIENTS_MAX: usize = 20_000;
const ADMINISTRATORS_MAX: usize = 1000;
const _: () = assert!(CLIENTS_MAX < ADMINISTRATORS);
/// The longest time between one administrator and the next.
const ADMINISTRATOR_PAUSE: Duration = Duration::from_secs(10);
/// Turns of a drain in which administrators still come.
const DRAIN_TURNS_WITH_ADMINISTRATORS: usize = 1000;
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Covers the kernel's time-out for a peer that has vanished.
const LONGEST_VISIT: Duration = Duration::from_secs(3600);
const FAREWELL_TURNS_MAX: usize = 2000;
/// The memory of a session's queue of a few pieces of output.
const QUEUE_BYTES_MAX: usize = 10_000;
