//! What the clients of a fleet do.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use oneloop::{
    CloseReason, Context, EndReason, Event, Next, Peer, Service, ServiceContext, SessionId,
};

use super::{Work, wire};

/// All clients.
pub struct Callers {
    /// What a client does once it was greeted.
    pub conduct: Conduct,
    /// What went wrong first.
    pub fault: Option<String>,
    /// Those who were greeted and stay, in that order.
    greeted: Vec<SessionId>,
    active: Range<usize>,
    depth: u32,
    /// Exchanges that nobody has begun.
    unasked: u64,
    /// Exchanges that have not ended.
    unanswered: u64,
    patience: Duration,
}

/// What a client does once it was greeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// It waits for work.
    Stay,
    /// It says one name, and `exit` when that was answered.
    Converse,
    /// It says one name and `exit` in one write.
    Blurt,
}

/// One client.
pub struct Caller {
    /// Its number, which its names begin with.
    number: u32,
    /// Names that it has said.
    said: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The greeting has not come yet.
    Calling,
    /// Nothing is owed to it.
    Idle,
    /// So many answers are owed to it.
    Asking { owed: u32 },
    /// It has said `exit`.
    Leaving,
    /// The goodbye has come.
    Left,
}

/// What came is not what must come.
struct Wrong;

impl Callers {
    pub fn new(patience: Duration) -> Self {
        Self {
            conduct: Conduct::Stay,
            fault: None,
            greeted: Vec::new(),
            active: 0..0,
            depth: 1,
            unasked: 0,
            unanswered: 0,
            patience,
        }
    }

    /// Hands out work. It begins with the next turn, which the alarm brings about.
    pub fn hand_out(&mut self, work: Work) {
        self.active = work.active;
        self.depth = work.depth;
        self.unasked = work.exchanges;
        self.unanswered = work.exchanges;
    }

    pub fn greeted(&self) -> usize {
        self.greeted.len()
    }

    pub fn has_finished(&self) -> bool {
        self.unanswered == 0
    }

    /// Asks as many names at once as the work wants and the output takes, if there is work.
    fn ask(&mut self, caller: &mut Caller, cx: &mut Context<'_>) {
        let room = (cx.room() / wire::ASKED_BYTES) as u32;
        let names = u64::from(self.depth.min(room)).min(self.unasked) as u32;
        for _ in 0..names {
            cx.write(&wire::asked(caller.number, caller.said));
            caller.said = caller.said.wrapping_add(1);
        }
        self.unasked -= u64::from(names);
        caller.state = match names {
            0 => State::Idle,
            owed => State::Asking { owed },
        };
    }

    /// Reads all that has come: one message may follow another.
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
            State::Calling if take(wire::GREETING, cx)? => self.was_greeted(caller, cx),
            State::Asking { owed } => return self.read_answers(caller, owed, cx),
            State::Leaving if take(wire::GOOD_BYE, cx)? => caller.state = State::Left,
            State::Idle | State::Left => return Err(Wrong),
            State::Calling | State::Leaving => {}
        }
        Ok(())
    }

    fn was_greeted(&mut self, caller: &mut Caller, cx: &mut Context<'_>) {
        caller.state = State::Idle;
        match self.conduct {
            Conduct::Stay => {
                self.greeted.push(cx.id());
                // Whoever hands out work finds the loop about to turn.
                cx.set_timer(cx.now());
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
            let number = caller.said.wrapping_sub(owed);
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
                caller.state = State::Leaving;
                cx.write(wire::EXIT);
            }
            Conduct::Blurt => caller.state = State::Leaving,
        }
        if self.unanswered == 0 {
            cx.set_timer(cx.now());
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
            number: peer.tag.expect("nobody calls us"),
            said: 0,
            state: State::Calling,
        }
    }

    fn step(&mut self, caller: &mut Caller, event: Event, cx: &mut Context<'_>) -> Next {
        match event {
            Event::Data if self.read(caller, cx).is_err() => {
                return self.wrong(caller, "something else came", cx.input());
            }
            Event::Wake if caller.state == State::Idle => self.ask(caller, cx),
            Event::Eof if caller.state == State::Left => {
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

    fn closed(&mut self, caller: Caller, _: Peer, why: EndReason, _: &mut ServiceContext) {
        if why != EndReason::Completed {
            self.wrong(&caller, &format!("it ended: {why}"), b"");
        }
    }

    fn connect_failed(&mut self, tag: u32, error: &io::Error, _: &mut ServiceContext) {
        self.fault
            .get_or_insert(format!("client {tag} cannot connect: {error}"));
    }

    /// Wakes those who take part in the work.
    fn on_timer(&mut self, cx: &mut ServiceContext) {
        if self.unasked > 0 {
            for &caller in &self.greeted[self.active.clone()] {
                cx.wake(caller);
            }
        }
    }
}

/// Takes `expected` off the input, if it is there already.
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
