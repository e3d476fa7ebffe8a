//! The service of a [`Fleet`](super::Fleet): its clients.

use std::ops::Range;
use std::time::Duration;

use oneloop::{
    CloseReason, ConnectError, Context, EndReason, Event, Next, Peer, Service, ServiceContext,
    SessionId, Tag,
};

use oneloop_client::{Client, Message, Name, Unexpected};

use super::Work;

/// All clients.
pub struct Clients {
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

impl Clients {
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
    fn ask(&mut self, client: &mut Client, cx: &mut Context<'_>) {
        let room = (cx.room() / (Name::BYTES + LINE_END.len())) as u32;
        let names = u64::from(self.depth.min(room)).min(self.unsent);
        for _ in 0..names {
            client.send_name(LINE_END, cx);
        }
        self.unsent -= names;
    }

    /// Receives all messages that have arrived.
    fn read(&mut self, client: &mut Client, cx: &mut Context<'_>) -> Result<(), Unexpected> {
        while let Some(message) = client.receive(cx)? {
            match message {
                Message::Greeting => self.was_greeted(client, cx),
                Message::Answer(_) => {
                    self.unanswered -= 1;
                    if client.in_flight() == 0 {
                        self.was_answered(client, cx);
                    }
                }
                Message::GoodBye => {}
            }
        }
        Ok(())
    }

    fn was_greeted(&mut self, client: &mut Client, cx: &mut Context<'_>) {
        match self.conduct {
            Conduct::Stay => {
                self.greeted.push(cx.id());
                // The loop turns once more for newly assigned work.
                cx.set_service_timer(WORK, cx.now());
            }
            Conduct::Converse => self.ask(client, cx),
            Conduct::Blurt => {
                self.ask(client, cx);
                client.send_exit(LINE_END, cx);
            }
        }
    }

    fn was_answered(&mut self, client: &mut Client, cx: &mut Context<'_>) {
        match self.conduct {
            Conduct::Stay => self.ask(client, cx),
            Conduct::Converse => client.send_exit(LINE_END, cx),
            Conduct::Blurt => {}
        }
        if self.unanswered == 0 {
            cx.set_service_timer(WORK, cx.now());
        }
    }

    fn wrong(&mut self, client: &Client, cause: &str, input: &[u8]) -> Next {
        let shown = String::from_utf8_lossy(&input[..input.len().min(100)]);
        let fault = format!("{cause}: {client:?}, unread: {shown:?}");
        self.fault.get_or_insert(fault);
        Next::Close(CloseReason::ProtocolError)
    }
}

impl Service for Clients {
    type Session = Client;

    fn open(&mut self, peer: Peer, _: &mut ServiceContext) -> Client {
        let tag = peer.tag.expect("all connections are outbound");
        Client::new(tag.value() as u32, 0)
    }

    fn step(&mut self, client: &mut Client, event: Event, cx: &mut Context<'_>) -> Next {
        let is_idle = client.is_talking() && client.in_flight() == 0;
        match event {
            Event::Data if self.read(client, cx).is_err() => {
                return self.wrong(client, "unexpected input", cx.input());
            }
            Event::Wake if is_idle => self.ask(client, cx),
            Event::Eof if client.has_parted() => {
                return Next::Close(CloseReason::Completed);
            }
            Event::Eof => {
                return self.wrong(client, "unexpected end of the stream", cx.input());
            }
            Event::Timeout if !is_idle => {
                return self.wrong(client, "no answer within a minute", cx.input());
            }
            _ => {}
        }
        let until = cx.after(self.patience);
        Next::Read { until }
    }

    fn closed(&mut self, client: Client, _: Peer, reason: EndReason, _: &mut ServiceContext) {
        if reason != EndReason::Completed {
            self.wrong(&client, &format!("unexpected end, {reason}"), b"");
        }
    }

    fn connect_failed(&mut self, tag: Tag, error: &ConnectError, _: &mut ServiceContext) {
        self.fault
            .get_or_insert(format!("client {tag} cannot connect: {error}"));
    }

    /// Wakes the clients that take part in the work.
    fn on_timer(&mut self, _: u64, cx: &mut ServiceContext) {
        if self.unsent > 0 {
            for &client in &self.greeted[self.active.clone()] {
                cx.wake(client);
            }
        }
    }
}

/// Every server of the comparison takes lines.
const LINE_END: &[u8] = b"\n";

/// The key of the timer that looks for work.
const WORK: u64 = 0;
