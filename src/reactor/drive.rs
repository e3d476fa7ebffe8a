//! Driving one connection: read, step its session, write, until nothing more can be done now.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::error;

use super::connection::{Connection, News, Phase};
use super::{Counters, Limits};
use crate::bugs::{Bug, is_planted};
use crate::net::Net;
use crate::service::{
    Commands, Context, EndReason, Event, Next, Output, Peer, Service, SessionId, Time,
};

/// What all connections share while they are driven.
#[derive(Debug)]
pub(crate) struct Driver<S, N> {
    pub(crate) service: S,
    pub(crate) net: N,
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    pub(crate) commands: Commands,
    /// The time of this turn.
    pub(crate) now: Time,
    /// By what waits are divided at present, because the server is nearly full.
    pub(crate) wait_divisor: u32,
    /// Whose session is being stepped. What is left here after a panic is whose panic it was.
    pub(crate) stepping: u32,
    /// What the connection that is being driven may still do in this turn, in bytes.
    share: isize,
    /// Every read goes in here, behind what the session has left unread.
    input: Box<[u8]>,
    /// Every step writes in here; what the kernel does not take at once moves to the connection.
    output: Output,
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
    Idle,
    /// It has used up its share of the turn; there is more to do.
    OutOfShare,
}

type Slot<S, N> = Connection<<N as Net>::Stream, <S as Service>::Session>;

impl<S: Service, N: Net> Driver<S, N> {
    pub(crate) fn new(service: S, net: N, limits: Limits) -> Self {
        Self {
            service,
            net,
            counters: Counters::default(),
            commands: Commands::default(),
            now: Time::START,
            wait_divisor: 1,
            stepping: NOBODY.index,
            share: 0,
            input: vec![0; limits.input_bytes_max].into(),
            output: Output::new(limits.output_bytes_max),
            limits,
        }
    }

    /// Does for a connection all that can be done now, within its share of the turn.
    #[inline(always)]
    pub(crate) fn drive(&mut self, connection: &mut Slot<S, N>, index: u32) -> Driven {
        self.share = self.limits.turn_bytes_max as isize;
        loop {
            if self.advance(connection, index) == Progress::None {
                return Driven::Idle;
            }
            if self.share <= 0 {
                return Driven::OutOfShare;
            }
        }
    }

    /// As [`drive`](Self::drive), for where it is not worth being inlined.
    #[inline(never)]
    pub(crate) fn drive_now_and_then(&mut self, connection: &mut Slot<S, N>, index: u32) -> Driven {
        self.drive(connection, index)
    }

    /// The deadline of a connection has come; it is to be driven next.
    pub(crate) fn expire(&mut self, connection: &mut Slot<S, N>) {
        match connection.phase {
            Phase::Connecting { ticket } => {
                self.connect_failed(connection, ticket, &ErrorKind::TimedOut.into());
            }
            Phase::Live if !connection.owes_output() => connection.news.add(News::DEADLINE),
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
        self.output.clear();
        connection.end(EndReason::Panicked);
    }

    /// An established connection begins its life; it is to be driven next.
    pub(crate) fn open(&mut self, connection: &mut Slot<S, N>, index: u32, ticket: Option<u32>) {
        let peer = Peer {
            address: connection.address(),
            ticket,
        };
        let id = SessionId {
            index,
            serial: connection.serial,
        };
        connection.phase = Phase::Live;
        connection.session = self.call(id, "open", |service, cx| service.open(peer, cx));
        match connection.session {
            Some(_) => connection.news.add(News::OPENED),
            None => connection.end(EndReason::Panicked),
        }
    }

    /// Says goodbye to a peer that gets no session; it is to be driven next.
    pub(crate) fn turn_away(&mut self, connection: &mut Slot<S, N>, why: EndReason) {
        connection.waits(Next::Close(why));
        connection.due = self.shortened(self.now + self.limits.write_timeout);
        self.output.append([refusal(&self.service, why)]);
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
        self.call(NOBODY, "connect_failed", |service, cx| {
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
        let mut nowhere = Output::new(0);
        let mut cx = Context::new(self.now, id, &[], &mut nowhere, &mut self.commands);
        let result = catch_unwind(AssertUnwindSafe(|| body(&mut self.service, &mut cx)));
        result
            .inspect_err(|_| error!("the service panicked in `{what}`"))
            .ok()
    }

    /// The deadline that holds for a wait until `until`, which is shorter when the server is busy.
    #[inline]
    pub(crate) fn shortened(&self, until: Time) -> Time {
        if self.wait_divisor == 1 {
            return until;
        }
        let wait = until - self.now;
        if wait <= self.limits.busy_wait_min {
            return until;
        }
        self.now + (wait / self.wait_divisor).max(self.limits.busy_wait_min)
    }

    /// Does what is first in line: output that waits, then news for the session, then input.
    #[inline(always)]
    fn advance(&mut self, connection: &mut Slot<S, N>, index: u32) -> Progress {
        if connection.owes_output() {
            return self.flush(connection);
        }
        if connection.phase != Phase::Live {
            return self.begin_or_end(connection, index);
        }
        if let Some(event) = connection.next_news(self.now) {
            let unread = connection.unread(&mut self.input);
            return self.tell(connection, index, event, unread);
        }
        if connection.wants_reading() {
            self.receive(connection, index)
        } else {
            Progress::None
        }
    }

    /// What is first in line before a session begins and after it has ended.
    #[cold]
    fn begin_or_end(&mut self, connection: &mut Slot<S, N>, index: u32) -> Progress {
        match connection.phase {
            Phase::Connecting { ticket } => self.look_connected(connection, index, ticket),
            Phase::Flushing => self.finish(connection),
            Phase::Lingering { bytes_left } => self.linger(connection, bytes_left),
            Phase::Live | Phase::Dead => Progress::None,
        }
    }

    /// Reads once, behind what is unread, and shows it to the session.
    #[inline(always)]
    fn receive(&mut self, connection: &mut Slot<S, N>, index: u32) -> Progress {
        let unread = connection.unread(&mut self.input);
        let room = &mut self.input[unread..];
        let asked = room.len();
        match self.net.read(&mut connection.stream, room) {
            Ok(0) => {
                connection.hints.readable = false;
                connection.hints.finished = true;
                self.tell(connection, index, Event::PeerFinished, unread)
            }
            Ok(bytes) => {
                self.counters.bytes_in += bytes as u64;
                self.share -= bytes as isize;
                // A short read has emptied the socket, and new data will bring an event; but if
                // the peer has finished, that event may have come already.
                if N::SHORT_READ_DRAINS
                    && bytes < asked
                    && (!connection.hints.closed || is_planted(Bug::ShortReadTrusted))
                {
                    connection.hints.readable = false;
                }
                self.step(connection, index, Event::Data, unread + bytes);
                Progress::Made
            }
            Err(error) => Self::read_failed(connection, &error),
        }
    }

    #[cold]
    fn read_failed(connection: &mut Slot<S, N>, error: &io::Error) -> Progress {
        match error.kind() {
            ErrorKind::Interrupted if !is_planted(Bug::InterruptionEndsReading) => {}
            ErrorKind::WouldBlock | ErrorKind::Interrupted => connection.hints.readable = false,
            _ => connection.end(EndReason::Reset),
        }
        Progress::Made
    }

    /// As [`step`](Self::step), for the events that are not the bulk of the work.
    #[cold]
    fn tell(
        &mut self,
        connection: &mut Slot<S, N>,
        index: u32,
        event: Event,
        unread: usize,
    ) -> Progress {
        self.step(connection, index, event, unread);
        Progress::Made
    }

    /// Steps the session; the first `unread` bytes of `self.input` are its input.
    #[inline(always)]
    fn step(&mut self, connection: &mut Slot<S, N>, index: u32, event: Event, unread: usize) {
        self.counters.steps += 1;
        self.share -= STEP_BYTES;
        let id = SessionId {
            index,
            serial: connection.serial,
        };
        let input = &self.input[..unread];
        let mut cx = Context::new(self.now, id, input, &mut self.output, &mut self.commands);
        let session = connection
            .session
            .as_mut()
            .expect("a live connection has a session");
        self.stepping = index;
        let mut next = self.service.step(session, event, &mut cx);
        let input = cx.input();
        self.stepping = NOBODY.index;
        if !input.is_empty() || connection.has_input() {
            // Before any other event the session may not have seen all of it.
            let seen = (event == Event::Data || is_planted(Bug::OfferedInputTooMuch))
                && matches!(next, Next::Read { .. });
            if seen && input.len() == self.input.len() {
                next = Next::Close(EndReason::InputFull);
            }
            connection.keep_input(input);
        }
        let until = connection.until;
        connection.waits(next);
        self.send(connection);
        self.set_due(connection, until);
    }

    /// Writes the output of a step. What the kernel does not take moves to the connection.
    #[inline(always)]
    fn send(&mut self, connection: &mut Slot<S, N>) {
        let output = self.output.as_slice();
        if output.is_empty() {
            return;
        }
        let sent = match self.net.write(&mut connection.stream, output) {
            Ok(bytes) => bytes,
            Err(error) => Self::write_failed(connection, &error),
        };
        self.counters.bytes_out += sent as u64;
        self.share -= sent as isize;
        let lost = is_planted(Bug::RestOfOutputLost);
        if sent < output.len() && connection.phase != Phase::Dead && !lost {
            let from = if is_planted(Bug::AnsweredTwice) {
                0
            } else {
                sent
            };
            connection.keep_output(&output[from..]);
        }
        self.output.clear();
    }

    /// Writes what an earlier step has left.
    #[cold]
    fn flush(&mut self, connection: &mut Slot<S, N>) -> Progress {
        if !connection.hints.writable {
            return Progress::None;
        }
        let sent = match connection.write_unsent(&mut self.net) {
            Ok(bytes) => bytes,
            Err(error) => Self::write_failed(connection, &error),
        };
        self.counters.bytes_out += sent as u64;
        self.share -= sent as isize;
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
            ErrorKind::WouldBlock => connection.hints.writable = false,
            _ => connection.end(EndReason::Reset),
        }
        0
    }

    /// Everything owed has left: shuts down our side and waits for the peer to finish too.
    fn finish(&mut self, connection: &mut Slot<S, N>) -> Progress {
        // If the peer has finished already, closing says the same and can cause no reset.
        if connection.hints.finished || self.net.finish(&mut connection.stream).is_err() {
            connection.phase = Phase::Dead;
            return Progress::None;
        }
        let bytes_left = u32::try_from(self.limits.linger_bytes_max).unwrap_or(u32::MAX);
        connection.phase = Phase::Lingering { bytes_left };
        if is_planted(Bug::NoLinger) {
            connection.phase = Phase::Dead;
        }
        connection.due = self.now + self.limits.linger_timeout;
        Progress::Made
    }

    /// Discards what the peer still sends, until it finishes too or has sent enough.
    fn linger(&mut self, connection: &mut Slot<S, N>, bytes_left: u32) -> Progress {
        if !connection.hints.readable {
            return Progress::None;
        }
        match self.net.read(&mut connection.stream, &mut self.input) {
            Ok(bytes) => {
                self.counters.bytes_in += bytes as u64;
                self.share -= bytes as isize;
                connection.phase = match bytes_left.checked_sub(bytes as u32) {
                    Some(bytes_left) if bytes > 0 => Phase::Lingering { bytes_left },
                    _ => Phase::Dead,
                };
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock => connection.hints.readable = false,
                _ => connection.phase = Phase::Dead,
            },
        }
        Progress::Made
    }

    /// Looks whether an outbound connection is established.
    fn look_connected(&mut self, connection: &mut Slot<S, N>, index: u32, ticket: u32) -> Progress {
        if !connection.hints.writable {
            return Progress::None;
        }
        match self.net.connected(&connection.stream) {
            Ok(true) => self.open(connection, index, Some(ticket)),
            Ok(false) => connection.hints.writable = false,
            Err(error) => self.connect_failed(connection, ticket, &error),
        }
        Progress::Made
    }

    /// Sets the deadline that holds after a step, before which the session's was `before`.
    #[inline(always)]
    fn set_due(&self, connection: &mut Slot<S, N>, before: Time) {
        let owes = connection.owes_output() && !is_planted(Bug::NoWriteDeadline);
        if connection.phase != Phase::Live || owes {
            connection.due = self.shortened(self.now + self.limits.write_timeout);
        } else if self.wait_divisor == 1 {
            connection.due = connection.until;
        } else if connection.until != before {
            connection.due = self.shortened(connection.until);
        }
        // A deadline that the session did not move stays as it is, so that bytes dripping into a
        // busy server do not extend one that was shortened.
    }
}

/// What the service says to those who are turned away; nothing if it panics over it.
pub(crate) fn refusal<S: Service>(service: &S, why: EndReason) -> &[u8] {
    catch_unwind(AssertUnwindSafe(|| service.refusal(why))).unwrap_or_else(|_| {
        error!("the service panicked in `refusal`");
        b""
    })
}

/// The session of a call that is not about a session.
pub(crate) const NOBODY: SessionId = SessionId {
    index: u32::MAX,
    serial: u32::MAX,
};

/// What a step costs of its connection's share, besides the bytes that it moves: no session can
/// hold the loop without moving any.
const STEP_BYTES: isize = 64;
