//! The loop's part of the contract, as small as it can be.

use super::*;
use crate::service::{Context, Desk, Peer, Service, SessionId};

/// One connection: what has come and is unread, what was said and when, what is waited for.
pub(super) struct Wire {
    pub(super) now: Time,
    pub(super) session: Session,
    pub(super) until: Time,
    pub(super) ended: Option<EndReason>,
    pub(super) flushes: usize,
    greeter: Greeter,
    input: Vec<u8>,
    output_bytes_max: usize,
    steps: usize,
    peer_has_finished: bool,
    said: Vec<(Time, Vec<u8>)>,
}

impl Wire {
    /// A connection that has just been accepted, before its first event.
    pub(super) fn accepted(config: Config) -> Self {
        let mut greeter = Greeter::new(config);
        let peer = Peer {
            address: "127.0.0.1:42101".parse().unwrap(),
            ticket: None,
        };
        let mut desk = Desk::new(0);
        let session = greeter.open(peer, &mut Context::new(b"", &mut desk));
        Self {
            now: Time::START,
            session,
            until: Time::NEVER,
            ended: None,
            flushes: 0,
            greeter,
            input: Vec::new(),
            output_bytes_max: 1 << 16,
            steps: 0,
            peer_has_finished: false,
            said: Vec::new(),
        }
    }

    pub(super) fn open(framing: Framing) -> Self {
        Self::open_with(Config {
            framing,
            ..Config::default()
        })
    }

    pub(super) fn open_with(config: Config) -> Self {
        let mut wire = Self::accepted(config);
        wire.offer(Event::Opened);
        wire
    }

    /// A connection on which the first question has just been asked.
    pub(super) fn asked(framing: Framing) -> Self {
        let mut wire = Self::open(framing);
        if framing != Framing::Line {
            wire.wait(GAP);
        }
        wire
    }

    pub(super) fn with_output_of(mut self, bytes_max: usize) -> Self {
        self.output_bytes_max = bytes_max;
        self
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) -> &mut Self {
        self.put(bytes);
        self.offer(Event::Data);
        self
    }

    /// Lets time pass, and deadlines with it.
    pub(super) fn wait(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while self.until <= end && self.ended.is_none() {
            self.now = self.until.max(self.now);
            self.offer(Event::Deadline);
        }
        self.now = end;
        self
    }

    pub(super) fn finish(&mut self) -> &mut Self {
        self.offer(Event::PeerFinished);
        self
    }

    pub(super) fn drain(&mut self) -> &mut Self {
        self.offer(Event::Drain);
        self
    }

    /// Input that the session is not told of yet.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Lets `event` happen, and all that the loop lets follow by itself.
    pub(super) fn offer(&mut self, event: Event) {
        self.peer_has_finished |= event == Event::PeerFinished;
        let mut next_event = Some(event);
        while let Some(event) = next_event.take()
            && self.ended.is_none()
        {
            next_event = match self.step(event) {
                Next::Read { until } => {
                    self.until = until;
                    self.offer_again(event)
                }
                Next::Pause { .. } => panic!("a greeting always listens"),
                Next::Flush => Some(Event::Flushed),
                Next::Close(why) => {
                    self.ended = Some(why);
                    None
                }
            }
        }
    }

    /// One step and nothing else; what is written counts as sent.
    pub(super) fn step(&mut self, event: Event) -> Next {
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "the session goes round in circles");
        let mut desk = Desk::new(self.output_bytes_max);
        (desk.now, desk.user) = (self.now, ID);
        let mut cx = Context::new(&self.input, &mut desk);
        let next = self.greeter.step(&mut self.session, event, &mut cx);
        let unread = cx.input().len();
        self.input.drain(..self.input.len() - unread);
        let said = desk.output.as_slice();
        if next == Next::Flush {
            assert!(!said.is_empty(), "there is nothing to flush");
            self.flushes += 1;
        }
        if !said.is_empty() {
            self.said.push((self.now, said.to_vec()));
        }
        next
    }

    /// What is unread after a flush was left because there was no room.
    fn offer_again(&self, after: Event) -> Option<Event> {
        match after {
            Event::Flushed if self.peer_has_finished => Some(Event::PeerFinished),
            Event::Flushed if !self.input.is_empty() => Some(Event::Data),
            _ => None,
        }
    }

    /// All that was said since the last time this was asked, each write by itself.
    pub(super) fn said(&mut self) -> Vec<String> {
        self.said_at().into_iter().map(|(_, text)| text).collect()
    }

    pub(super) fn said_at(&mut self) -> Vec<(Time, String)> {
        let said = std::mem::take(&mut self.said).into_iter();
        said.map(|(at, bytes)| (at, String::from_utf8(bytes).unwrap()))
            .collect()
    }

    /// All that was said, however it was cut into writes.
    pub(super) fn transcript(&mut self) -> String {
        self.said().concat()
    }
}

/// Far more than any test needs: a session that never comes to rest fails instead of hanging.
const STEPS_MAX: usize = 100_000;

const ID: SessionId = SessionId {
    index: 3,
    serial: 1,
};
