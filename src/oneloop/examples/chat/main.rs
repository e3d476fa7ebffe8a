//! A chat: `cargo run --release -p oneloop --example chat -- 127.0.0.1:6000`, then, several times,
//! `nc 127.0.0.1 6000`. A line goes to the others in the room; `/join ROOM`, `/msg NAME TEXT` and
//! `/leave` are commands.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use oneloop::framing::{Delimited, Scanned};
use oneloop::{CloseReason, Context, EndReason, Event, Limits, Next, Peer, Reactor, Service};
use oneloop::{ServiceContext, SessionId, Shared};

const LINES: Delimited = Delimited::lines(1000);
/// The most messages that wait for a member; with more it is dropped, because it does not read.
const BACKLOG_MAX: usize = 200;

/// The members, which all sessions share. One thread steps them, so this needs no lock.
#[derive(Default)]
struct Chat(HashMap<SessionId, Member>);

struct Member {
    name: String,
    room: String,
    /// The messages to send to it. One for a thousand members is in memory once.
    inbox: VecDeque<Shared>,
}

/// The state of a connection.
#[derive(PartialEq)]
enum State {
    /// It waits for a line: the member's name.
    Naming,
    /// It waits for lines, and for messages of others, which wake it.
    Chatting,
    /// It waits until its output has been sent.
    Leaving,
}

impl Chat {
    /// Puts a message into the inbox of each member that `is_to` chooses, and wakes it.
    fn post(&mut self, text: &str, is_to: impl Fn(&Member) -> bool, cx: &mut ServiceContext) {
        let message = Shared::from(format!("{text}\n").into_bytes());
        for (&id, member) in self.0.iter_mut().filter(|(_, member)| is_to(member)) {
            match member.inbox.len() {
                0 => cx.wake(id),
                1..BACKLOG_MAX => {} // it was woken for the first one
                _ => cx.abort(id),
            }
            member.inbox.push_back(message.clone());
        }
    }

    /// Handles a line of input. Returns the next state.
    fn hear(&mut self, state: &State, line: &str, cx: &mut Context<'_>) -> State {
        let id = cx.id();
        let is_taken = |name: &str| self.0.values().any(|member| member.name == name);
        match (state, &line.splitn(3, ' ').collect::<Vec<_>>()[..]) {
            (State::Naming, &[name]) if !name.is_empty() && !is_taken(name) => {
                let (name, room, inbox) = (name.into(), "lobby".into(), VecDeque::new());
                self.0.insert(id, Member { name, room, inbox });
            }
            (State::Naming, _) => {
                cx.write(b"another name, please\n");
                return State::Naming;
            }
            (_, ["/leave"]) => return State::Leaving,
            (_, &["/join", room]) => {
                self.0.get_mut(&id).expect("it has a name").room = room.into();
            }
            (_, &["/msg", name, text]) if is_taken(name) => {
                let text = format!("{} (to you): {text}", self.0[&id].name);
                self.post(&text, |member| member.name == name, cx);
            }
            (_, ["/msg", ..]) => cx.write(b"no such member\n"),
            _ => {
                let Member { name, room, .. } = &self.0[&id];
                let (text, name, room) = (format!("{name}: {line}"), name.clone(), room.clone());
                self.post(&text, |other| other.room == room && other.name != name, cx);
            }
        }
        State::Chatting
    }
}

impl Service for Chat {
    type Session = (State, Scanned); // and how far the input was searched for the end of a line

    fn open(&mut self, _: Peer, _: &mut ServiceContext) -> Self::Session {
        (State::Naming, Scanned::default())
    }

    fn step(&mut self, session: &mut Self::Session, event: Event, cx: &mut Context<'_>) -> Next {
        let (state, scanned) = session;
        let until = cx.after(Duration::from_secs(3600));
        if event == Event::Open {
            cx.write(b"your name, please\n");
        }
        let mut has_messages = false;
        if let Some(Member { inbox, .. }) = self.0.get_mut(&cx.id()) {
            while let Some(message) = cx.has_room().then(|| inbox.pop_front()).flatten() {
                cx.write_shared(message);
            }
            has_messages = !inbox.is_empty();
        }
        while cx.has_room() && *state != State::Leaving {
            let Ok(line) = LINES.first(cx.input(), scanned) else {
                return Next::Close(CloseReason::ProtocolError); // it is too long
            };
            let Some(line) = line else { break };
            let text = String::from_utf8_lossy(line.body).replace(char::is_control, "");
            *state = self.hear(state, &text, cx);
            cx.consume(line.bytes);
        }
        match event {
            _ if *state == State::Leaving => Next::Close(CloseReason::Completed),
            // Lines that are left for lack of room come again, and this event with them.
            Event::Eof if cx.has_room() || cx.input().is_empty() => Next::Close(CloseReason::Eof),
            Event::Timeout => Next::Close(CloseReason::Timeout),
            Event::Drain => Next::Close(CloseReason::Shutdown),
            _ if has_messages => Next::Flush,
            _ => Next::Read { until },
        }
    }

    fn closed(&mut self, _: Self::Session, peer: Peer, _: EndReason, _: &mut ServiceContext) {
        self.0.remove(&peer.id); // if it had a name
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: chat ADDRESS:PORT")?;
    let mut reactor = Reactor::new(Chat::default(), Limits::default())?;
    println!("listening on {}", reactor.listen(address.parse()?)?);
    reactor.stop_on_signals()?;
    let handle = reactor.handle();
    // Another thread reaches the members by calls that the loop carries out.
    std::thread::spawn(move || {
        while handle
            .run(|chat, cx| chat.post("* be kind", |_| true, cx))
            .is_ok()
        {
            std::thread::sleep(Duration::from_secs(5));
        }
    });
    reactor.run()?;
    Ok(())
}

#[cfg(test)]
mod tests;
