//! Watches a server: keeps one dossier for each client, and the first violation.

use std::cell::RefCell;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

use oneloop::{Context, EndReason, Event, ListenerId, Next, Peer, Service, ServiceContext, Time};
use oneloop_greeting::{Framing, Greeter, Session};
use oneloop_sim::{Observer, RemotePeer, Rng, Script, Status, Syscall};

use super::door::{Admission, Door};
use super::oracle::{Oracle, Rules, Verdict};
use super::plan::{Plan, number_of};
use super::population::{Character, Player};

/// The state of all clients.
#[derive(Debug)]
pub struct Book {
    rules: Rules,
    plan: Plan,
    dossiers: Vec<Option<Dossier>>,
    /// Numbers of the connected clients.
    present: Vec<usize>,
    door: Door,
    wrong: Option<String>,
    /// Time at which the drain began.
    draining_since: Option<Time>,
    pub opened: u64,
    pub closed: u64,
    steps: u64,
}

/// The state of one client.
#[derive(Debug)]
struct Dossier {
    oracle: Oracle,
    stage: Stage,
    /// The door's decision; `None` for a connection that was shed.
    admission: Option<Admission>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has no session, either not yet or not at all.
    Accepted,
    Open,
    /// Its session has panicked.
    Broken,
    Closed(EndReason),
    /// Its socket is closed.
    Gone,
}

/// The book, shared by the network's witness and the service.
#[derive(Clone, Debug)]
pub struct Watch(Rc<RefCell<Book>>);

/// The greeting service, watched. Its sessions panic now and then.
#[derive(Debug)]
pub struct Watched {
    greeter: Greeter,
    watch: Watch,
    panics: f64,
    random: Rng,
}

/// A session that knows its peer.
#[derive(Debug)]
pub struct WatchedSession {
    session: Session,
    peer: SocketAddr,
}

impl Watch {
    pub fn new(plan: &Plan) -> Self {
        Self(Rc::new(RefCell::new(Book {
            rules: Rules {
                config: plan.config.clone(),
                limits: plan.limits.clone(),
                slack: SLACK,
            },
            plan: plan.clone(),
            dossiers: Vec::new(),
            present: Vec::new(),
            door: Door::new(&plan.limits),
            wrong: None,
            draining_since: None,
            opened: 0,
            closed: 0,
            steps: 0,
        })))
    }

    pub fn service(&self) -> Watched {
        let book = self.0.borrow();
        Watched {
            greeter: Greeter::new(book.rules.config.clone()),
            watch: self.clone(),
            panics: book.plan.panics,
            random: Rng::new(!book.plan.seed),
        }
    }

    /// Returns the first violation.
    pub fn verdict(&self) -> Verdict {
        self.0.borrow().wrong.clone().map_or(Ok(()), Err)
    }

    /// Checks that no wait is overdue.
    pub fn check_patience(&self, now: Time) -> Verdict {
        let book = self.0.borrow();
        for &number in &book.present {
            if let Some(dossier) = &book.dossiers[number] {
                let verdict = dossier.oracle.check_patience(&book.rules, now);
                verdict.map_err(|wrong| format!("client {number} {wrong}"))?;
            }
        }
        Ok(())
    }

    /// Watches a client, too.
    pub fn client(&self, player: Player, number: usize) -> Client {
        let watch = self.clone();
        Client {
            player,
            watch,
            number,
        }
    }

    /// Notes the end of a turn.
    pub fn turn_ends(&self) {
        let mut book = self.0.borrow_mut();
        let verdict = book.door.turn_ends();
        book.judge(verdict);
    }

    /// Returns the time since which an accept at `address` is due, if a connection has waited since
    /// `since`.
    pub fn overdue_since(&self, address: SocketAddr, since: Time) -> Option<Time> {
        self.0.borrow().door.overdue_since(address, since)
    }

    pub fn sessions(&self) -> u64 {
        let book = self.0.borrow();
        book.opened - book.closed
    }

    /// Returns the number of steps of all sessions.
    pub fn steps(&self) -> u64 {
        self.0.borrow().steps
    }

    pub fn sockets(&self) -> usize {
        self.0.borrow().present.len()
    }
}

impl Book {
    fn note(&mut self, peer: SocketAddr, body: impl FnOnce(&mut Dossier, &Rules) -> Verdict) {
        let number = number_of(peer);
        let Some(Some(dossier)) = self.dossiers.get_mut(number) else {
            let stranger = format!("client {number} is not connected");
            self.wrong.get_or_insert(stranger);
            return;
        };
        if let Err(wrong) = body(dossier, &self.rules) {
            let character = self.plan.visitor(number).character;
            let wrong = format!("client {number} ({character:?}): {wrong}");
            self.wrong.get_or_insert(wrong);
        }
    }

    /// Notes a violation, if it is the first.
    fn judge(&mut self, verdict: Verdict) {
        if let Err(wrong) = verdict {
            self.wrong.get_or_insert(wrong);
        }
    }

    fn accepted(&mut self, now: Time, peer: SocketAddr, admission: Option<Admission>) {
        let number = number_of(peer);
        if self.dossiers.len() <= number {
            self.dossiers.resize_with(number + 1, || None);
        }
        let (mut oracle, stage) = (Oracle::new(&self.rules, now), Stage::Accepted);
        if let Some(since) = self.draining_since {
            oracle.draining(since);
        }
        self.dossiers[number] = Some(Dossier {
            oracle,
            stage,
            admission,
        });
        self.present.push(number);
    }

    fn left(&mut self, now: Time, peer: SocketAddr) {
        let number = number_of(peer);
        self.present.retain(|&present| present != number);
        let was_shed = |dossier: &Dossier| dossier.admission.is_none();
        if !self.dossiers[number].as_ref().is_some_and(was_shed) {
            self.door.closed(now, peer);
        }
        self.note(peer, |dossier, _| match dossier.stage {
            Stage::Accepted => {
                dossier.stage = Stage::Gone;
                dossier.oracle.turned_away()
            }
            // The service gets its call next.
            Stage::Open | Stage::Broken => {
                dossier.oracle.socket_closed(now);
                Ok(())
            }
            Stage::Closed(_) | Stage::Gone => Err("closed twice".into()),
        });
    }

    fn session_opened(&mut self, peer: SocketAddr) {
        self.opened += 1;
        self.note(peer, |dossier, _| match dossier.stage {
            Stage::Accepted if dossier.admission != Some(Admission::Admitted) => {
                Err("let in although there was no place for it".into())
            }
            Stage::Accepted => {
                dossier.stage = Stage::Open;
                Ok(())
            }
            stage => Err(format!("opened while {stage:?}")),
        });
    }

    fn panics(&mut self, peer: SocketAddr) {
        self.note(peer, |dossier, _| {
            dossier.stage = Stage::Broken;
            Ok(())
        });
    }

    fn session_closed(&mut self, peer: SocketAddr, why: EndReason) {
        self.closed += 1;
        let number = number_of(peer);
        let hung = why == EndReason::Timeout && self.must_not_hang(number);
        self.note(peer, |dossier, rules| {
            if (dossier.stage, why) == (Stage::Broken, EndReason::Panicked) {
                dossier.stage = Stage::Closed(why);
                return Ok(());
            }
            if dossier.stage != Stage::Open {
                return Err(format!("session closed while {:?}", dossier.stage));
            }
            if hung {
                return Err("the tutorial's client waits for ever".into());
            }
            dossier.stage = Stage::Closed(why);
            dossier.oracle.closed(rules, why)
        });
    }

    /// Notes that a client's connection was reset. A client that follows the protocol must get the
    /// server's last message instead.
    fn was_reset(&mut self, number: usize) {
        let visitor = self.plan.visitor(number);
        if !self.plan.breaks_nothing() || !self.plan.lingers_long_enough_for(&visitor) {
            return;
        }
        if !matches!(self.dossiers.get(number), Some(Some(_))) {
            return; // it was never accepted
        }
        self.note(visitor.address, |dossier, _| match dossier.stage {
            Stage::Closed(EndReason::Panicked) => Ok(()),
            Stage::Closed(why) => Err(format!("reset instead of its last words ({why})")),
            _ => Ok(()),
        });
    }

    /// Returns true for the tutorial's client if it gets each message alone: nothing can make it
    /// wait for ever.
    fn must_not_hang(&self, number: usize) -> bool {
        self.plan.config.framing != Framing::Line
            && self.plan.keeps_messages_apart()
            && self.plan.visitor(number).character == Character::Tutorial
    }
}

impl Observer for Watch {
    fn observe(&mut self, now: Time, peer: SocketAddr, what: Syscall<'_>) {
        let mut book = self.0.borrow_mut();
        match what {
            Syscall::Accepted => {
                let admission = book.door.accepted(peer);
                book.accepted(now, peer, Some(admission));
            }
            Syscall::Shed => book.accepted(now, peer, None),
            Syscall::Closed => book.left(now, peer),
            Syscall::Registered | Syscall::Connecting => {}
            what => book.note(peer, |dossier, rules| {
                let oracle = &mut dossier.oracle;
                match what {
                    Syscall::Read(bytes) => oracle.read(now, bytes),
                    Syscall::ReadEnd => oracle.read_end(now),
                    Syscall::ReadFailed(kind) => oracle.failed(now, kind, false),
                    Syscall::WriteFailed(kind) => oracle.failed(now, kind, true),
                    Syscall::Broken(kind) => oracle.failed(now, kind, false),
                    Syscall::Finished => oracle.finished(now),
                    Syscall::Wrote { bytes, offered } => {
                        return oracle.wrote(rules, now, bytes, bytes.len() == offered);
                    }
                    _ => {}
                }
                Ok(())
            }),
        }
    }

    fn observe_accept(
        &mut self,
        now: Time,
        address: SocketAddr,
        result: Result<SocketAddr, &Error>,
    ) {
        let mut book = self.0.borrow_mut();
        let verdict = book.door.asked(now, address, result);
        book.judge(verdict);
    }

    fn observe_shed(&mut self, _: Time, address: SocketAddr, result: Result<SocketAddr, &Error>) {
        self.0.borrow_mut().door.shed(address, result);
    }
}

/// A watched client.
#[derive(Debug)]
pub struct Client {
    player: Player,
    watch: Watch,
    number: usize,
}

impl Script for Client {
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
        if remote.status() == Status::Failed(ErrorKind::ConnectionReset) {
            self.watch.0.borrow_mut().was_reset(self.number);
        }
        self.player.run(remote)
    }
}

impl Service for Watched {
    type Session = WatchedSession;

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> WatchedSession {
        self.watch.0.borrow_mut().session_opened(ip(peer));
        WatchedSession {
            session: self.greeter.open(peer, cx),
            peer: ip(peer),
        }
    }

    fn step(&mut self, watched: &mut WatchedSession, event: Event, cx: &mut Context<'_>) -> Next {
        self.watch.0.borrow_mut().steps += 1;
        if self.panics > 0.0 && self.random.random_bool(self.panics) {
            self.watch.0.borrow_mut().panics(watched.peer);
            // Not `panic!`, which would write to stderr.
            resume_unwind(Box::new("as planned"));
        }
        self.greeter.step(&mut watched.session, event, cx)
    }

    fn closed(
        &mut self,
        watched: WatchedSession,
        peer: Peer,
        why: EndReason,
        cx: &mut ServiceContext,
    ) {
        self.watch.0.borrow_mut().session_closed(ip(peer), why);
        self.greeter.closed(watched.session, peer, why, cx);
    }

    fn refusal_message(&self, listener: ListenerId, why: EndReason) -> &[u8] {
        self.greeter.refusal_message(listener, why)
    }

    fn draining(&mut self, open: usize, grace: Duration, cx: &mut ServiceContext) {
        let mut book = self.watch.0.borrow_mut();
        book.draining_since = Some(cx.now());
        for dossier in book.dossiers.iter_mut().flatten() {
            dossier.oracle.draining(cx.now());
        }
        drop(book);
        self.greeter.draining(open, grace, cx);
    }
}

/// Returns the address of a peer, which identifies it in the swarm.
fn ip(peer: Peer) -> SocketAddr {
    peer.address
        .socket_addr()
        .expect("every peer has an IP address")
}

/// Tolerance for every deadline: events may be late by 30 ms, the process now and then by 200 ms.
pub const SLACK: Duration = Duration::from_secs(1);
