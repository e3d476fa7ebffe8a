//! The relay itself: a service that forwards, and now and then does other things that it may.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

use oneloop::{
    CloseReason, Connect, ConnectError, Context, EndReason, Event, JobPanicked, ListenerId, Next,
    Peer, Pool, Service, ServiceContext, SessionId, Tag, Time,
};
use oneloop_sim::Rng;

use super::ledger::Shared;
use super::model::Step;
use super::pair::Pair;
use super::plan::{Door, Habits, IDLE, number_of};
use super::whole::{self, Whole};

/// Forwards between the clients of one listener and their servers.
pub struct Relay {
    door: Door,
    shared: Shared,
    habits: Habits,
    pipe_bytes: usize,
    random: Rng,
    pairs: HashMap<usize, Pair>,
    /// Some sessions by serial number. They may have ended.
    ids: Vec<(u32, SessionId)>,
    pub pool: Option<Rc<Pool<Whole>>>,
}

/// One end of a conversation.
#[derive(Debug)]
pub struct Session {
    serial: u32,
    conversation: usize,
    /// 0 for the client's end, 1 for its server's.
    end: usize,
    is_duplex: bool,
}

impl Relay {
    pub fn new(door: Door, shared: Shared) -> Self {
        let ledger = shared.0.borrow();
        let (habits, pipe_bytes) = (ledger.plan.habits, ledger.plan.pipe_bytes);
        drop(ledger);
        Self {
            door,
            shared,
            habits,
            pipe_bytes,
            random: Rng::new(0),
            pairs: HashMap::new(),
            ids: Vec::new(),
            pool: None,
        }
    }

    /// Returns true if it holds nothing of any conversation.
    pub fn is_idle(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Handles the call of another thread.
    pub fn called(&mut self, (sender, number): (usize, u64), cx: &mut ServiceContext) {
        let mut ledger = self.shared.0.borrow_mut();
        let verdict = ledger.calls.called((sender, number));
        ledger.judge("the calls", verdict);
        drop(ledger);
        self.stir(cx);
        if self.random.random_bool(0.2) {
            self.wake_all(cx);
        }
    }

    /// Does things that every callback may do.
    fn stir(&mut self, cx: &mut ServiceContext) {
        if self.random.random_bool(self.habits.timer) {
            self.set_timer(cx);
        }
        if self.random.random_bool(self.habits.wake_all) {
            self.wake_all(cx);
        }
        if self.random.random_bool(self.habits.abort_other) && !self.ids.is_empty() {
            let (serial, id) = self.ids[self.random.below(self.ids.len())];
            cx.abort(id);
            self.shared
                .0
                .borrow_mut()
                .abort(serial, "another session aborts it");
        }
    }

    fn wake_all(&mut self, cx: &mut ServiceContext) {
        cx.wake_all();
        self.shared.0.borrow_mut().wake_all(cx.now());
    }

    /// Sets, moves or cancels a timer of the service.
    fn set_timer(&mut self, cx: &mut ServiceContext) {
        let key = self.random.below(TIMERS) as u64;
        let at = cx.after(self.random.duration_up_to(TIMER_MAX));
        let at = (!self.random.random_bool(0.2)).then_some(at);
        match at {
            Some(at) => cx.set_service_timer(key, at),
            None => cx.cancel_service_timer(key),
        }
        let mut ledger = self.shared.0.borrow_mut();
        ledger.set_timer(self.door, key, at, cx.now());
    }

    /// Sets, moves and cancels timers of a session.
    fn set_session_timers(&mut self, serial: u32, cx: &mut Context<'_>) {
        while self.random.random_bool(self.habits.session_timer) {
            let key = self.random.below(TIMERS) as u32;
            let at = match self.random.below(8) {
                0 => None,
                1 => Some(Time::from_nanos(cx.now().as_nanos() / 2)),
                _ => Some(cx.after(self.random.duration_up_to(TIMER_MAX))),
            };
            match at {
                Some(at) => cx.set_timer(key, at),
                None => cx.cancel_timer(key),
            }
            let mut ledger = self.shared.0.borrow_mut();
            ledger.set_session_timer(serial, key, at, cx.now());
        }
    }

    /// Steps one end of a pair: receives, sends, and passes on that it has.
    fn forward(&mut self, session: &Session, event: Event, cx: &mut Context<'_>) -> Next {
        let (this, other, unread) = (session.end, 1 - session.end, cx.input().len());
        let most = self.pipe_bytes;
        let Some(pair) = self.pairs.get_mut(&session.conversation) else {
            return Next::Abort; // the client was gone before its server answered
        };
        if event == Event::Open && session.is_duplex {
            cx.set_duplex(true);
        }
        let filled = pair.pipes[this].fill(event, most, cx);
        let drained = pair.pipes[other].drain(most, cx);
        if cx.written() > 0 || cx.input().len() < unread || event == Event::Open {
            pair.active = cx.now();
        }
        if filled && self.random.random_bool(self.habits.job) {
            self.start_job(session, cx);
        }
        let pair = self.pairs.get_mut(&session.conversation);
        let pair = pair.expect("it was there");
        if (filled && pair.pipes[this].jobs == 0 || drained)
            && let Some((serial, id)) = pair.ids[other]
        {
            cx.wake(id);
            self.shared.0.borrow_mut().wake(serial, cx.now());
        }
        let until = pair.active + IDLE * 2;
        match (&pair.pipes[this], &pair.pipes[other]) {
            _ if until <= cx.now() => self.give_up(session),
            (read, sent) if read.ended && sent.finished => Next::Close(CloseReason::Completed),
            (read, _) if read.is_full(most) => Next::Pause { until },
            _ => Next::Read { until },
        }
    }

    /// Ends a pair on which no byte has moved for long.
    fn give_up(&self, session: &Session) -> Next {
        let mut ledger = self.shared.0.borrow_mut();
        let dawdles = ledger.streams(session.conversation).dawdles();
        let verdict = dawdles.then_some(()).ok_or_else(|| "no byte moves".into());
        ledger.judge(
            format_args!("conversation {}", session.conversation),
            verdict,
        );
        Next::Abort
    }

    /// Lets a job inspect the bytes that an end has received.
    fn start_job(&mut self, session: &Session, cx: &mut ServiceContext) {
        let Some(pool) = &self.pool else {
            return;
        };
        let (door, conversation, end) = (self.door, session.conversation, session.end);
        let number = self.shared.0.borrow().next_job();
        let panics = self.random.random_bool(0.02);
        let job = move || match panics {
            true => resume_unwind(Box::new("as planned")),
            false => number,
        };
        let outcome = pool.run(job, move |whole: &mut Whole, result, cx| {
            whole::with_relay(whole, door, cx, |relay, cx| {
                relay.inspected((conversation, end), (number, panics), result, cx);
            });
        });
        if self.shared.0.borrow_mut().job_started(outcome, cx.now())
            && let Some(pair) = self.pairs.get_mut(&conversation)
        {
            pair.pipes[end].jobs += 1;
        }
    }

    /// Handles the result of a job: the bytes may be sent on.
    fn inspected(
        &mut self,
        (conversation, end): (usize, usize),
        (number, panics): (u64, bool),
        result: Result<u64, JobPanicked>,
        cx: &mut ServiceContext,
    ) {
        let mut ledger = self.shared.0.borrow_mut();
        let right = match result {
            Ok(result) => result == number && !panics,
            Err(JobPanicked) => panics,
        };
        let verdict = right.then_some(());
        let verdict = verdict.ok_or_else(|| format!("it brings {result:?}, panics: {panics}"));
        ledger.judge(format_args!("the job {number}"), verdict);
        ledger.job_ended(number);
        let Some(pair) = self.pairs.get_mut(&conversation) else {
            return; // its sessions have ended
        };
        pair.pipes[end].jobs -= 1;
        if let Some((serial, id)) = pair.ids[1 - end] {
            cx.wake(id);
            ledger.wake(serial, cx.now());
        }
        if result.is_err()
            && let Some((serial, id)) = pair.ids[end]
        {
            cx.abort(id);
            ledger.abort(serial, "its job has panicked");
        }
    }

    fn panic_at_times(&mut self, session: &Session) {
        if self.random.random_bool(self.habits.panic) {
            let mut ledger = self.shared.0.borrow_mut();
            if let Some(model) = ledger.models.get_mut(&session.serial) {
                model.panicked = true;
            }
            ledger.excuse(session.conversation, "its session panics");
            drop(ledger);
            // Not `panic!`, which would write to stderr.
            resume_unwind(Box::new("as planned"));
        }
    }
}

impl Service for Relay {
    type Session = Session;

    fn started(&mut self, cx: &mut ServiceContext) {
        self.random = Rng::new(cx.random());
    }

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> Session {
        let address = peer.address.socket_addr().expect("an IP address");
        let (conversation, end) = number_of(address);
        let mut ledger = self.shared.0.borrow_mut();
        let serial = ledger.opened(&peer, self.door);
        let is_duplex = ledger.streams(conversation).duplex;
        if end == 0 {
            let to = ledger.plan.conversation(conversation).ends[1];
            let tag = Tag::new(conversation as u64);
            cx.connect(Connect::tcp(to).tag(tag));
            ledger.connecting(conversation, cx.now());
            self.pairs.insert(conversation, Pair::default());
        }
        let tag = peer.tag.map(|tag| tag.value() as usize);
        let verdict = (tag == (end == 1).then_some(conversation)).then_some(());
        let verdict = verdict.ok_or_else(|| format!("its tag is {tag:?}"));
        ledger.judge(format_args!("conversation {conversation}"), verdict);
        drop(ledger);
        if let Some(pair) = self.pairs.get_mut(&conversation) {
            pair.ids[end] = Some((serial, peer.id));
            pair.active = cx.now();
        }
        self.ids.push((serial, peer.id));
        if self.ids.len() > IDS_MAX {
            self.ids.remove(0);
        }
        Session {
            serial,
            conversation,
            end,
            is_duplex,
        }
    }

    fn step(&mut self, session: &mut Session, event: Event, cx: &mut Context<'_>) -> Next {
        let (input, written) = (cx.input().len(), cx.written());
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
        self.panic_at_times(session);
        let mut next = self.forward(session, event, cx);
        if self.random.random_bool(self.habits.abort) {
            cx.write(b"of a session that aborts"); // and sends nothing
            next = Next::Abort;
        }
        self.set_session_timers(session.serial, cx);
        self.stir(cx);
        let left = cx.input().len();
        let bytes = (input - left, left, cx.written() - written);
        let mut ledger = self.shared.0.borrow_mut();
        ledger.answered(session.serial, next, bytes);
        next
    }

    fn closed(&mut self, session: Session, _: Peer, reason: EndReason, cx: &mut ServiceContext) {
        let mut ledger = self.shared.0.borrow_mut();
        ledger.closed(cx.now(), session.serial, reason);
        let Some(pair) = self.pairs.get_mut(&session.conversation) else {
            return;
        };
        pair.ids[session.end] = None;
        match pair.ids[1 - session.end] {
            Some((serial, id)) if reason != EndReason::Completed => {
                cx.abort(id);
                ledger.abort(serial, "its other end is gone");
            }
            Some(_) => {}
            None => drop(self.pairs.remove(&session.conversation)),
        }
    }

    fn refusal_message(&self, listener: ListenerId, _: EndReason) -> &[u8] {
        match listener.name() == self.door.name() {
            true => self.door.refusal(),
            false => b"the wrong door\n",
        }
    }

    fn connect_failed(&mut self, tag: Tag, error: &ConnectError, cx: &mut ServiceContext) {
        let conversation = tag.value() as usize;
        let mut ledger = self.shared.0.borrow_mut();
        ledger.connect_failed(conversation, error, cx.now());
        let pair = self.pairs.get(&conversation);
        if let Some((serial, id)) = pair.and_then(|pair| pair.ids[0]) {
            cx.abort(id);
            ledger.abort(serial, "its server cannot be reached");
        }
    }

    fn on_timer(&mut self, key: u64, cx: &mut ServiceContext) {
        self.shared
            .0
            .borrow_mut()
            .timer_fired(self.door, key, cx.now());
        self.stir(cx);
    }

    fn draining(&mut self, _: usize, _: Duration, cx: &mut ServiceContext) {
        self.shared.0.borrow_mut().drains(cx.now());
    }
}

/// Number of different keys of timers.
const TIMERS: usize = 3;
/// The longest time until a timer.
const TIMER_MAX: Duration = Duration::from_secs(5);
/// Number of session ids kept for aborts; some of the sessions have ended.
const IDS_MAX: usize = 40;
