//! The service of a [`Fleet`](super::Fleet): its clients.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use oneloop::{
    CloseReason, Context, EndReason, Event, Next, Peer, Service, ServiceContext, SessionId, Tag,
};

use super::{Work, wire};

/// All clients.
pub struct Callers {
    /// The behaviour of a greeted client.
    pub conduct: Conduct,
    /// The first error.
    pub fault: Option<String>,
    /// The greeted clients that stay, in the order of their greetings.
    greeted: Vec<SessionId>,
    active: Range<usize>,
    depth: u32,
    /// Exchanges not started yet.
    unsent: u64,
    /// Exchanges not completed yet.
    unanswered: u64,
    patience: Duration,
}

/// The behaviour of a greeted client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Wait for work.
    Stay,
    /// Send one name, and `exit` after the answer.
    Converse,
    /// Send one name and `exit` in one write.
    Blurt,
}

/// One client.
pub struct Caller {
    /// Its number, with which its names begin.
    number: u32,
    /// The number of names sent.
    sent: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The greeting has not arrived yet.
    Connecting,
    /// No answer is pending.
    Idle,
    /// `owed` answers are pending.
    Asking { owed: u32 },
    /// `exit` was sent.
    Exiting,
    /// The goodbye has arrived.
    Done,
}

/// Error of an unexpected answer.
struct Wrong;

impl Callers {
    pub fn new(patience: Duration) -> Self {
        Self {
            conduct: Conduct::Stay,
            fault: None,
            greeted: Vec::new(),
            active: 0..0,
            depth: 1,
            unsent: 0,
            unanswered: 0,
            patience,
        }
    }

    /// Assigns work. It starts in the next turn, in which the timer expires.
    pub fn hand_out(&mut self, work: Work) {
        self.active = work.active;
        self.depth = work.depth;
        self.unsent = work.exchanges;
        self.unanswered = work.exchanges;
    }

    pub fn greeted(&self) -> usize {
        self.greeted.len()
    }

    pub fn has_finished(&self) -> bool {
        self.unanswered == 0
    }

    /// Sends as many names as the work wants and the output holds.
    fn ask(&mut self, caller: &mut Caller, cx: &mut Context<'_>) {
        let room = (cx.room() / wire::ASKED_BYTES) as u32;
        let names = u64::from(self.depth.min(room)).min(self.unsent) as u32;
        for _ in 0..names {
            cx.write(&wire::asked(caller.number, caller.sent));
            caller.sent = caller.sent.wrapping_add(1);
        }
        self.unsent -= u64::from(names);
        caller.state = match names {
            0 => State::Idle,
            owed => State::Asking { owed },
        };
    }

    /// Reads all input: it may contain several messages.
    fn read(&mut self, caller: &mut Caller, cx: &mut Context<'_>) -> Result<(), Wrong> {
        while !cx.input().is_empty() {
            let unread = cx.input().len();
            self.read_one(caller, cx)?;
            if cx.input().len() == unread {
                break;
            }
        }
        Ok(())
    }

    fn read_one(&mut self, caller: &mut Caller, cx: &mut Context<'_>) -> Result<(), Wrong> {
        match caller.state {
            State::Connecting if take(wire::GREETING, cx)? => self.was_greeted(caller, cx),
            State::Asking { owed } => return self.read_answers(caller, owed, cx),
            State::Exiting if take(wire::GOOD_BYE, cx)? => caller.state = State::Done,
            State::Idle | State::Done => return Err(Wrong),
            State::Connecting | State::Exiting => {}
        }
        Ok(())
    }

    fn was_greeted(&mut self, caller: &mut Caller, cx: &mut Context<'_>) {
        caller.state = State::Idle;
        match self.conduct {
            Conduct::Stay => {
                self.greeted.push(cx.id());
                // The loop turns once more for newly assigned work.
                cx.set_service_timer(WORK, cx.now());
            }
            Conduct::Converse => self.ask(caller, cx),
            Conduct::Blurt => {
                self.ask(caller, cx);
                cx.write(wire::EXIT);
            }
        }
    }

    fn read_answers(
        &mut self,
        caller: &mut Caller,
        mut owed: u32,
        cx: &mut Context<'_>,
    ) -> Result<(), Wrong> {
        while owed > 0 {
            let number = caller.sent.wrapping_sub(owed);
            if !take(&wire::answer(caller.number, number), cx)? {
                break;
            }
            owed -= 1;
            self.unanswered -= 1;
        }
        caller.state = State::Asking { owed };
        if owed == 0 {
            self.was_answered(caller, cx);
        }
        Ok(())
    }

    fn was_answered(&mut self, caller: &mut Caller, cx: &mut Context<'_>) {
        match self.conduct {
            Conduct::Stay => self.ask(caller, cx),
            Conduct::Converse => {
                caller.state = State::Exiting;
                cx.write(wire::EXIT);
            }
            Conduct::Blurt => caller.state = State::Exiting,
        }
        if self.unanswered == 0 {
            cx.set_service_timer(WORK, cx.now());
        }
    }

    fn wrong(&mut self, caller: &Caller, what: &str, input: &[u8]) -> Next {
        let (number, state) = (caller.number, caller.state);
        let shown = String::from_utf8_lossy(&input[..input.len().min(100)]);
        let fault = format!("client {number} was {state:?} when {what}; unread: {shown:?}");
        self.fault.get_or_insert(fault);
        Next::Close(CloseReason::ProtocolError)
    }
}

impl Service for Callers {
    type Session = Caller;

    fn open(&mut self, peer: Peer, _: &mut ServiceContext) -> Caller {
        Caller {
            number: peer.tag.expect("all connections are outbound").value() as u32,
            sent: 0,
            state: State::Connecting,
        }
    }

    fn step(&mut self, caller: &mut Caller, event: Event, cx: &mut Context<'_>) -> Next {
        match event {
            Event::Data if self.read(caller, cx).is_err() => {
                return self.wrong(caller, "unexpected input arrived", cx.input());
            }
            Event::Wake if caller.state == State::Idle => self.ask(caller, cx),
            Event::Eof if caller.state == State::Done => {
                return Next::Close(CloseReason::Completed);
            }
            Event::Eof => {
                return self.wrong(caller, "the server hung up", cx.input());
            }
            Event::Timeout if caller.state != State::Idle => {
                return self.wrong(caller, "a minute had passed", cx.input());
            }
            _ => {}
        }
        let until = cx.after(self.patience);
        Next::Read { until }
    }

    fn closed(&mut self, caller: Caller, _: Peer, reason: EndReason, _: &mut ServiceContext) {
        if reason != EndReason::Completed {
            self.wrong(&caller, &format!("it ended: {reason}"), b"");
        }
    }

    fn connect_failed(&mut self, tag: Tag, error: &io::Error, _: &mut ServiceContext) {
        self.fault
            .get_or_insert(format!("client {tag} cannot connect: {error}"));
    }

    /// Wakes the clients that take part in the work.
    fn on_timer(&mut self, _: u64, cx: &mut ServiceContext) {
        if self.unsent > 0 {
            for &caller in &self.greeted[self.active.clone()] {
                cx.wake(caller);
            }
        }
    }
}

/// Consumes `expected` from the input. Returns false if it is incomplete.
#[inline]
fn take(expected: &[u8], cx: &mut Context<'_>) -> Result<bool, Wrong> {
    let input = cx.input();
    if let Some(whole) = input.get(..expected.len()) {
        cx.consume(expected.len());
        return if whole == expected {
            Ok(true)
        } else {
            Err(Wrong)
        };
    }
    if expected.starts_with(input) {
        Ok(false)
    } else {
        Err(Wrong)
    }
}

/// The key of the timer that looks for work.
const WORK: u64 = 0;
