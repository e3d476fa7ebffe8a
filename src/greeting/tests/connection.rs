//! A minimal loop for one session.

use oneloop::testing::Harness;

use super::*;

/// One connection: its session, unread input, timed output and deadline.
pub(super) struct Connection {
    pub(super) now: Time,
    pub(super) session: Session,
    pub(super) until: Time,
    pub(super) closed: Option<CloseReason>,
    pub(super) steps: usize,
    greeter: Greeter,
    harness: Harness,
    peer_has_finished: bool,
    output: Vec<(Time, Vec<u8>)>,
}

impl Connection {
    /// Accepts a connection, before its first event.
    pub(super) fn accepted(config: Config) -> Self {
        let mut greeter = Greeter::new(config);
        let mut harness = Harness::with_output(1 << 16, 1 << 20);
        let session = harness.open(&mut greeter);
        Self {
            now: Time::START,
            session,
            until: Time::UNBOUNDED,
            closed: None,
            greeter,
            harness,
            steps: 0,
            peer_has_finished: false,
            output: Vec::new(),
        }
    }

    pub(super) fn open(framing: Framing) -> Self {
        Self::open_with(Config {
            framing,
            ..Config::default()
        })
    }

    pub(super) fn open_with(config: Config) -> Self {
        let mut connection = Self::accepted(config);
        connection.deliver(Event::Open);
        connection
    }

    /// Opens a connection and advances to its first question.
    pub(super) fn asked(framing: Framing) -> Self {
        let mut connection = Self::open(framing);
        if framing != Framing::Line {
            connection.advance(GAP);
        }
        connection
    }

    /// Sets the pending output above which the session gets no input.
    pub(super) fn with_mark(mut self, bytes: usize) -> Self {
        self.harness = Harness::with_output(bytes, 1 << 20);
        self
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) -> &mut Self {
        self.buffer_input(bytes);
        self.deliver(Event::Data);
        self
    }

    /// Advances the clock and expires deadlines.
    pub(super) fn advance(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while self.until <= end && self.closed.is_none() {
            self.now = self.until.max(self.now);
            self.deliver(Event::Timeout);
        }
        self.now = end;
        self
    }

    pub(super) fn finish(&mut self) -> &mut Self {
        self.deliver(Event::Eof);
        self
    }

    pub(super) fn drain(&mut self) -> &mut Self {
        self.deliver(Event::Drain);
        self
    }

    /// Adds unread input without an event.
    pub(super) fn buffer_input(&mut self, bytes: &[u8]) {
        self.harness.receive(bytes);
    }

    /// Delivers `event`, and the events that the loop derives from it.
    pub(super) fn deliver(&mut self, event: Event) {
        self.peer_has_finished |= event == Event::Eof;
        let mut pending = Some(event);
        while let Some(event) = pending.take()
            && self.closed.is_none()
        {
            pending = match self.step(event) {
                Next::Read { until } => {
                    self.until = until;
                    self.redelivery(event)
                }
                Next::Flush => Some(Event::Flushed),
                Next::Close(reason) => {
                    self.closed = Some(reason);
                    None
                }
                other => panic!("the greeting never returns {other:?}"),
            }
        }
    }

    /// Runs one step. Its output counts as sent.
    pub(super) fn step(&mut self, event: Event) -> Next {
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "the session does not settle");
        self.harness.set_now(self.now);
        let next = self
            .harness
            .step(&mut self.greeter, &mut self.session, event);
        let output = self.harness.take_output();
        if next == Next::Flush {
            assert!(!output.is_empty(), "there is nothing to flush");
        }
        if !output.is_empty() {
            self.output.push((self.now, output));
        }
        next
    }

    /// Returns the event that redelivers input which had no room, or arrived before a flush.
    fn redelivery(&self, after: Event) -> Option<Event> {
        let is_blocked = !self.harness.had_room() || after == Event::Flushed;
        if self.harness.unread().is_empty() || !is_blocked {
            return None;
        }
        Some(match self.peer_has_finished {
            true => Event::Eof,
            false => Event::Data,
        })
    }

    /// Takes the output since the last call, one string per write.
    pub(super) fn output(&mut self) -> Vec<String> {
        self.output_at().into_iter().map(|(_, text)| text).collect()
    }

    pub(super) fn output_at(&mut self) -> Vec<(Time, String)> {
        let output = std::mem::take(&mut self.output).into_iter();
        output
            .map(|(at, bytes)| (at, String::from_utf8(bytes).unwrap()))
            .collect()
    }

    /// Takes the output since the last call as one string.
    pub(super) fn transcript(&mut self) -> String {
        self.output().concat()
    }
}

/// Far more than any test needs: an endless session fails instead of hanging.
const STEPS_MAX: usize = 100_000;
