//! A service that does everything the contract allows, by chance.

use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::time::Duration;

use oneloop::{
    CloseReason, Connect, Context, EndReason, Event, ListenerId, Next, Peer, Service,
    ServiceContext, SessionId, Tag, Time,
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
            self.shared.0.borrow_mut().timer_asked = Some((at, cx.now()));
            cx.set_timer(at);
        }
        if self.random.random_bool(habits.connect) {
            self.connect(cx);
        }
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

    fn next(&mut self, session: &mut Session, event: Event, cx: &Context<'_>) -> Next {
        let habits = self.shared.0.borrow().plan.habits;
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

    /// Writes the next part of the conversation.
    fn write(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        let (habits, most) = {
            let ledger = self.shared.0.borrow();
            (ledger.plan.habits, ledger.plan.limits.output_bytes_max)
        };
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
        if self.random.random_bool(0.5) {
            let bytes = self.random.magnitude(1..=habits.write_max) as usize;
            let bytes = output.take(bytes.min(most - HEADER_BYTES));
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
        Ok(())
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
            let verdict = model.stepped((cx.now(), ledger.turn), event, cx.input().len(), drains);
            let chance = ledger.plan.habits.panic;
            model.panicked = self.random.random_bool(chance);
            let panics = model.panicked;
            ledger.judge(&format!("session {number}"), verdict);
            if panics {
                // This output must not appear anywhere.
                cx.write(b"of a session that panicked");
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
        self.write(session, cx);
        self.stir(cx);
        let next = self.next(session, event, cx);
        let ledger = &mut *self.shared.0.borrow_mut();
        if let Some(model) = ledger.models.get_mut(&number) {
            model.answered(cx.now(), next, cx.input().len(), &ledger.load);
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

    fn connect_failed(&mut self, tag: Tag, _: &io::Error, cx: &mut ServiceContext) {
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

    fn on_timer(&mut self, cx: &mut ServiceContext) {
        let mut ledger = self.shared.0.borrow_mut();
        let due = ledger.timer.take();
        let verdict = match due {
            Some((at, _)) if at <= cx.now() => Ok(()),
            due => Err(format!("it comes at {:?}, asked for was {due:?}", cx.now())),
        };
        ledger.judge("the timer", verdict);
        let chance = ledger.plan.habits.panic;
        if self.random.random_bool(chance) {
            let again = cx.after(Duration::from_secs(1));
            ledger.timer = Some((again, again));
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

/// The most parts but one of a step's shared output.
const PARTS_MAX: u64 = 5;
/// Number of session ids kept for wake-ups; some of the sessions have ended.
const IDS_MAX: usize = 40;
