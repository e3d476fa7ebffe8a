//! Driving one connection: read, step its session, write, until there is no more to do now.

use std::io::{self, ErrorKind};
use std::ops::Range;

use super::buffer::Buffers;
use super::connection::{Connection, Flags, Phase};
use super::core::{Core, READ_BYTES_MAX, Slot};
use crate::net::Net;
use crate::service::{Context, EndReason, Event, Next, Service, SessionId};

/// Whether to advance a connection again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Made,
    /// There is no more to do until an event, a deadline or a wake-up.
    None,
}

/// The outcome of driving a connection in this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It waits for an event, a wake-up or its deadline.
    Idle,
    /// It has used up its budget; there is more to do.
    BudgetExhausted,
    /// It has ended.
    Closed,
}

impl<S: Service, N: Net> Core<S, N> {
    /// Drives a connection as far as possible, within its budget for the turn.
    #[inline(always)]
    pub(crate) fn drive(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Outcome {
        // Nearly every event is for this, and usually there is no more to do.
        if connection.is_plain_read() && self.receive(connection, id, false) == Progress::None {
            return Outcome::Idle;
        }
        self.drive_on(connection, id)
    }

    /// Drives like [`drive`](Self::drive), out of line.
    #[inline(never)]
    pub(crate) fn drive_on(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Outcome {
        let budget_end = self.cost_so_far() + self.limits.turn_bytes_max as u64;
        while self.cost_so_far() < budget_end {
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

    /// Does the first thing due: flush pending output, step with an event, or read input.
    pub(crate) fn advance(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        if connection.has_pending_output() {
            if connection.flags.has(Flags::WRITABLE) {
                return self.flush(connection);
            }
            if !connection.is_duplex() {
                return Progress::None;
            }
        }
        if connection.phase != Phase::Live {
            return self.advance_lifecycle(connection, id);
        }
        let mark = self.limits.output_bytes_mark;
        if let Some(event) = connection.next_event(self.now(), mark) {
            return self.step_buffered(connection, id, event);
        }
        if let Some(key) = self.scratch.service.timers.take_due(id) {
            let event = self.scratch.service.timer_event(key);
            return self.step_buffered(connection, id, event);
        }
        if connection.wants_reading() {
            return match connection.has_input() {
                false => self.receive(connection, id, connection.has_pending_output()),
                true => self.receive_behind(connection, id),
            };
        }
        // No read will show whether the connection is broken.
        if connection.flags.take(Flags::HUP_UNCHECKED)
            && self.net.take_error(&connection.stream).is_some()
        {
            connection.abort(EndReason::Reset);
            return Progress::Made;
        }
        if connection.is_read_ahead() && !self.is_input_full(connection) {
            return self.read_ahead(connection, id);
        }
        Progress::None
    }

    /// Reads once, without unread input before it, and steps the session with it. `duplex` is true
    /// if output is pending.
    #[inline(always)]
    pub(crate) fn receive(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
        duplex: bool,
    ) -> Progress {
        match self.net.read(&mut connection.stream, &mut self.input) {
            Ok(0) => self.read_end(connection, id),
            Ok(bytes) => {
                self.note_read(connection, bytes, self.input.len());
                self.step(connection, id, bytes, duplex)
            }
            Err(error) => Self::read_failed(connection, &error),
        }
    }

    /// Reads once, behind the unread input, and steps the session with all of it.
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

    /// Reads once for a paused session whose peer has finished. It must notice the end during its
    /// pause.
    #[cold]
    pub(crate) fn read_ahead(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        match self.read_behind(connection, id) {
            Ok(()) => Progress::Made,
            Err(progress) => progress,
        }
    }

    /// Reads once behind the unread input. If that yields no input, returns the progress made
    /// instead.
    pub(crate) fn read_behind(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
    ) -> Result<(), Progress> {
        let Connection {
            stream, buffers, ..
        } = connection;
        let input = &mut buffers.get_or_insert_default().input;
        let space = input.space(self.limits.input_bytes_max, &mut self.spares);
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

    /// Checks for more input when the buffer is full. A full buffer alone is not an overflow.
    pub(crate) fn probe(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        match self.net.read(&mut connection.stream, &mut self.input[..1]) {
            Ok(0) => self.read_end(connection, id),
            Ok(_) => {
                self.counters.bytes_in += 1;
                connection.close(EndReason::InputOverflow);
                self.await_flush(connection);
                Progress::Made
            }
            Err(error) => Self::read_failed(connection, &error),
        }
    }

    pub(crate) fn is_input_full(&self, connection: &Slot<S, N>) -> bool {
        let is_full = |buffers: &Buffers| buffers.input.is_full(self.limits.input_bytes_max);
        connection.buffers.as_deref().is_some_and(is_full)
    }

    /// Counts the bytes of a read for which `asked` bytes were requested.
    #[inline(always)]
    pub(crate) fn note_read(&mut self, connection: &mut Slot<S, N>, bytes: usize, asked: usize) {
        self.counters.bytes_in += bytes as u64;
        // A short read has emptied the socket, and new data will cause an event; but if the peer
        // has finished, that event may have come already.
        if N::SHORT_READ_DRAINS && bytes < asked && !connection.flags.has(Flags::HUP) {
            connection.flags.remove(Flags::READABLE);
        }
    }

    /// Handles the end of the peer's stream.
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
            _ => connection.abort(EndReason::Reset),
        }
        Progress::Made
    }

    /// Steps the session with the first `filled` bytes of `self.input`, which are all unread input.
    #[inline(always)]
    pub(crate) fn step(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
        filled: usize,
        duplex: bool,
    ) -> Progress {
        self.counters.steps += 1;
        if duplex {
            let pending = connection.pending_output();
            self.scratch.output.set_pending(pending);
        }
        let session = connection
            .session
            .as_mut()
            .expect("a live connection has a session");
        self.scratch.current = id;
        let mut cx = Context::new(&self.input[..filled], &mut self.scratch);
        let next = self.service.step(session, Event::Data, &mut cx);
        let left = cx.input().len();
        self.scratch.end_step();
        if left > 0 {
            self.keep_unread(connection, filled - left..filled);
        }
        if left > 0 || duplex {
            return self.conclude_cold(connection, next, Event::Data);
        }
        self.conclude(connection, next, Event::Data)
    }

    /// Keeps these bytes of `self.input`, which the session has not consumed.
    #[inline(never)]
    fn keep_unread(&mut self, connection: &mut Slot<S, N>, unread: Range<usize>) {
        let input = &mut connection.buffers.get_or_insert_default().input;
        input.set(&self.input[unread]);
        input.raise_max(self.scratch.take_input_max());
    }

    /// Steps the session with the unread input of its connection.
    #[cold]
    pub(crate) fn step_buffered(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
        event: Event,
    ) -> Progress {
        self.counters.steps += 1;
        let pending = connection.pending_output();
        self.scratch.output.set_pending(pending);
        let mut buffers = connection.buffers.take();
        let session = connection
            .session
            .as_mut()
            .expect("a live connection has a session");
        self.scratch.current = id;
        let input = buffers
            .as_deref()
            .map_or(&[][..], |buffers| buffers.input.unread());
        let mut cx = Context::new(input, &mut self.scratch);
        let next = self.service.step(session, event, &mut cx);
        let left = cx.input().len();
        self.scratch.end_step();
        if let Some(buffers) = &mut buffers {
            match left {
                0 => self.spares.keep(buffers.input.take()),
                left => buffers.input.keep_last(left),
            }
            buffers.input.raise_max(self.scratch.take_input_max());
        }
        connection.buffers = buffers.filter(|buffers| !buffers.is_empty());
        self.conclude_cold(connection, next, event)
    }

    /// Concludes like [`conclude`](Self::conclude), out of line, where input may be unread.
    #[cold]
    pub(crate) fn conclude_cold(
        &mut self,
        connection: &mut Slot<S, N>,
        next: Next,
        event: Event,
    ) -> Progress {
        // Input that is unread because there was no room for its answer may hold whole messages.
        if self.scratch.output.room() == 0 && connection.has_input() {
            connection.flags.add(Flags::REDELIVER);
        }
        self.scratch.output.set_pending(0);
        let progress = match connection.has_pending_output() {
            false => self.conclude(connection, next, event),
            true => self.conclude_behind(connection, next, event),
        };
        // A timer that became due while the session could not be stepped comes next.
        match self.scratch.service.timers.has_due() {
            true => Progress::Made,
            false => progress,
        }
    }

    /// Applies the session's answer while earlier output is pending.
    fn conclude_behind(
        &mut self,
        connection: &mut Slot<S, N>,
        next: Next,
        event: Event,
    ) -> Progress {
        self.apply_cold(connection, next, event);
        if connection.phase != Phase::Live {
            connection.clear_deadline();
        }
        connection.deadline = connection.deadline.min(connection.write_deadline());
        self.append_pending(connection);
        Progress::Made
    }

    /// Applies the session's answer: sets its deadline, and writes its output.
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
            self.send_unless_aborted(connection) && connection.phase == Phase::Live
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
    fn send_unless_aborted(&mut self, connection: &mut Slot<S, N>) -> bool {
        if connection.phase == Phase::Dead {
            self.scratch.reset();
            return false;
        }
        self.send(connection)
    }

    #[cold]
    pub(crate) fn apply_cold(&self, connection: &mut Slot<S, N>, next: Next, event: Event) {
        let seen = matches!(event, Event::Data | Event::Eof);
        if let Some(until) = connection.apply(next, seen) {
            connection.set_deadline(until, &self.pressure);
        }
    }
}
