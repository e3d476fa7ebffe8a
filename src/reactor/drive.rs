//! Driving one connection: read, step its session, write, until nothing more can be done now.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::error;

use super::connection::{Connection, Flags, Phase};
use super::{Counters, Limits};
use crate::bugs::{Bug, is_planted};
use crate::net::Net;
use crate::service::{
    Context, Desk, EndReason, Event, Next, Output, Peer, Service, SessionId, Time,
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
    /// How many times waits are halved at present, because the server is nearly full.
    pub(crate) wait_halvings: u32,
    /// Every read goes in here, behind what the session has left unread.
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
            desk: Desk::new(limits.output_bytes_max),
            wait_halvings: 0,
            input: vec![0; limits.input_bytes_max].into(),
            limits,
        }
    }

    /// Does for a connection all that can be done now, within its share of the turn.
    #[inline(always)]
    pub(crate) fn drive(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Driven {
        // Nearly every event is for this, and mostly that is all.
        if connection.is_to_be_read() && self.receive(connection, id, 0) == Progress::None {
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
            Phase::Connecting { ticket } => {
                self.connect_failed(connection, ticket, &ErrorKind::TimedOut.into());
            }
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
        self.desk.output.clear();
        connection.end(EndReason::Panicked);
    }

    /// An established connection begins its life; it is to be driven next.
    pub(crate) fn open(&mut self, connection: &mut Slot<S, N>, id: SessionId, ticket: Option<u32>) {
        let peer = Peer {
            address: connection.address(),
            ticket,
        };
        connection.phase = Phase::Live;
        connection.due = connection.until;
        connection.session = self.call(id, "open", |service, cx| service.open(peer, cx));
        match connection.session {
            Some(_) => connection.flags.add(Flags::OPENED),
            None => connection.end(EndReason::Panicked),
        }
    }

    /// Says goodbye to a peer that gets no session; it is to be driven next.
    pub(crate) fn turn_away(&mut self, connection: &mut Slot<S, N>, why: EndReason) {
        connection.waits(Next::Close(why));
        connection.due = self.shortened(self.desk.now + self.limits.write_timeout);
        self.desk.output.append([refusal(&self.service, why)]);
        self.send(connection);
    }

    /// An outbound connection could not be made.
    pub(crate) fn connect_failed(
        &mut self,
        connection: &mut Slot<S, N>,
        ticket: u32,
        error: &io::Error,
    ) {
        connection.end(EndReason::ConnectFailed);
        self.call(SessionId::NOBODY, "connect_failed", |service, cx| {
            service.connect_failed(ticket, error, cx);
        });
    }

    /// Calls the service outside of any step. `None` if it panicked.
    pub(crate) fn call<T>(
        &mut self,
        id: SessionId,
        what: &str,
        body: impl FnOnce(&mut S, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let output = std::mem::replace(&mut self.desk.output, Output::new(0));
        self.desk.user = id;
        let mut cx = Context::new(&[], &mut self.desk);
        let result = catch_unwind(AssertUnwindSafe(|| body(&mut self.service, &mut cx)));
        self.desk.user = SessionId::NOBODY;
        self.desk.output = output;
        result
            .inspect_err(|_| error!("the service panicked in `{what}`"))
            .ok()
    }

    /// The deadline that holds for a wait until `until`, which is shorter when the server is busy.
    #[inline]
    pub(crate) fn shortened(&self, until: Time) -> Time {
        if self.wait_halvings == 0 {
            return until;
        }
        let least = self.desk.now + self.limits.busy_wait_min;
        if until <= least {
            return until;
        }
        let now = self.desk.now.as_nanos();
        let wait = (until.as_nanos() - now) >> self.wait_halvings;
        Time::from_nanos(now + wait).max(least)
    }

    /// Does what is first in line: output that waits, then news for the session, then input.
    fn advance(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        if connection.owes_output() {
            return self.flush(connection);
        }
        if connection.phase != Phase::Live {
            return self.begin_or_end(connection, id);
        }
        let unread = connection.unread(&mut self.input);
        if let Some(event) = connection.next_news(self.desk.now) {
            return self.step(connection, id, event, unread, unread);
        }
        if connection.wants_reading() {
            self.receive(connection, id, unread)
        } else {
            Progress::None
        }
    }

    /// What is first in line before a session begins and after it has ended.
    fn begin_or_end(&mut self, connection: &mut Slot<S, N>, id: SessionId) -> Progress {
        match connection.phase {
            Phase::Connecting { ticket } => self.look_connected(connection, id, ticket),
            Phase::Flushing => self.finish(connection),
            Phase::Lingering { bytes_left } => self.linger(connection, bytes_left),
            Phase::Live | Phase::Dead => Progress::None,
        }
    }

    /// Reads once, behind what is unread, and shows it to the session.
    #[inline(always)]
    fn receive(&mut self, connection: &mut Slot<S, N>, id: SessionId, unread: usize) -> Progress {
        let room = &mut self.input[unread..];
        let asked = room.len();
        match self.net.read(&mut connection.stream, room) {
            Ok(0) => {
                connection.flags.remove(Flags::READABLE);
                connection.flags.add(Flags::FINISHED);
                self.step_apart(connection, id, Event::PeerFinished, unread)
            }
            Ok(bytes) => {
                self.counters.bytes_in += bytes as u64;
                // A short read has emptied the socket, and new data will bring an event; but if
                // the peer has finished, that event may have come already.
                if N::SHORT_READ_DRAINS
                    && bytes < asked
                    && (!connection.flags.has(Flags::CLOSED) || is_planted(Bug::ShortReadTrusted))
                {
                    connection.flags.remove(Flags::READABLE);
                }
                self.step(connection, id, Event::Data, unread, unread + bytes)
            }
            Err(error) => Self::read_failed(connection, &error),
        }
    }

    #[cold]
    fn read_failed(connection: &mut Slot<S, N>, error: &io::Error) -> Progress {
        match error.kind() {
            ErrorKind::Interrupted if !is_planted(Bug::InterruptionEndsReading) => {}
            ErrorKind::WouldBlock | ErrorKind::Interrupted => {
                connection.flags.remove(Flags::READABLE)
            }
            _ => connection.end(EndReason::Reset),
        }
        Progress::Made
    }

    /// As [`step`](Self::step), for where it is not worth being inlined.
    #[cold]
    fn step_apart(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
        event: Event,
        unread: usize,
    ) -> Progress {
        self.step(connection, id, event, unread, unread)
    }

    /// Steps the session. The first `filled` bytes of `self.input` are its input; the connection
    /// has kept the first `unread` of them.
    #[inline(always)]
    fn step(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
        event: Event,
        unread: usize,
        filled: usize,
    ) -> Progress {
        self.counters.steps += 1;
        let session = connection
            .session
            .as_mut()
            .expect("a live connection has a session");
        self.desk.user = id;
        let mut cx = Context::new(&self.input[..filled], &mut self.desk);
        let mut next = self.service.step(session, event, &mut cx);
        let left = cx.input().len();
        self.desk.user = SessionId::NOBODY;
        if left > 0 || unread > 0 {
            // Before any other event the session may not have seen all of it.
            let seen = (event == Event::Data || is_planted(Bug::OfferedInputTooMuch))
                && matches!(next, Next::Read { .. });
            if seen && left == self.input.len() {
                next = Next::Close(EndReason::InputFull);
            }
            // Nobody will ask for what is unread behind the last word.
            let kept = match next {
                Next::Close(_) => 0,
                _ => left,
            };
            connection.keep_input(&self.input[filled - kept..filled]);
        }
        let done = if let Next::Read { until } = next
            && !connection.flags.has(Flags::PAUSED)
        {
            self.wait_until(connection, until);
            self.send(connection)
        } else {
            self.wait_for_else(connection, next);
            self.send(connection) && connection.phase == Phase::Live
        };
        if !done {
            connection.due = self.shortened(self.desk.now + self.limits.write_timeout);
            Progress::Made
        } else if connection.flags.has(Flags::READABLE | Flags::NEWS) {
            Progress::Made
        } else {
            Progress::None
        }
    }

    /// Sets the deadline that the session asks for. One that it does not move stays as it is, so
    /// that bytes dripping into a busy server do not extend one that was shortened.
    #[inline(always)]
    fn wait_until(&self, connection: &mut Slot<S, N>, until: Time) {
        if connection.until != until {
            connection.until = until;
            connection.due = self.shortened(until);
        }
    }

    #[cold]
    fn wait_for_else(&self, connection: &mut Slot<S, N>, next: Next) {
        if let Some(until) = connection.waits(next) {
            self.wait_until(connection, until);
        }
    }

    /// Writes the output of a step. What the kernel does not take moves to the connection; says
    /// whether it has taken all.
    #[inline(always)]
    fn send(&mut self, connection: &mut Slot<S, N>) -> bool {
        let output = self.desk.output.as_slice();
        if output.is_empty() {
            return true;
        }
        let written = self.net.write(&mut connection.stream, output);
        if matches!(written, Ok(bytes) if bytes == output.len()) {
            self.counters.bytes_out += output.len() as u64;
            self.desk.output.clear();
            return true;
        }
        self.keep_rest(connection, written);
        is_planted(Bug::RestOfOutputLost) || is_planted(Bug::NoWriteDeadline)
    }

    /// Moves what the kernel has not taken of the output of a step to the connection.
    #[cold]
    fn keep_rest(&mut self, connection: &mut Slot<S, N>, written: io::Result<usize>) {
        let sent = written.unwrap_or_else(|error| Self::write_failed(connection, &error));
        self.counters.bytes_out += sent as u64;
        if connection.phase != Phase::Dead && !is_planted(Bug::RestOfOutputLost) {
            let again = is_planted(Bug::AnsweredTwice);
            let from = if again { 0 } else { sent };
            connection.keep_output(&self.desk.output.as_slice()[from..]);
        }
        self.desk.output.clear();
    }

    /// Writes what an earlier step has left.
    #[cold]
    fn flush(&mut self, connection: &mut Slot<S, N>) -> Progress {
        if !connection.flags.has(Flags::WRITABLE) {
            return Progress::None;
        }
        let sent = match connection.write_unsent(&mut self.net) {
            Ok(bytes) => bytes,
            Err(error) => Self::write_failed(connection, &error),
        };
        self.counters.bytes_out += sent as u64;
        if !connection.owes_output() && connection.phase == Phase::Live {
            // The write deadline no longer holds; the session's does.
            connection.due = self.shortened(connection.until);
        }
        if is_planted(Bug::FlushedNotTold) {
            return Progress::None;
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

    /// Everything owed has left: shuts down our side and waits for the peer to finish too.
    fn finish(&mut self, connection: &mut Slot<S, N>) -> Progress {
        // If the peer has finished already, closing says the same and can cause no reset.
        if connection.flags.has(Flags::FINISHED) || self.net.finish(&mut connection.stream).is_err()
        {
            connection.phase = Phase::Dead;
            return Progress::None;
        }
        let bytes_left = u32::try_from(self.limits.linger_bytes_max).unwrap_or(u32::MAX);
        connection.phase = Phase::Lingering { bytes_left };
        if is_planted(Bug::NoLinger) {
            connection.phase = Phase::Dead;
        }
        connection.due = self.desk.now + self.limits.linger_timeout;
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
    fn look_connected(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
        ticket: u32,
    ) -> Progress {
        if !connection.flags.has(Flags::WRITABLE) {
            return Progress::None;
        }
        match self.net.connected(&connection.stream) {
            Ok(true) => self.open(connection, id, Some(ticket)),
            Ok(false) => connection.flags.remove(Flags::WRITABLE),
            Err(error) => self.connect_failed(connection, ticket, &error),
        }
        Progress::Made
    }
}

/// What the service says to those who are turned away; nothing if it panics over it.
pub(crate) fn refusal<S: Service>(service: &S, why: EndReason) -> &[u8] {
    catch_unwind(AssertUnwindSafe(|| service.refusal(why))).unwrap_or_else(|_| {
        error!("the service panicked in `refusal`");
        b""
    })
}

/// What a step costs of its connection's share, besides the bytes that it moves: no session can
/// hold the loop without moving any.
const STEP_BYTES: u64 = 64;
