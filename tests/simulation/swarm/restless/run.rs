//! Runs one seed of the restless service.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use oneloop::{Handle, Reactor, Time, Turn};
use oneloop_sim::{LinkProfile, Network, Rng};

use super::ledger::{Ledger, Shared};
use super::peer::FarEnd;
use super::plan::{Finale, Plan};
use super::service::Restless;
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
    reactor: Reactor<Restless<EDGE>, Network<EDGE>>,
    shared: Shared,
    addresses: Vec<SocketAddr>,
    next: usize,
    next_at: Time,
    turns: usize,
    rest: Rest,
    is_draining: bool,
    /// The end of the loop that other threads have, if there are any.
    handle: Option<Handle<Restless<EDGE>>>,
    call_at: Time,
    /// Decides the times of calls.
    random: Rng,
    /// Number of steps at the end of the last turn.
    steps: u64,
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
    let (digest, turns, clients) = (run.network.digest(), run.turns, run.next);
    let (sessions, trace) = (run.reactor.counters().accepted(), run.network.take_trace());
    let verdict = verdict.and_then(|()| run.drop());
    Report {
        verdict: verdict.map_err(|wrong| format!("turn {turns}: {wrong}")),
        digest,
        turns,
        clients,
        sessions,
        trace,
    }
}

impl<const EDGE: bool> Run<EDGE> {
    fn new(plan: Plan, chances: Rng, order: &Order) -> Self {
        let network = Network::<EDGE>::with_rng(chances);
        if order.trace {
            network.record_trace();
        }
        let shared = Shared(Rc::new(Ledger::new(&plan).into()));
        network.set_observer(shared.clone());
        let service = Restless::new(shared.clone(), network.clone(), plan.seed);
        let reactor = Reactor::with_net(service, plan.limits.clone(), network.clone());
        let mut reactor = reactor.expect("valid limits");
        let addresses: Vec<_> = (0..plan.listeners)
            .map(|number| {
                let address = SocketAddr::from(([10, 0, 0, 1], 6000 + number));
                reactor.listen(address).expect("a new network")
            })
            .collect();
        network.set_job_time(Duration::ZERO..=plan.job_time);
        let handle = plan.call_pause.map(|_| reactor.handle());
        if let Some((threads, jobs_max)) = plan.pool {
            let pool = reactor
                .pool("job", threads, jobs_max)
                .expect("virtual threads");
            reactor.service_mut().pool = Some(pool);
        }
        shared.0.borrow_mut().listeners = addresses.iter().copied().collect();
        network.set_faults(plan.faults);
        network.set_outbound_link(plan.outbound_link.clone());
        if let Some(most) = plan.descriptors_max {
            network.set_fd_limit(most);
        }
        Self {
            only: order.only.clone(),
            plan,
            network,
            reactor,
            shared,
            addresses,
            next: 0,
            next_at: Time::START,
            turns: 0,
            rest: Rest::new(),
            is_draining: false,
            handle,
            call_at: Time::START,
            random: Rng::new(order.seed.rotate_left(41)),
            steps: 0,
        }
    }

    fn play(&mut self, turns: usize) -> Verdict {
        while self.turns < turns {
            self.invite();
            self.plan_calls();
            self.turn()?;
        }
        match self.plan.finale {
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

    /// Starts the next client once its time has come.
    fn invite(&mut self) {
        let now = self.network.time();
        while self.next_at <= now + self.plan.pause && self.next < CLIENTS_MAX {
            let number = self.next;
            let seed = self.plan.seed.rotate_left(32) ^ (number as u64 + 1);
            let mut random = Rng::new(seed);
            self.next_at = self.next_at.max(now) + random.duration_up_to(self.plan.pause);
            self.next += 1;
            if self
                .only
                .as_ref()
                .is_some_and(|only| !only.contains(&number))
            {
                continue;
            }
            let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1 + random.below(6) as u8));
            let from = SocketAddr::new(ip, 1024 + number as u16);
            let to = random.choose(&self.addresses);
            let link = LinkProfile::sample(&mut random);
            let shared = self.shared.clone();
            let peer = FarEnd::caller(shared, random, number as u32);
            self.network
                .connect_at(self.next_at, (from, to), link, peer);
        }
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
            // Now and then several at once.
            let calls = self.random.magnitude(1..=20);
            self.network.act_at(at, move || {
                for _ in 0..calls {
                    shared.0.borrow_mut().call(&handle, at);
                }
            });
        }
    }

    fn turn(&mut self) -> Result<Turn, String> {
        self.turns += 1;
        let horizon = self.network.time() + LONGEST_SLEEP;
        self.network
            .stop_poll_at(Some(horizon.min(self.next_at.max(self.network.time()))));
        if self.is_draining {
            self.network.stop_poll_at(Some(horizon));
        }
        let ready = self.reactor.usage().ready;
        let turn = self.reactor.turn().map_err(|error| error.to_string())?;
        let mut ledger = self.shared.0.borrow_mut();
        ledger.turn_ends(self.network.time(), ready);
        drop(ledger);
        self.check()?;
        Ok(turn)
    }

    fn drain(&mut self) -> Verdict {
        self.is_draining = true;
        let begun = self.network.time();
        let stopped = loop {
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
        accounts::check_stopped(&self.reactor, stopped)
    }

    /// Drops the reactor, and checks that the service gets back every session.
    fn drop(self) -> Verdict {
        self.shared.0.borrow_mut().is_dropped = true;
        drop(self.reactor);
        let mut ledger = self.shared.0.borrow_mut();
        ledger.check_replies()?;
        if let Some(wrong) = &ledger.wrong {
            return Err(wrong.clone());
        }
        let left = ledger.models.len();
        if left > 0 {
            return Err(format!("{left} sessions were never closed"));
        }
        match self.network.descriptors_open() {
            0 => Ok(()),
            open => Err(format!("{open} sockets were never closed")),
        }
    }

    fn check(&mut self) -> Verdict {
        let ledger = self.shared.0.borrow();
        if let Some(wrong) = &ledger.wrong {
            return Err(wrong.clone());
        }
        drop(ledger);
        let steps = self.shared.0.borrow().steps_in_all;
        accounts::check(&self.reactor, &self.network, (self.turns, steps))?;
        let tally = self.network.call_counts();
        if tally.reads_without_readiness > self.reactor.counters().looks() {
            return Err("a connection was read that had no event".into());
        }
        if tally.abandoned > 0 && self.plan.limits.drain_timeout > SLACK * 3 {
            // Unless the loop had no descriptor for them, or no time.
            let exhausted = self.reactor.counters().accept_exhausted() > 0;
            let failed = self.reactor.counters().accept_failures() > 0;
            // A full server keeps them queued, and a needlessly blocking accept hides them.
            let hidden = self.plan.limits.when_full == oneloop::WhenFull::Queue
                || self.plan.faults.needless_blocks > 0.0;
            if !exhausted && !failed && !hidden {
                return Err("the queue was not accepted before the end".into());
            }
        }
        if self.turns.is_multiple_of(8) {
            self.shared.0.borrow().check_patience()?;
            self.check_neglect()?;
            self.check_usage()?;
        }
        let worked = self.has_stepped();
        self.rest.check(&self.reactor, &self.network, worked)
    }

    /// Checks that input is read and queued connections are accepted in time.
    fn check_neglect(&self) -> Verdict {
        let ledger = self.shared.0.borrow();
        let now = self.network.time();
        for (number, model) in &ledger.models {
            let Some(wants) = model.wants_reading_since(&self.plan.limits) else {
                continue;
            };
            let since = self
                .network
                .unread_since(model.peer)
                .filter(|_| model.is_watched);
            if since.is_some_and(|since| now - since.max(wants) > SLACK) {
                return Err(format!(
                    "session {number} is not read since {since:?}: {model:?}"
                ));
            }
        }
        for &address in &self.addresses {
            let since = self.network.waiting_since(address);
            let since = since.and_then(|since| ledger.door.overdue_since(address, since));
            if since.is_some_and(|since| now - since > SLACK) {
                return Err(format!("somebody has waited at {address} since {since:?}"));
            }
        }
        Ok(())
    }

    fn check_usage(&self) -> Verdict {
        let limits = &self.plan.limits;
        let raised_max = limits.input_bytes_hard_max;
        let input_max = raised_max.unwrap_or(limits.input_bytes_max);
        let queue_max = match self.plan.habits.duplex > 0.0 {
            true => QUEUE_BYTES_MAX + APPENDED_BYTES_MAX,
            false => QUEUE_BYTES_MAX,
        };
        let most = Bounds {
            connections: limits.connections_max + limits.refusals_max + limits.outbound_max,
            bytes: input_max + limits.output_bytes_max + queue_max,
            timers: self.shared.0.borrow().session_timers(),
        };
        accounts::check_usage(&self.reactor.usage(), &most)
    }

    /// Returns true if the last turn has stepped a session, or may have fired a timer of the service:
    /// one that is set for a time that has passed fires in every turn.
    fn has_stepped(&mut self) -> bool {
        let steps = self.reactor.counters().steps();
        let before = std::mem::replace(&mut self.steps, steps);
        steps != before || !self.shared.0.borrow().timers.is_empty()
    }
}

const MICROSECOND: Duration = Duration::from_micros(1);
const CLIENTS_MAX: usize = 20_000;
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// The memory of a session's queue of a few pieces of output.
const QUEUE_BYTES_MAX: usize = 1024;
/// The memory beyond the bytes of output that is appended to pending output in full duplex: space for
/// what follows, and a longer queue.
const APPENDED_BYTES_MAX: usize = 4 * 4096;
