//! Runs one seed, from the first client until the last connection has been cleaned up.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use oneloop::{Reactor, Time, Turn, Usage};
use oneloop_sim::{Network, Rng};

use super::accounts::{self, Bounds, Rest};
use super::oracle::Verdict;
use super::plan::{Finale, Plan, Poller, longest_answer};
use super::population::Player;
use super::watch::{SLACK, Watch, Watched};
use super::{relay, restless};

/// A run to make, and its options.
#[derive(Clone, Debug)]
pub struct Order {
    pub service: ServiceUnderTest,
    pub seed: u64,
    /// Turns of the loop before the finale begins.
    pub turns: usize,
    /// The only clients that connect; `None` for all.
    pub only: Option<Vec<usize>>,
    pub trace: bool,
}

/// The service under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceUnderTest {
    /// The greeting server among clients.
    Greeting,
    /// A service that does everything the contract allows: see [`super::restless`].
    Restless,
    /// A relay between clients and servers, in layers: see [`super::relay`].
    Relay,
}

impl ServiceUnderTest {
    /// Returns its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Restless => "restless",
            Self::Relay => "relay",
        }
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    pub verdict: Verdict,
    /// Differs between runs that differ.
    pub digest: u64,
    pub turns: usize,
    pub clients: usize,
    pub sessions: u64,
    pub trace: Vec<String>,
}

/// A run in progress.
struct Run<const EDGE: bool> {
    plan: Plan,
    only: Option<Vec<usize>>,
    network: Network<EDGE>,
    reactor: Reactor<Watched, Network<EDGE>>,
    watch: Watch,
    /// Addresses of the server's listeners.
    addresses: Vec<SocketAddr>,
    /// Number of the next client, and the time of its connection.
    next: usize,
    next_at: Time,
    /// Connection times of the clients that are still to connect.
    coming: Vec<Time>,
    turns: usize,
    rest: Rest,
    draining: bool,
}

/// Runs a seed.
pub fn run(order: &Order) -> Report {
    match order.service {
        ServiceUnderTest::Greeting => run_greeting(order),
        ServiceUnderTest::Restless => restless::run::run(order),
        ServiceUnderTest::Relay => relay::run::run(order),
    }
}

fn run_greeting(order: &Order) -> Report {
    let plan = Plan::new(order.seed);
    match plan.poller {
        Poller::Edge => run_on::<true>(plan, order),
        Poller::Rearmed => run_on::<false>(plan, order),
    }
}

/// Runs the bytes of a fuzz target. The first third decides the weather and the limits, the second
/// the clients, the last the network's chances.
pub fn run_script(bytes: &[u8], turns: usize) -> Report {
    let script = Script::new(bytes);
    let mut plan = Plan::drawn(script.seed, &mut Rng::scripted(script.plan));
    plan.clients = Some(script.clients.to_vec());
    let order = script.order(ServiceUnderTest::Greeting, turns);
    let chances = Rng::scripted(script.chances);
    match plan.poller {
        Poller::Edge => play::<true>(plan, chances, &order),
        Poller::Rearmed => play::<false>(plan, chances, &order),
    }
}

/// Runs the bytes of a fuzz target, as [`run_script`] does, with the relay.
pub fn run_relay_script(bytes: &[u8], turns: usize) -> Report {
    let script = Script::new(bytes);
    let mut plan = relay::plan::Plan::drawn(script.seed, &mut Rng::scripted(script.plan));
    plan.conversations = Some(script.clients.to_vec());
    let order = script.order(ServiceUnderTest::Relay, turns);
    relay::run::run_plan(plan, Rng::scripted(script.chances), &order)
}

/// The bytes of a fuzz target.
struct Script<'a> {
    seed: u64,
    plan: &'a [u8],
    clients: &'a [u8],
    chances: &'a [u8],
}

impl<'a> Script<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let (plan, rest) = bytes.split_at(bytes.len() / 3);
        let (clients, chances) = rest.split_at(rest.len() / 2);
        let seed = plan
            .iter()
            .fold(0, |seed: u64, &byte| seed.rotate_left(8) ^ u64::from(byte));
        Self {
            seed,
            plan,
            clients,
            chances,
        }
    }

    fn order(&self, service: ServiceUnderTest, turns: usize) -> Order {
        Order {
            service,
            seed: self.seed,
            turns,
            only: None,
            trace: false,
        }
    }
}

fn run_on<const EDGE: bool>(plan: Plan, order: &Order) -> Report {
    let chances = Rng::new(!plan.seed);
    play::<EDGE>(plan, chances, order)
}

fn play<const EDGE: bool>(plan: Plan, chances: Rng, order: &Order) -> Report {
    let mut run = Run::<EDGE>::new(plan, chances, order);
    let verdict = or_panic(|| run.play(order.turns));
    Report {
        verdict: verdict.map_err(|wrong| format!("turn {}: {wrong}", run.turns)),
        digest: run.network.digest(),
        turns: run.turns,
        clients: run.next,
        sessions: run.reactor.counters().accepted(),
        trace: run.network.take_trace(),
    }
}

impl<const EDGE: bool> Run<EDGE> {
    fn new(plan: Plan, chances: Rng, order: &Order) -> Self {
        let network = Network::with_rng(chances);
        if order.trace {
            network.record_trace();
        }
        let watch = Watch::new(&plan);
        network.set_observer(watch.clone());
        let limits = plan.limits.clone();
        let reactor = Reactor::with_net(watch.service(), limits, network.clone());
        let mut reactor = reactor.expect("valid limits");
        let addresses = (0..plan.listeners).map(|number| {
            let address = SocketAddr::from(([10, 0, 0, 1], 6000 + number));
            reactor.listen(address).expect("a new network")
        });
        let addresses = addresses.collect();
        network.set_faults(plan.faults);
        if let Some(most) = plan.descriptors_max {
            network.set_fd_limit(most);
        }
        Self {
            only: order.only.clone(),
            plan,
            network,
            reactor,
            watch,
            addresses,
            next: 0,
            next_at: Time::START,
            coming: Vec::new(),
            turns: 0,
            rest: Rest::new(),
            draining: false,
        }
    }

    fn play(&mut self, turns: usize) -> Verdict {
        while self.turns < turns {
            self.invite();
            self.turn()?;
        }
        if self.plan.finale == Finale::Farewell {
            self.let_everybody_leave()?;
        }
        self.drain()
    }

    /// Starts the next clients. Some are always on their way, so that the loop never wakes because
    /// of the test itself.
    fn invite(&mut self) {
        let now = self.network.time();
        self.coming.retain(|&when| when > now);
        while self.coming.len() < AHEAD && self.next < CLIENTS_MAX {
            let visitor = self.plan.visitor(self.next);
            self.next_at = self.next_at.max(now) + visitor.pause;
            let (number, only) = (self.next, self.only.as_deref());
            let comes = only.is_none_or(|only| only.contains(&number));
            if only.is_some_and(|only| only.last().is_none_or(|&last| last < number)) {
                return;
            }
            self.next += 1;
            if comes {
                let when = self.next_at.max(now);
                self.coming.push(when);
                let to = self.addresses[usize::from(visitor.listener)];
                let (ends, link) = ((visitor.address, to), visitor.link.clone());
                let player = self.watch.client(Player::new(visitor), number);
                self.network.connect_at(when, ends, link, player);
            }
        }
    }

    fn turn(&mut self) -> Result<Turn, String> {
        self.turns += 1;
        // Without clients there is nothing to wait for.
        self.network
            .stop_poll_at(Some(self.network.time() + LONGEST_SLEEP));
        let turn = self.reactor.turn().map_err(|error| error.to_string())?;
        self.watch.turn_ends();
        self.check()?;
        Ok(turn)
    }

    fn let_everybody_leave(&mut self) -> Verdict {
        let begun = self.network.time();
        let turns = self.turns;
        while self.reactor.open_connections() > 0 || self.network.next_event_at().is_some() {
            self.turn()?;
            if self.turns > turns + FAREWELL_TURNS_MAX {
                return Ok(()); // somebody has still much to say: the drain will end it
            }
            if self.network.time() > begun + LONGEST_VISIT {
                return Err(format!("somebody never leaves: {:?}", self.reactor.usage()));
            }
        }
        self.check_empty()
    }

    fn drain(&mut self) -> Verdict {
        self.network.stop();
        self.draining = true;
        let begun = self.network.time();
        while self.turn()? == Turn::Running {
            if self.network.time() > begun + self.plan.limits.drain_timeout + SLACK {
                return Err(format!(
                    "the drain does not end: {:?}",
                    self.reactor.usage()
                ));
            }
        }
        self.check_empty()
    }

    /// Checks that no session, socket or buffer remains after the last client.
    fn check_empty(&self) -> Verdict {
        let usage = self.reactor.usage();
        let (sessions, sockets) = (self.watch.sessions(), self.watch.sockets());
        if usage == Usage::default() && sessions == 0 && sockets == 0 {
            return Ok(());
        }
        Err(format!(
            "everybody has left, but there are {sessions} sessions, {sockets} sockets, {usage:?}"
        ))
    }

    /// Checks the invariants that hold after every turn.
    fn check(&mut self) -> Verdict {
        self.watch.verdict()?;
        accounts::check(
            &self.reactor,
            &self.network,
            (self.turns, self.watch.steps()),
        )?;
        self.check_tally()?;
        if self.turns.is_multiple_of(8) {
            self.watch.check_patience(self.network.time())?;
            self.check_usage()?;
        }
        Ok(())
    }

    fn check_usage(&self) -> Verdict {
        let (usage, limits) = (self.reactor.usage(), &self.plan.limits);
        // A session does not begin an answer above the mark.
        let output_max = limits.output_bytes_mark + longest_answer(&self.plan.config) as usize;
        let most = Bounds {
            connections: limits.connections_max + limits.refusals_max,
            bytes: limits.input_bytes_max + output_max + QUEUE_BYTES_MAX,
            timers: 0,
        };
        if usage.deadlines < accounts::settled(&usage) {
            return Err(format!("a connection without a deadline: {usage:?}"));
        }
        accounts::check_usage(&usage, &most)
    }

    /// Checks the system calls: no connection is neglected, no call is made without a reason.
    fn check_tally(&mut self) -> Verdict {
        let tally = self.network.call_counts();
        if tally.max_starvation > SLACK {
            return Err(format!(
                "somebody was neglected for {:?}",
                tally.max_starvation
            ));
        }
        if let Some((peer, since)) = self.network.most_starved()
            && self.network.time() - since > SLACK
        {
            return Err(format!("{peer} has been neglected since {since:?}"));
        }
        // Allowed: one look before a deadline fires, and before a session gets its drain event.
        if tally.reads_without_readiness > self.reactor.counters().looks() {
            return Err("a connection was read that had no event".into());
        }
        // Allowed: one look before a listener is closed.
        let last_looks = if self.draining {
            self.addresses.len()
        } else {
            0
        };
        if tally.accepts_without_readiness > last_looks as u64 {
            return Err("a listener was asked that had no event".into());
        }
        self.check_queue()?;
        self.rest.check(&self.reactor, &self.network, false)
    }

    /// Checks that queued connections are accepted in time. Those of a full server or a listener
    /// that backs off may wait.
    fn check_queue(&self) -> Verdict {
        for &address in &self.addresses {
            let since = self.network.waiting_since(address);
            let since = since.and_then(|since| self.watch.overdue_since(address, since));
            if since.is_some_and(|since| self.network.time() - since > SLACK) {
                return Err(format!("somebody has waited at {address} since {since:?}"));
            }
        }
        Ok(())
    }
}

/// Runs a part of a run. A panic is a verdict.
pub(super) fn or_panic(part: impl FnOnce() -> Verdict) -> Verdict {
    let verdict = catch_unwind(AssertUnwindSafe(part));
    verdict.unwrap_or_else(|panic| Err(format!("panic: {}", text_of(&*panic))))
}

/// Returns the text of a panic.
fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".into())
}

/// Number of clients that are always on their way.
const AHEAD: usize = 4;
/// The most that the queue of a connection's pending output takes beside its bytes.
const QUEUE_BYTES_MAX: usize = 256;
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Covers the longest script, the longest deadlines, and the kernel's timeout for a peer that has
/// vanished.
const LONGEST_VISIT: Duration = Duration::from_secs(3600);
/// Bounded by the number of ports: each client has its own.
const CLIENTS_MAX: usize = 20_000;
const FAREWELL_TURNS_MAX: usize = 2000;
