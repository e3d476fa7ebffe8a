//! Driving one connection: read, step its session, write, until nothing more can be done now.

use std::io::{self, ErrorKind};

use super::buffer::Buffers;
use super::connection::{Connection, Flags, Phase};
use super::core::{Core, READ_BYTES_MAX, Slot};
use crate::net::Net;
use crate::service::{Context, EndReason, Event, Next, Service, SessionId};

/// Whether it is worth looking at a connection again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Made,
    /// Nothing more until an event, a deadline or a wake-up.
    None,
}

/// How driving a connection ended for this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It waits for an event, a wake-up or its deadline.
    Idle,
    /// It has used up its share of the turn; there is more to do.
    BudgetExhausted,
    /// It is over.
    Closed,
}

impl<S: Service, N: Net> Core<S, N> {
    /// Does for a connection all that can be done now, within its share of the turn.
    #[inline(always)]
    pub(crate) fn drive(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Outcome {
        // Nearly every event is for this, and mostly that is all.
        if connection.is_plain_read() && self.receive(connection, id) == Progress::None {
            return Outcome::Idle;
        }
        self.drive_on(connection, id)
    }

    /// As [`drive`](Self::drive), for where it is not worth being inlined.
    #[inline(never)]
    pub(crate) fn drive_on(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Outcome {
        let share = self.work() + self.limits.turn_bytes_max as u64;
        while self.work() < share {
            if self.advance(connection, id) == Progress::None {
                return match connection.phase {
                    Phase::Dead => Outcome::Closed,
                    _ => Outcome::Idle,
                };
            }
        }
        if connection.flags.has(Flags::DRAIN) {
            connection.flags.add(Flags::DRAIN_OVERDUE);
        }
        Outcome::BudgetExhausted
    }

    /// Does what is first in line: output that waits, then news for the session, then input.
    pub(crate) fn advance(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        if connection.has_pending_output() {
            return self.flush(connection);
        }
        if connection.phase != Phase::Live {
            return self.advance_lifecycle(connection, id);
        }
        if let Some(event) = connection.next_event(self.now()) {
            return self.step_buffered(connection, id, event);
        }
        if connection.wants_reading() {
            return match connection.has_input() {
                false => self.receive(connection, id),
                true => self.receive_behind(connection, id),
            };
        }
        // No read will find out whether the connection is broken.
        if connection.flags.take(Flags::HUP_UNCHECKED)
            && self.net.take_error(&connection.stream).is_some()
        {
            connection.end(EndReason::Reset);
            return Progress::Made;
        }
        if connection.is_read_ahead() {
            return self.read_ahead(connection, id);
        }
        Progress::None
    }

    /// Reads once, where nothing is unread, and shows it to the session.
    #[inline(always)]
    pub(crate) fn receive(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        match self.net.read(&mut connection.stream, &mut self.input) {
            Ok(0) => self.read_end(connection, id),
            Ok(bytes) => {
                self.note_read(connection, bytes, self.input.len());
                self.step(connection, id, bytes)
            }
            Err(error) => Self::read_failed(connection, &error),
        }
    }

    /// Reads once, behind what is unread, and shows it to the session.
    #[cold]
    pub(crate) fn receive_behind(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
    ) -> Progress {
        if self.is_input_full(connection) {
            return self.probe(connection, id);
        }
        match self.read_behind(connection, id) {
            Ok(()) => self.step_buffered(connection, id, Event::Data),
            Err(progress) => progress,
        }
    }

    /// Reads once for a session that is paused, since its peer has finished: it is to learn of
    /// that, be it in the middle of its pause.
    #[cold]
    pub(crate) fn read_ahead(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        if self.is_input_full(connection) {
            connection.flags.add(Flags::AHEAD_FULL);
            return Progress::None;
        }
        match self.read_behind(connection, id) {
            Ok(()) => Progress::Made,
            Err(progress) => progress,
        }
    }

    /// Reads once behind what is unread. If that brings no input, says what it was instead.
    pub(crate) fn read_behind(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
    ) -> Result<(), Progress> {
        let Connection {
            stream, buffers, ..
        } = connection;
        let input = &mut buffers.get_or_insert_default().input;
        let space = input.space(self.limits.input_bytes_max);
        let asked = space.len().min(READ_BYTES_MAX);
        match self.net.read(stream, &mut space[..asked]) {
            Ok(0) => Err(self.read_end(connection, id)),
            Ok(bytes) => {
                input.add(bytes);
                self.note_read(connection, bytes, asked);
                Ok(())
            }
            Err(error) => {
                connection.free_buffers();
                Err(Self::read_failed(connection, &error))
            }
        }
    }

    /// Looks whether there is more input than may be unread. As much as that is not too much.
    pub(crate) fn probe(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        match self.net.read(&mut connection.stream, &mut self.input[..1]) {
            Ok(0) => self.read_end(connection, id),
            Ok(_) => {
                connection.close(EndReason::InputOverflow);
                self.await_flush(connection);
                Progress::Made
            }
            Err(error) => Self::read_failed(connection, &error),
        }
    }

    pub(crate) fn is_input_full(&self, connection: &Slot<S, N>) -> bool {
        let unread = |buffers: &Buffers| buffers.input.len() == self.limits.input_bytes_max;
        connection.buffers.as_deref().is_some_and(unread)
    }

    /// Counts what a read has brought, of as much as was asked for.
    #[inline(always)]
    pub(crate) fn note_read(&mut self, connection: &mut Slot<S, N>, bytes: usize, asked: usize) {
        self.counters.bytes_in += bytes as u64;
        // A short read has emptied the socket, and new data will bring an event; but if the peer
        // has finished, that event may have come already.
        if N::SHORT_READ_DRAINS && bytes < asked && !connection.flags.has(Flags::HUP) {
            connection.flags.remove(Flags::READABLE);
        }
    }

    /// The peer has finished sending.
    #[cold]
    pub(crate) fn read_end(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        connection.free_buffers();
        connection.flags.remove(Flags::READABLE);
        connection.flags.add(Flags::EOF);
        self.step_buffered(connection, id, Event::Eof)
    }

    #[cold]
    pub(crate) fn read_failed(connection: &mut Slot<S, N>, error: &io::Error) -> Progress {
        match error.kind() {
            ErrorKind::Interrupted => {}
            ErrorKind::WouldBlock => connection.flags.remove(Flags::READABLE),
            _ => connection.end(EndReason::Reset),
        }
        Progress::Made
    }

    /// Steps the session with the first `filled` bytes of `self.input`, all that is unread.
    #[inline(always)]
    pub(crate) fn step(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
        filled: usize,
    ) -> Progress {
        self.counters.steps += 1;
        let session = connection
            .session
            .as_mut()
            .expect("a live connection has a session");
        self.scratch.user = id;
        let mut cx = Context::new(&self.input[..filled], &mut self.scratch);
        let next = self.service.step(session, Event::Data, &mut cx);
        let left = cx.input().len();
        self.scratch.user = SessionId::NONE;
        if left > 0 {
            let buffers = connection.buffers.get_or_insert_default();
            buffers.input.set(&self.input[filled - left..filled]);
            return self.conclude_cold(connection, next, Event::Data);
        }
        self.conclude(connection, next, Event::Data)
    }

    /// Steps the session with what the connection holds of unread input.
    #[cold]
    pub(crate) fn step_buffered(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
        event: Event,
    ) -> Progress {
        self.counters.steps += 1;
        let mut buffers = connection.buffers.take();
        let session = connection
            .session
            .as_mut()
            .expect("a live connection has a session");
        self.scratch.user = id;
        let input = buffers
            .as_deref()
            .map_or(&[][..], |buffers| buffers.input.unread());
        let mut cx = Context::new(input, &mut self.scratch);
        let next = self.service.step(session, event, &mut cx);
        let left = cx.input().len();
        self.scratch.user = SessionId::NONE;
        if let Some(buffers) = &mut buffers {
            buffers.input.keep_last(left);
        }
        connection.buffers = buffers.filter(|buffers| !buffers.is_empty());
        connection.flags.remove(Flags::AHEAD_FULL);
        self.conclude_cold(connection, next, event)
    }

    /// As [`conclude`](Self::conclude), for where it is not worth being inlined, and where input
    /// may be unread.
    #[cold]
    pub(crate) fn conclude_cold(
        &mut self,
        connection: &mut Slot<S, N>,
        next: Next,
        event: Event,
    ) -> Progress {
        // ReadBuf that is left because there was no room for its answer is not half a message.
        if self.scratch.output.room() == 0 && connection.has_input() {
            connection.flags.add(Flags::REDELIVER);
        }
        self.conclude(connection, next, event)
    }

    /// Does as the session has answered: sets its deadline, and writes its output.
    #[inline(always)]
    pub(crate) fn conclude(
        &mut self,
        connection: &mut Slot<S, N>,
        next: Next,
        event: Event,
    ) -> Progress {
        let done = if let Next::Read { until } = next
            && !connection.flags.has(Flags::PAUSED)
        {
            connection.set_deadline(until, &self.pressure);
            self.send(connection)
        } else {
            self.apply_cold(connection, next, event);
            self.send(connection) && connection.phase == Phase::Live
        };
        if !done {
            self.await_flush(connection);
            Progress::Made
        } else if connection
            .flags
            .has(Flags::READABLE | Flags::PENDING_EVENTS)
        {
            Progress::Made
        } else {
            Progress::None
        }
    }

    #[cold]
    pub(crate) fn apply_cold(&self, connection: &mut Slot<S, N>, next: Next, event: Event) {
        let seen = matches!(event, Event::Data | Event::Eof);
        if let Some(until) = connection.waits(next, seen) {
            connection.set_deadline(until, &self.pressure);
        }
    }
}
