//! The loop's part of the contract, as small as it can be.

use oneloop::testing::Harness;

use super::*;

/// One connection: what has come and is unread, what was said and when, what is waited for.
pub(super) struct Wire {
    pub(super) now: Time,
    pub(super) session: Session,
    pub(super) until: Time,
    pub(super) ended: Option<CloseReason>,
    pub(super) steps: usize,
    greeter: Greeter,
    harness: Harness,
    peer_has_finished: bool,
    said: Vec<(Time, Vec<u8>)>,
}

impl Wire {
    /// A connection that has just been accepted, before its first event.
    pub(super) fn accepted(config: Config) -> Self {
        let mut greeter = Greeter::new(config);
        let mut harness = Harness::with_output(1 << 16, 1 << 20);
        let session = harness.open(&mut greeter);
        Self {
            now: Time::START,
            session,
            until: Time::UNBOUNDED,
            ended: None,
            greeter,
            harness,
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
        wire.offer(Event::Open);
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

    /// Sets the output above which the session is not stepped with input.
    pub(super) fn with_mark(mut self, bytes: usize) -> Self {
        self.harness = Harness::with_output(bytes, 1 << 20);
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
            self.offer(Event::Timeout);
        }
        self.now = end;
        self
    }

    pub(super) fn finish(&mut self) -> &mut Self {
        self.offer(Event::Eof);
        self
    }

    pub(super) fn drain(&mut self) -> &mut Self {
        self.offer(Event::Drain);
        self
    }

    /// Input that the session is not told of yet.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.harness.receive(bytes);
    }

    /// Lets `event` happen, and all that the loop lets follow by itself.
    pub(super) fn offer(&mut self, event: Event) {
        self.peer_has_finished |= event == Event::Eof;
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
        self.harness.set_now(self.now);
        let next = self
            .harness
            .step(&mut self.greeter, &mut self.session, event);
        let said = self.harness.take_output();
        if next == Next::Flush {
            assert!(!said.is_empty(), "there is nothing to flush");
        }
        if !said.is_empty() {
            self.said.push((self.now, said));
        }
        next
    }

    /// What was left because there was no room, or before a flush, comes again.
    fn offer_again(&self, after: Event) -> Option<Event> {
        let left_for_room = !self.harness.had_room() || after == Event::Flushed;
        if self.harness.unread().is_empty() || !left_for_room {
            return None;
        }
        Some(match self.peer_has_finished {
            true => Event::Eof,
            false => Event::Data,
        })
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
