//! Driving one connection: read, step its session, write, until nothing more can be done now.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::error;

use super::buffer::Held;
use super::connection::{Connection, Flags, Phase};
use super::pressure::Pressure;
use super::{Counters, Limits};
use crate::net::Net;
use crate::service::{
    Context, Desk, EndReason, Event, Next, Service, ServiceContext, SessionId, Time,
};

/// What all connections share while they are driven.
#[derive(Debug)]
pub(crate) struct Driver<S, N> {
    pub(crate) service: S,
    pub(crate) net: N,
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    /// Every step takes place here; what the kernel does not take at once of the output moves to
    /// the connection.
    pub(crate) desk: Desk,
    pub(crate) pressure: Pressure,
    /// Reads go in here, unless there is unread input: then they go behind that.
    input: Box<[u8]>,
}

/// Whether it is worth looking at a connection again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Made,
    /// Nothing more until an event, a deadline or a wake-up.
    None,
}

/// How driving a connection ended for this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driven {
    /// It waits for an event, a wake-up or its deadline.
    Waiting,
    /// It has used up its share of the turn; there is more to do.
    OutOfShare,
    /// It is over.
    Ended,
}

type Slot<S, N> = Connection<<N as Net>::Stream, <S as Service>::Session>;

impl<S: Service, N: Net> Driver<S, N> {
    pub(crate) fn new(service: S, net: N, limits: Limits) -> Self {
        Self {
            service,
            net,
            counters: Counters::default(),
            desk: Desk::new(limits.output_bytes_mark, limits.output_bytes_max),
            pressure: Pressure::new(&limits),
            input: vec![0; limits.input_bytes_max.min(READ_BYTES_MAX)].into(),
            limits,
        }
    }

    /// The time of this turn.
    #[inline]
    pub(crate) fn now(&self) -> Time {
        self.desk.service.now
    }

    /// Reads the clock.
    #[inline]
    pub(crate) fn update_now(&mut self) -> Time {
        let now = self.net.now();
        self.desk.service.now = now;
        self.pressure.set_now(now);
        now
    }

    /// Does for a connection all that can be done now, within its share of the turn.
    #[inline(always)]
    pub(crate) fn drive(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Driven {
        // Nearly every event is for this, and mostly that is all.
        if connection.is_to_be_read() && self.receive(connection, id) == Progress::None {
            return Driven::Waiting;
        }
        self.drive_on(connection, id)
    }

    /// As [`drive`](Self::drive), for where it is not worth being inlined.
    #[inline(never)]
    pub(crate) fn drive_on(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Driven {
        let share = self.work() + self.limits.turn_bytes_max as u64;
        while self.work() < share {
            if self.advance(connection, id) == Progress::None {
                return match connection.phase {
                    Phase::Dead => Driven::Ended,
                    _ => Driven::Waiting,
                };
            }
        }
        if connection.flags.has(Flags::DRAIN) {
            connection.flags.add(Flags::DRAIN_OVERDUE);
        }
        Driven::OutOfShare
    }

    /// The work done so far, for whomever, in bytes.
    fn work(&self) -> u64 {
        let Counters {
            steps,
            bytes_in,
            bytes_out,
            ..
        } = self.counters;
        bytes_in + bytes_out + steps * STEP_BYTES
    }

    /// The deadline of a connection has come; it is to be driven next.
    pub(crate) fn expire(&mut self, connection: &mut Slot<S, N>) {
        match connection.phase {
            Phase::Connecting => self.connect_failed(connection, &ErrorKind::TimedOut.into()),
            Phase::Live if !connection.owes_output() => connection.flags.add(Flags::DEADLINE),
            // All of it has left in the meantime, if only just.
            Phase::Flushing if !connection.owes_output() => {}
            Phase::Live | Phase::Flushing => connection.end(EndReason::WriteTimeout),
            Phase::Lingering { .. } => connection.phase = Phase::Dead,
            Phase::Dead => {}
        }
    }

    /// The step of this connection's session panicked: ends it, and it alone.
    pub(crate) fn panicked(&mut self, connection: &mut Slot<S, N>) {
        error!("the session with {} panicked", connection.address());
        self.desk.output.reset();
        connection.end(EndReason::Panicked);
    }

    /// An established connection begins its life; it is to be driven next.
    pub(crate) fn open(&mut self, connection: &mut Slot<S, N>, id: SessionId) {
        let peer = connection.peer(id.index);
        connection.phase = Phase::Live;
        connection.clear_deadline();
        connection.session = self.call("open", |service, cx| service.open(peer, cx));
        match connection.session {
            Some(_) => connection.flags.add(Flags::OPENED),
            None => connection.end(EndReason::Panicked),
        }
    }

    /// Sends the refusal to a peer that gets no session; it is to be driven next.
    pub(crate) fn turn_away(&mut self, connection: &mut Slot<S, N>, why: EndReason) {
        connection.close(why);
        self.desk.output.append([refusal(&self.service, why)]);
        if !self.send(connection) {
            self.limit_flush(connection);
        }
    }

    /// An outbound connection could not be made.
    pub(crate) fn connect_failed(&mut self, connection: &mut Slot<S, N>, error: &io::Error) {
        connection.end(EndReason::ConnectFailed);
        let tag = connection.tag;
        self.call("connect_failed", |service, cx| {
            service.connect_failed(tag, error, cx);
        });
    }

    /// Calls the service outside of any step. `None` if it panicked.
    pub(crate) fn call<T>(
        &mut self,
        what: &str,
        body: impl FnOnce(&mut S, &mut ServiceContext) -> T,
    ) -> Option<T> {
        let (service, cx) = (&mut self.service, &mut self.desk.service);
        catch_unwind(AssertUnwindSafe(|| body(service, cx)))
            .inspect_err(|_| {
                error!("the service panicked in `{what}`");
                self.counters.service_panics += 1;
            })
            .ok()
    }

    /// Does what is first in line: output that waits, then news for the session, then input.
    fn advance(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        if connection.owes_output() {
            return self.flush(connection);
        }
        if connection.phase != Phase::Live {
            return self.begin_or_end(connection, id);
        }
        if let Some(event) = connection.next_news(self.now()) {
            return self.step_buffered(connection, id, event);
        }
        if connection.wants_reading() {
            return match connection.has_input() {
                false => self.receive(connection, id),
                true => self.receive_behind(connection, id),
            };
        }
        // No read will find out whether the connection is broken.
        if connection.flags.take(Flags::ALARMED)
            && self.net.take_error(&connection.stream).is_some()
        {
            connection.end(EndReason::Reset);
            return Progress::Made;
        }
        if connection.is_to_be_read_ahead() {
            return self.read_ahead(connection, id);
        }
        Progress::None
    }

    /// What is first in line before a session begins and after it has ended.
    fn begin_or_end(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        match connection.phase {
            Phase::Connecting => self.look_connected(connection, id),
            Phase::Flushing => self.finish(connection),
            Phase::Lingering { bytes_left } => self.linger(connection, bytes_left),
            Phase::Live | Phase::Dead => Progress::None,
        }
    }

    /// Reads once, where nothing is unread, and shows it to the session.
    #[inline(always)]
    fn receive(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
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
    fn receive_behind(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
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
    fn read_ahead(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
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
    fn read_behind(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Result<(), Progress> {
        let Connection { stream, held, .. } = connection;
        let input = &mut held.get_or_insert_default().input;
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
                connection.give_back();
                Err(Self::read_failed(connection, &error))
            }
        }
    }

    /// Looks whether there is more input than may be unread. As much as that is not too much.
    fn probe(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        match self.net.read(&mut connection.stream, &mut self.input[..1]) {
            Ok(0) => self.read_end(connection, id),
            Ok(_) => {
                connection.close(EndReason::InputOverflow);
                self.limit_flush(connection);
                Progress::Made
            }
            Err(error) => Self::read_failed(connection, &error),
        }
    }

    fn is_input_full(&self, connection: &Slot<S, N>) -> bool {
        let unread = |held: &Held| held.input.len() == self.limits.input_bytes_max;
        connection.held.as_deref().is_some_and(unread)
    }

    /// Counts what a read has brought, of as much as was asked for.
    #[inline(always)]
    fn note_read(&mut self, connection: &mut Slot<S, N>, bytes: usize, asked: usize) {
        self.counters.bytes_in += bytes as u64;
        // A short read has emptied the socket, and new data will bring an event; but if the peer
        // has finished, that event may have come already.
        if N::SHORT_READ_DRAINS && bytes < asked && !connection.flags.has(Flags::CLOSED) {
            connection.flags.remove(Flags::READABLE);
        }
    }

    /// The peer has finished sending.
    #[cold]
    fn read_end(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        connection.give_back();
        connection.flags.remove(Flags::READABLE);
        connection.flags.add(Flags::FINISHED);
        self.step_buffered(connection, id, Event::Eof)
    }

    #[cold]
    fn read_failed(connection: &mut Slot<S, N>, error: &io::Error) -> Progress {
        match error.kind() {
            ErrorKind::Interrupted => {}
            ErrorKind::WouldBlock => connection.flags.remove(Flags::READABLE),
            _ => connection.end(EndReason::Reset),
        }
        Progress::Made
    }

    /// Steps the session with the first `filled` bytes of `self.input`, all that is unread.
    #[inline(always)]
    fn step(&mut self, connection: &mut Slot<S, N>, id: SessionId, filled: usize) -> Progress {
        self.counters.steps += 1;
        let session = connection
            .session
            .as_mut()
            .expect("a live connection has a session");
        self.desk.user = id;
        let mut cx = Context::new(&self.input[..filled], &mut self.desk);
        let next = self.service.step(session, Event::Data, &mut cx);
        let left = cx.input().len();
        self.desk.user = SessionId::NOBODY;
        if left > 0 {
            let held = connection.held.get_or_insert_default();
            held.input.set(&self.input[filled - left..filled]);
            return self.conclude_apart(connection, next, Event::Data);
        }
        self.conclude(connection, next, Event::Data)
    }

    /// Steps the session with what the connection holds of unread input.
    #[cold]
    fn step_buffered(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
        event: Event,
    ) -> Progress {
        self.counters.steps += 1;
        let mut held = connection.held.take();
        let session = connection
            .session
            .as_mut()
            .expect("a live connection has a session");
        self.desk.user = id;
        let input = held.as_deref().map_or(&[][..], |held| held.input.unread());
        let mut cx = Context::new(input, &mut self.desk);
        let next = self.service.step(session, event, &mut cx);
        let left = cx.input().len();
        self.desk.user = SessionId::NOBODY;
        if let Some(held) = &mut held {
            held.input.keep_last(left);
        }
        connection.held = held.filter(|held| !held.is_empty());
        connection.flags.remove(Flags::AHEAD_FULL);
        self.conclude_apart(connection, next, event)
    }

    /// As [`conclude`](Self::conclude), for where it is not worth being inlined, and where input
    /// may be unread.
    #[cold]
    fn conclude_apart(
        &mut self,
        connection: &mut Slot<S, N>,
        next: Next,
        event: Event,
    ) -> Progress {
        // Input that is left because there was no room for its answer is not half a message.
        if self.desk.output.room() == 0 && connection.has_input() {
            connection.flags.add(Flags::OFFER);
        }
        self.conclude(connection, next, event)
    }

    /// Does as the session has answered: sets its deadline, and writes its output.
    #[inline(always)]
    fn conclude(&mut self, connection: &mut Slot<S, N>, next: Next, event: Event) -> Progress {
        let done = if let Next::Read { until } = next
            && !connection.flags.has(Flags::PAUSED)
        {
            connection.set_deadline(until, &self.pressure);
            self.send(connection)
        } else {
            self.wait_for_else(connection, next, event);
            self.send(connection) && connection.phase == Phase::Live
        };
        if !done {
            self.limit_flush(connection);
            Progress::Made
        } else if connection.flags.has(Flags::READABLE | Flags::NEWS) {
            Progress::Made
        } else {
            Progress::None
        }
    }

    #[cold]
    fn wait_for_else(&self, connection: &mut Slot<S, N>, next: Next, event: Event) {
        let seen = matches!(event, Event::Data | Event::Eof);
        if let Some(until) = connection.waits(next, seen) {
            connection.set_deadline(until, &self.pressure);
        }
    }

    /// Gives what is unsent, or the end, its time to leave. A session that has not closed is told
    /// when it has left, and then says anew what it waits for: until then its own deadline would
    /// run while the peer has not even got what it is to answer.
    #[cold]
    fn limit_flush(&mut self, connection: &mut Slot<S, N>) {
        if connection.phase == Phase::Live {
            connection.waits(Next::Flush, false);
        }
        let until = self.now() + self.limits.write_timeout;
        connection.set_deadline(until, &self.pressure);
    }

    /// Writes the output of a step. What the kernel does not take moves to the connection; says
    /// whether it has taken all.
    #[inline(always)]
    fn send(&mut self, connection: &mut Slot<S, N>) -> bool {
        let output = self.desk.output.as_slice();
        if output.is_empty() {
            return !self.desk.output.has_overflowed() || self.overflowed(connection);
        }
        let written = self.net.write(&mut connection.stream, output);
        if matches!(written, Ok(bytes) if bytes == output.len()) {
            self.counters.bytes_out += output.len() as u64;
            self.desk.output.clear();
            return true;
        }
        self.keep_rest(connection, written);
        false
    }

    /// A step has written more than a connection may hold: its beginning would look whole.
    #[cold]
    fn overflowed(&mut self, connection: &mut Slot<S, N>) -> bool {
        self.desk.output.reset();
        connection.end(EndReason::OutputOverflow);
        false
    }

    /// Moves what the kernel has not taken of the output of a step to the connection.
    #[cold]
    fn keep_rest(&mut self, connection: &mut Slot<S, N>, written: io::Result<usize>) {
        let sent = written.unwrap_or_else(|error| Self::write_failed(connection, &error));
        self.counters.bytes_out += sent as u64;
        if connection.phase == Phase::Dead {
            self.desk.output.reset();
        } else {
            let held = connection.held.get_or_insert_default();
            held.output.set(self.desk.output.take_from(sent));
        }
    }

    /// Writes what an earlier step has left.
    #[cold]
    fn flush(&mut self, connection: &mut Slot<S, N>) -> Progress {
        if !connection.flags.has(Flags::WRITABLE) {
            return Progress::None;
        }
        let Connection { stream, held, .. } = connection;
        let Some(Held { output, .. }) = held.as_deref_mut() else {
            return Progress::None;
        };
        match self.net.write(stream, output.rest()) {
            Ok(bytes) => {
                self.counters.bytes_out += bytes as u64;
                output.advance(bytes);
                let progressed = output.has_progressed(self.limits.write_progress_bytes);
                if output.is_empty() {
                    connection.clear_deadline();
                    connection.give_back();
                } else if progressed {
                    let until = self.now() + self.limits.write_timeout;
                    connection.set_deadline(until, &self.pressure);
                }
            }
            Err(error) => {
                Self::write_failed(connection, &error);
            }
        }
        Progress::Made
    }

    /// Handles the error of a write: nothing was written.
    #[cold]
    fn write_failed(connection: &mut Slot<S, N>, error: &io::Error) -> usize {
        match error.kind() {
            ErrorKind::Interrupted => {}
            ErrorKind::WouldBlock => connection.flags.remove(Flags::WRITABLE),
            _ => connection.end(EndReason::Reset),
        }
        0
    }

    /// All output has left: shuts down our side and waits for the peer to finish too.
    fn finish(&mut self, connection: &mut Slot<S, N>) -> Progress {
        // If the peer has finished already, closing says the same and can cause no reset.
        if connection.flags.has(Flags::FINISHED) || self.net.finish(&mut connection.stream).is_err()
        {
            connection.phase = Phase::Dead;
            return Progress::None;
        }
        let bytes_left = u32::try_from(self.limits.linger_bytes_max).unwrap_or(u32::MAX);
        connection.phase = Phase::Lingering { bytes_left };
        let until = self.now() + self.limits.linger_timeout;
        connection.set_deadline(until, &self.pressure);
        Progress::Made
    }

    /// Discards what the peer still sends, until it finishes too or has sent enough.
    fn linger(&mut self, connection: &mut Slot<S, N>, bytes_left: u32) -> Progress {
        if !connection.flags.has(Flags::READABLE) {
            return Progress::None;
        }
        match self.net.read(&mut connection.stream, &mut self.input) {
            Ok(bytes) => {
                self.counters.bytes_in += bytes as u64;
                connection.phase = match bytes_left.checked_sub(bytes as u32) {
                    Some(bytes_left) if bytes > 0 => Phase::Lingering { bytes_left },
                    _ => Phase::Dead,
                };
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock => connection.flags.remove(Flags::READABLE),
                _ => connection.phase = Phase::Dead,
            },
        }
        Progress::Made
    }

    /// Looks whether an outbound connection is established.
    fn look_connected(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        if !connection.flags.has(Flags::WRITABLE) {
            return Progress::None;
        }
        match self.net.connected(&connection.stream) {
            Ok(true) => self.open(connection, id),
            Ok(false) => connection.flags.remove(Flags::WRITABLE),
            Err(error) => self.connect_failed(connection, &error),
        }
        Progress::Made
    }
}

/// What the service says to those who are turned away; nothing if it panics over it.
pub(crate) fn refusal<S: Service>(service: &S, why: EndReason) -> &[u8] {
    catch_unwind(AssertUnwindSafe(|| service.refusal_message(why))).unwrap_or_else(|_| {
        error!("the service panicked in `refusal_message`");
        b""
    })
}

/// What a step costs of its connection's share, besides the bytes that it moves: no session can
/// hold the loop without moving any.
const STEP_BYTES: u64 = 64;

/// The most that is read at once, so that one call cannot use up several shares of a turn.
const READ_BYTES_MAX: usize = 64 * 1024;
