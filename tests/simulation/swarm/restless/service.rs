//! A service that does everything the contract allows, by chance.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::time::Duration;

use oneloop::{
    CloseReason, Connect, ConnectError, Context, EndReason, Event, JobPanicked, ListenerId, Next,
    Peer, Pool, Service, ServiceContext, SessionId, Tag, Time,
};
use oneloop_sim::{Network, Rng};

use super::ledger::Shared;
use super::peer::FarEnd;
use super::stream::{Stream, Way};

/// The service.
pub struct Restless<const EDGE: bool> {
    pub shared: Shared,
    network: Network<EDGE>,
    random: Rng,
    sessions: u32,
    tags: u32,
    ids: Vec<(u32, SessionId)>,
    pub pool: Option<Pool<Self>>,
    jobs: u64,
}

/// One end of a conversation.
#[derive(Debug)]
pub struct Session {
    number: u32,
    /// The stream to read, once the conversation is known.
    input: Option<Stream>,
    output: Option<Stream>,
    /// Number of steps until it closes.
    life: u64,
    /// Its last answer, if that was a wait with a deadline.
    last: Option<Next>,
    duplex: Duplex,
}

/// A session's mode, as it was requested last.
#[derive(Clone, Copy, Debug)]
struct Duplex {
    is_full: bool,
    /// The mode is certain from this turn on. The session writes nothing before: without output the
    /// modes do not differ.
    certain_in: u64,
}

impl<const EDGE: bool> Restless<EDGE> {
    pub fn new(shared: Shared, network: Network<EDGE>, seed: u64) -> Self {
        Self {
            shared,
            network,
            random: Rng::new(seed.rotate_left(17)),
            sessions: 0,
            tags: 0,
            ids: Vec::new(),
            pool: None,
            jobs: 0,
        }
    }

    /// Panics now and then. Not by `panic!`, which would write to stderr.
    fn panic_at_times(&mut self) {
        let chance = self.shared.0.borrow().plan.habits.panic;
        if self.random.random_bool(chance) {
            resume_unwind(Box::new("as planned"));
        }
    }

    /// Does things that every callback may do.
    fn stir(&mut self, cx: &mut ServiceContext) {
        let habits = self.shared.0.borrow().plan.habits;
        if self.random.random_bool(habits.wake) {
            self.wake_some(cx);
        }
        if self.random.random_bool(habits.timer) {
            let at = cx.after(self.random.duration_up_to(Duration::from_secs(5)));
            let at = match self.random.random_bool(habits.past) {
                true => Time::START,
                false => at,
            };
            let key = self.random.below(TIMERS) as u64;
            self.shared
                .0
                .borrow_mut()
                .timers
                .insert(key, (at, cx.now()));
            cx.set_service_timer(key, at);
            if self.random.random_bool(0.2) {
                let key = self.random.below(TIMERS) as u64;
                self.shared.0.borrow_mut().timers.remove(&key);
                cx.cancel_service_timer(key);
            }
        }
        if self.random.random_bool(habits.connect) {
            self.connect(cx);
        }
        if self.random.random_bool(habits.job) {
            self.start_job(cx);
        }
        if self.random.random_bool(habits.abort_other) {
            self.abort_another(cx);
        }
    }

    fn abort_another(&mut self, cx: &mut ServiceContext) {
        if self.ids.is_empty() {
            return;
        }
        let (number, id) = self.ids[self.random.below(self.ids.len())];
        cx.abort(id);
        self.shared.0.borrow_mut().abort(number);
    }

    /// Handles the call of another thread with this number, and returns the number.
    pub fn called(&mut self, number: u64, cx: &mut ServiceContext) -> u64 {
        self.shared.0.borrow_mut().called(number);
        self.panic_at_times();
        self.stir(cx);
        number
    }

    fn start_job(&mut self, cx: &mut ServiceContext) {
        let Some(pool) = &self.pool else {
            return;
        };
        let number = self.jobs;
        let panics = self.random.random_bool(0.1);
        let job = move || match panics {
            true => resume_unwind(Box::new("as planned")),
            false => number,
        };
        let outcome = pool.run(job, move |service: &mut Self, result, cx| {
            let verdict = match result {
                Ok(result) if result == number && !panics => Ok(()),
                Err(JobPanicked) if panics => Ok(()),
                result => Err(format!("it brings {result:?}, panics: {panics}")),
            };
            let mut ledger = service.shared.0.borrow_mut();
            ledger.judge(&format!("the job {number}"), verdict);
            ledger.job_ended(number);
            drop(ledger);
            service.panic_at_times();
            service.stir(cx);
        });
        let mut ledger = self.shared.0.borrow_mut();
        let verdict = ledger.job_started(number, outcome, cx.now());
        ledger.judge(&format!("the job {number}"), verdict);
        self.jobs += 1;
    }

    fn wake_some(&mut self, cx: &mut ServiceContext) {
        for _ in 0..self.random.range(1..=3) {
            if self.ids.is_empty() {
                return;
            }
            let (number, id) = self.ids[self.random.below(self.ids.len())];
            cx.wake(id);
            let mut ledger = self.shared.0.borrow_mut();
            let turn = ledger.turn;
            if let Some(model) = ledger.models.get_mut(&number) {
                model.wake(cx.now(), turn);
            }
        }
    }

    fn connect(&mut self, cx: &mut ServiceContext) {
        let tag = self.tags;
        self.tags += 1;
        self.shared.0.borrow_mut().tags.insert(tag, cx.now());
        cx.connect(Connect::tcp(self.target(tag)).tag(Tag::new(tag.into())));
    }

    /// Chooses an address to connect to. It is a server of this network, the service itself, an
    /// address without a server, or one that does not answer.
    fn target(&mut self, tag: u32) -> SocketAddr {
        let address = SocketAddr::from(([10, 9, (tag >> 8) as u8, tag as u8], 7000));
        match self.random.below(8) {
            0 => address,
            1 => {
                self.network.drop_syns_to(address);
                address
            }
            2 => {
                let ledger = self.shared.0.borrow();
                let some = ledger.listeners.iter().min();
                *some.expect("a listener")
            }
            _ => {
                let shared = self.shared.clone();
                let seed = self.random.bits();
                let far_end = move || FarEnd::called(shared.clone(), Rng::new(seed));
                self.network.serve(address, far_end);
                address
            }
        }
    }

    /// Sets, moves and cancels timers of the session.
    fn set_timers(&mut self, number: u32, cx: &mut Context<'_>) {
        let habits = self.shared.0.borrow().plan.habits;
        while self.random.random_bool(habits.session_timer) {
            let key = self.random.below(TIMERS) as u32;
            let at = match self.random.random_bool(habits.past) {
                true => Time::from_nanos(cx.now().as_nanos() / 2),
                false => cx.after(self.random.duration_up_to(habits.wait_max)),
            };
            let cancels = self.random.random_bool(0.2);
            let mut ledger = self.shared.0.borrow_mut();
            let timers = ledger
                .models
                .get_mut(&number)
                .map(|model| &mut model.timers);
            if cancels {
                cx.cancel_timer(key);
                timers.map(|timers| timers.remove(&key));
            } else {
                cx.set_timer(key, at);
                timers.map(|timers| timers.insert(key, (at, cx.now())));
            }
        }
    }

    fn next(&mut self, session: &mut Session, event: Event, cx: &Context<'_>) -> Next {
        let habits = self.shared.0.borrow().plan.habits;
        if let (Event::Timer(_), Some(last)) = (event, session.last)
            && self.random.random_bool(0.5)
        {
            return last; // and the same wait goes on
        }
        if event == Event::Drain && !self.random.random_bool(habits.deaf_to_drain) {
            return Next::Close(CloseReason::Shutdown);
        }
        if session.life == 0 || self.random.random_bool(habits.close) {
            return Next::Close(self.random.choose(&[
                CloseReason::Completed,
                CloseReason::Eof,
                CloseReason::ProtocolError,
                CloseReason::Timeout,
                CloseReason::Refused,
            ]));
        }
        if self.random.random_bool(habits.abort) {
            return Next::Abort;
        }
        session.life -= 1;
        let until = match self.random.random_bool(habits.past) {
            true => Time::from_nanos(cx.now().as_nanos() / 2),
            false => cx.after(self.random.duration_up_to(habits.wait_max)),
        };
        if self.random.random_bool(habits.flush) {
            Next::Flush
        } else if self.random.random_bool(habits.pause) {
            Next::Pause { until }
        } else {
            Next::Read { until }
        }
    }

    /// Changes the session's mode now and then, unless it has output that waits.
    fn change_duplex(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        let ledger = &mut *self.shared.0.borrow_mut();
        let changes = self.random.random_bool(ledger.plan.habits.duplex);
        if let Some(model) = ledger.models.get_mut(&session.number)
            && changes
            && cx.written() == 0
            && model.may_change_duplex()
        {
            let is_full = !session.duplex.is_full;
            cx.set_duplex(is_full);
            model.is_duplex = is_full;
            // Requests are carried out in the last phase of this turn or of the next one.
            let certain_in = ledger.turn + 2;
            session.duplex = Duplex {
                is_full,
                certain_in,
            };
        }
    }

    /// Writes the next part of the conversation.
    fn write(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        let (habits, most, turn) = {
            let ledger = self.shared.0.borrow();
            let most = ledger.plan.limits.output_bytes_max;
            (ledger.plan.habits, most, ledger.turn)
        };
        if turn < session.duplex.certain_in {
            return;
        }
        if self.random.random_bool(habits.overflow) {
            let mut ledger = self.shared.0.borrow_mut();
            if let Some(model) = ledger.models.get_mut(&session.number) {
                model.overflowed = true;
            }
            let much = vec![0; most + 1];
            return match self.random.random_bool(0.5) {
                true => cx.write(&much),
                false => cx.write_shared(much.into()),
            };
        }
        let Some(output) = &mut session.output else {
            return;
        };
        // In full duplex earlier output may wait, and counts.
        let most = match session.duplex.is_full {
            true => cx.room(),
            false => most - HEADER_BYTES,
        };
        if most > 0 && self.random.random_bool(0.5) {
            let bytes = self.random.magnitude(1..=habits.write_max) as usize;
            let bytes = output.take(bytes.min(most));
            match self.random.random_bool(0.5) {
                true => self.write_copied(&bytes, cx),
                false => self.write_mixed(bytes.into(), cx),
            }
        }
    }

    fn write_copied(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        let (front, back) = bytes.split_at(self.random.below(bytes.len() + 1));
        cx.write_parts([front, back]);
    }

    /// Writes some parts as shared bytes, the others copied.
    fn write_mixed(&mut self, bytes: oneloop::Shared, cx: &mut Context<'_>) {
        let mut from = 0;
        for _ in 0..self.random.range(1..=PARTS_MAX) {
            let to = from + self.random.below(bytes.len() - from + 1);
            match self.random.random_bool(0.3) {
                true => cx.write(&bytes[from..to]),
                false => cx.write_shared(bytes.slice(from..to)),
            }
            from = to;
        }
        cx.write_shared(bytes.slice(from..));
    }

    /// Reads all input, and checks that it continues the stream.
    fn read(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Result<(), String> {
        if session.input.is_none() {
            let Some((header, _)) = cx.input().split_first_chunk::<HEADER_BYTES>() else {
                return Ok(());
            };
            let conversation = u32::from_be_bytes(*header);
            session.input = Some(Stream::new(conversation, Way::Up));
            session.output = Some(Stream::new(conversation, Way::Down));
            cx.consume(HEADER_BYTES);
        }
        let Some(input) = &mut session.input else {
            return Ok(());
        };
        if !input.is_next(cx.input()) {
            return Err(format!("the input at {} is not its own", input.position));
        }
        let taken = match self.random.random_bool(0.7) {
            true => cx.input().len(),
            false => self.random.below(cx.input().len() + 1),
        };
        input.take(taken);
        cx.consume(taken);
        self.raise_at_times(session.number, cx);
        Ok(())
    }

    /// Raises the input maximum now and then, to any value from nothing to more than is allowed.
    fn raise_at_times(&mut self, number: u32, cx: &mut Context<'_>) {
        let habits = self.shared.0.borrow().plan.habits;
        if !self.random.random_bool(habits.raise) {
            return;
        }
        let limits = cx.limits();
        let bytes = self.random.below(limits.input_bytes_hard_max + 2);
        let raised = cx.raise_input_max(bytes);
        let mut ledger = self.shared.0.borrow_mut();
        let right = raised == (bytes <= limits.input_bytes_hard_max);
        let verdict = right
            .then_some(())
            .ok_or_else(|| format!("{bytes} are raised to: {raised}"));
        ledger.judge(&format!("session {number}"), verdict);
        if raised
            && bytes > limits.input_bytes_max
            && let Some(model) = ledger.models.get_mut(&number)
        {
            model.raised = Some(bytes);
        }
    }
}

impl<const EDGE: bool> Service for Restless<EDGE> {
    type Session = Session;

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> Session {
        let tag = peer.tag.map(|tag| tag.value() as u32);
        if let Some(tag) = tag {
            let known = self.shared.0.borrow_mut().tags.remove(&tag).is_some();
            let verdict = known
                .then_some(())
                .ok_or_else(|| "it was not asked for".into());
            let who = format!("connection {tag}");
            self.shared.0.borrow_mut().judge(&who, verdict);
        }
        self.panic_at_times();
        let number = self.sessions;
        self.sessions += 1;
        self.ids.push((number, peer.id));
        if self.ids.len() > IDS_MAX {
            self.ids.remove(0);
        }
        let address = peer.address.socket_addr().expect("an IP address");
        self.shared.0.borrow_mut().opened(number, address);
        self.stir(cx);
        let (input, output) = match tag {
            Some(tag) => (
                Some(Stream::new(OUTBOUND + tag, Way::Down)),
                Some(Stream::new(OUTBOUND + tag, Way::Up)),
            ),
            None => (None, None),
        };
        Session {
            number,
            input,
            output,
            life: self.random.magnitude(1..=60),
            last: None,
            duplex: Duplex {
                is_full: false,
                certain_in: 0,
            },
        }
    }

    fn step(&mut self, session: &mut Session, event: Event, cx: &mut Context<'_>) -> Next {
        let number = session.number;
        {
            let ledger = &mut *self.shared.0.borrow_mut();
            ledger.now = cx.now();
            ledger.count_step(number);
            ledger.timeouts += usize::from(event == Event::Timeout);
            let drains = ledger.draining_since.is_some();
            let Some(model) = ledger.models.get_mut(&number) else {
                return Next::Close(CloseReason::Refused);
            };
            let input = cx.input().len();
            let allowed = match model.input_max(&ledger.plan.limits) {
                most if input > most => Err(format!("{input} bytes of input, {most} are allowed")),
                _ => Ok(()),
            };
            let verdict = allowed.and(model.stepped((cx.now(), ledger.turn), event, input, drains));
            let chance = ledger.plan.habits.panic;
            model.panicked = self.random.random_bool(chance);
            let panics = model.panicked;
            ledger.judge(&format!("session {number}"), verdict);
            if panics {
                // This output must not appear anywhere.
                cx.write(b"of a session that panicked");
                cx.write_shared(vec![b'!'; self.random.below(600)].into());
                let _ = cx.raise_input_max(self.random.below(10_000));
                resume_unwind(Box::new("as planned"));
            }
        }
        if event == Event::Open
            && let Some(output) = &session.output
            && output.position == 0
        {
            let verdict = self.header(session, cx);
            self.shared.0.borrow_mut().judge("a header", verdict);
        }
        let verdict = self.read(session, cx);
        let who = format!("session {number}");
        self.shared.0.borrow_mut().judge(&who, verdict);
        self.change_duplex(session, cx);
        self.write(session, cx);
        self.stir(cx);
        self.set_timers(number, cx);
        let next = self.next(session, event, cx);
        session.last = matches!(next, Next::Read { .. } | Next::Pause { .. }).then_some(next);
        let ledger = &mut *self.shared.0.borrow_mut();
        if let Some(model) = ledger.models.get_mut(&number) {
            let left = (cx.input().len(), cx.has_room());
            model.answered((cx.now(), next), left, cx.written(), &ledger.load);
        }
        next
    }

    fn closed(&mut self, session: Session, _: Peer, why: EndReason, cx: &mut ServiceContext) {
        let written = session.output.map_or(0, |output| output.position);
        let mut ledger = self.shared.0.borrow_mut();
        ledger.closed(cx.now(), session.number, why, written);
        drop(ledger);
        self.panic_at_times();
        self.stir(cx);
    }

    fn refusal_message(&self, _: ListenerId, _: EndReason) -> &[u8] {
        b""
    }

    fn connect_failed(&mut self, tag: Tag, _: &ConnectError, cx: &mut ServiceContext) {
        let tag = tag.value() as u32;
        let known = self.shared.0.borrow_mut().tags.remove(&tag).is_some();
        let verdict = known.then_some(()).ok_or_else(|| "it failed twice".into());
        let who = format!("connection {tag}");
        self.shared.0.borrow_mut().judge(&who, verdict);
        self.panic_at_times();
        // Does not connect again at once, or a drain would never end.
        let habits = self.shared.0.borrow().plan.habits;
        if self.random.random_bool(habits.wake) {
            self.wake_some(cx);
        }
    }

    fn on_timer(&mut self, key: u64, cx: &mut ServiceContext) {
        let mut ledger = self.shared.0.borrow_mut();
        ledger.timers_fired += 1;
        let verdict = match ledger.timers.remove(&key) {
            Some((at, _)) if at <= cx.now() => Ok(()),
            due => Err(format!("it comes at {:?}, asked for was {due:?}", cx.now())),
        };
        ledger.judge(&format!("the timer {key}"), verdict);
        let chance = ledger.plan.habits.panic;
        if self.random.random_bool(chance) {
            let again = cx.after(Duration::from_secs(1));
            ledger.timers.insert(key, (again, again));
            drop(ledger);
            resume_unwind(Box::new("as planned"));
        }
        drop(ledger);
        self.stir(cx);
    }

    fn draining(&mut self, _: usize, _: Duration, cx: &mut ServiceContext) {
        let before = self.shared.0.borrow_mut().draining_since.replace(cx.now());
        let verdict = match before {
            None => Ok(()),
            Some(_) => Err("it begins twice".into()),
        };
        self.shared.0.borrow_mut().judge("the drain", verdict);
        self.panic_at_times();
        self.stir(cx);
    }
}

impl<const EDGE: bool> Restless<EDGE> {
    /// Names the conversation: the connecting end does so first.
    fn header(&mut self, session: &Session, cx: &mut Context<'_>) -> Result<(), String> {
        let tag = cx_tag(session).ok_or("only an outbound session begins")?;
        cx.write(&tag.to_be_bytes());
        Ok(())
    }
}

fn cx_tag(session: &Session) -> Option<u32> {
    session.output.as_ref().map(Stream::conversation)
}

/// First conversation number of outbound connections.
pub const OUTBOUND: u32 = 1 << 24;
pub const HEADER_BYTES: usize = 4;
/// Number of different keys of timers.
const TIMERS: usize = 4;

/// The most parts but one of a step's shared output.
const PARTS_MAX: u64 = 5;
/// Number of session ids kept for wake-ups; some of the sessions have ended.
const IDS_MAX: usize = 40;
