//! Driving one connection: read, step its session, write, until nothing more can be done now.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::error;

use super::connection::{Connection, Phase, Wants};
use super::{Counters, Limits};
use crate::net::Net;
use crate::service::{Commands, Context, EndReason, Event, Next, Peer, Service, SessionId, Time};

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
    pub(crate) draining: bool,
    /// Every read goes in here, behind what the session has left unread.
    input: Box<[u8]>,
    /// Every step writes in here; what the kernel does not take at once moves to the connection.
    output: Vec<u8>,
}

/// Whether it is worth going on with a connection at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Made,
    /// Everything waits for an event, a deadline or a wake-up.
    Idle,
}

/// How driving a connection ended for this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driven {
    Idle,
    /// It has used up its share of the turn; there is more to do.
    OutOfBudget,
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
            draining: false,
            input: vec![0; limits.input_bytes_max].into(),
            output: Vec::with_capacity(limits.output_bytes_max),
            limits,
        }
    }

    /// Does for a connection all that can be done now, within its share of the turn.
    pub(crate) fn drive(&mut self, connection: &mut Slot<S, N>, index: u32) -> Driven {
        let moved = self.moved();
        let share = self.limits.turn_bytes_max as u64;
        while self.advance(connection, index) == Progress::Made {
            if self.moved() - moved >= share {
                return Driven::OutOfBudget;
            }
        }
        Driven::Idle
    }

    /// The deadline of a connection has come.
    pub(crate) fn expire(&mut self, connection: &mut Slot<S, N>, index: u32) {
        match connection.phase {
            Phase::Connecting { ticket } => {
                self.connect_failed(connection, ticket, &ErrorKind::TimedOut.into());
            }
            Phase::Live if !connection.owes_output() => {
                self.step(connection, index, Event::Deadline);
            }
            Phase::Live | Phase::Flushing => connection.end(EndReason::WriteTimeout),
            Phase::Lingering { .. } => connection.phase = Phase::Dead,
            Phase::Dead => {}
        }
    }

    /// An established connection begins its life.
    pub(crate) fn open(&mut self, connection: &mut Slot<S, N>, index: u32, ticket: Option<u32>) {
        let peer = Peer {
            address: connection.address,
            ticket,
        };
        let id = SessionId {
            index,
            serial: connection.serial,
        };
        connection.phase = Phase::Live;
        connection.session = self.call(id, "open", |service, cx| service.open(peer, cx));
        match connection.session {
            Some(_) => self.step(connection, index, Event::Opened),
            None => connection.end(EndReason::Panicked),
        }
    }

    /// Says goodbye to a peer that gets no session.
    pub(crate) fn turn_away(&mut self, connection: &mut Slot<S, N>, why: EndReason) {
        connection.waits(Next::Close(why));
        connection.due = self.shortened(self.now + self.limits.write_timeout);
        self.output.extend_from_slice(self.service.refusal(why));
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

    /// Calls the service outside of any session. `None` if it panicked.
    pub(crate) fn call<T>(
        &mut self,
        id: SessionId,
        what: &str,
        body: impl FnOnce(&mut S, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let mut cx = Context::new(self.now, id, &[], &mut self.output, 0, &mut self.commands);
        let result = catch_unwind(AssertUnwindSafe(|| body(&mut self.service, &mut cx)));
        result
            .inspect_err(|_| error!("the service panicked in `{what}`"))
            .ok()
    }

    /// The deadline that holds for a wait until `until`, which is shorter when the server is busy.
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

    /// Tries the one thing that is first in line.
    #[inline]
    fn advance(&mut self, connection: &mut Slot<S, N>, index: u32) -> Progress {
        if connection.owes_output() {
            return self.flush(connection);
        }
        match connection.phase {
            Phase::Live => self.advance_session(connection, index),
            Phase::Connecting { ticket } => self.advance_connect(connection, index, ticket),
            Phase::Flushing => self.finish(connection),
            Phase::Lingering { bytes_left } => self.linger(connection, bytes_left),
            Phase::Dead => Progress::Idle,
        }
    }

    /// Tells the session what is first in line, or reads for it.
    #[inline]
    fn advance_session(&mut self, connection: &mut Slot<S, N>, index: u32) -> Progress {
        let hints = &mut connection.hints;
        let event = if connection.wants == Wants::Flushed {
            Event::Flushed
        } else if hints.woken {
            hints.woken = false;
            Event::Woken
        } else if hints.offer && connection.wants == Wants::Input {
            return self.offer_again(connection, index);
        } else if self.draining {
            if hints.drained {
                return Progress::Idle;
            }
            hints.drained = true;
            Event::Drain
        } else if hints.readable && connection.wants == Wants::Input {
            return self.receive(connection, index);
        } else {
            return Progress::Idle;
        };
        self.step(connection, index, event);
        Progress::Made
    }

    /// Offers input that the session left while its output was full.
    fn offer_again(&mut self, connection: &mut Slot<S, N>, index: u32) -> Progress {
        connection.hints.offer = false;
        if connection.hints.finished {
            self.step(connection, index, Event::PeerFinished);
        } else if connection.has_input() {
            self.step(connection, index, Event::Data);
        }
        Progress::Made
    }

    /// Reads once, and lets the session see what came.
    #[inline]
    fn receive(&mut self, connection: &mut Slot<S, N>, index: u32) -> Progress {
        let unread = connection.unread(&mut self.input);
        let room = &mut self.input[unread..];
        let asked = room.len();
        match self.net.read(&mut connection.stream, room) {
            Ok(0) => {
                connection.hints.readable = false;
                connection.hints.finished = true;
                self.step_on(connection, index, Event::PeerFinished, unread);
            }
            Ok(bytes) => {
                self.counters.bytes_in += bytes as u64;
                // A short read has emptied the socket, and new data will bring an event; but if
                // the peer has finished, that event may have come already.
                if N::SHORT_READ_DRAINS && bytes < asked && !connection.hints.closed {
                    connection.hints.readable = false;
                }
                self.step_on(connection, index, Event::Data, unread + bytes);
            }
            Err(error) => return Self::read_failed(connection, &error),
        }
        Progress::Made
    }

    fn read_failed(connection: &mut Slot<S, N>, error: &io::Error) -> Progress {
        match error.kind() {
            ErrorKind::Interrupted => return Progress::Made,
            ErrorKind::WouldBlock => connection.hints.readable = false,
            _ => connection.end(EndReason::Reset),
        }
        Progress::Idle
    }

    /// Steps the session with the input that it has left unread.
    fn step(&mut self, connection: &mut Slot<S, N>, index: u32, event: Event) {
        let unread = connection.unread(&mut self.input);
        self.step_on(connection, index, event, unread);
    }

    /// Steps the session; the first `unread` bytes of `self.input` are its input.
    #[inline]
    fn step_on(&mut self, connection: &mut Slot<S, N>, index: u32, event: Event, unread: usize) {
        self.counters.steps += 1;
        let id = SessionId {
            index,
            serial: connection.serial,
        };
        let (input, output) = (&self.input[..unread], &mut self.output);
        let output_max = self.limits.output_bytes_max;
        let mut cx = Context::new(self.now, id, input, output, output_max, &mut self.commands);
        let session = connection
            .session
            .as_mut()
            .expect("a live connection has a session");
        let service = &mut self.service;
        // The seam is where a panic stops: what it may leave half-done is this session and the
        // service's own fields, never the loop's.
        let next = catch_unwind(AssertUnwindSafe(|| service.step(session, event, &mut cx)));
        let input = cx.input();
        let Ok(next) = next else {
            error!("the session with {} panicked", connection.address);
            self.output.clear();
            return connection.end(EndReason::Panicked);
        };
        connection.keep_input(input);
        let until = connection.until;
        if input.len() == self.input.len() && matches!(next, Next::Read { .. }) {
            connection.waits(Next::Close(EndReason::InputFull));
        } else {
            connection.waits(next);
        }
        self.send(connection);
        self.set_due(connection, until);
    }

    /// Writes the output of a step. What the kernel does not take moves to the connection.
    #[inline]
    fn send(&mut self, connection: &mut Slot<S, N>) {
        if self.output.is_empty() {
            return;
        }
        let sent = self
            .net
            .write(&mut connection.stream, &self.output)
            .unwrap_or_else(|error| {
                Self::write_failed(connection, &error);
                0
            });
        self.counters.bytes_out += sent as u64;
        if sent < self.output.len() && connection.phase != Phase::Dead {
            connection.keep_output(&self.output[sent..]);
        }
        self.output.clear();
    }

    /// Writes what an earlier step has left.
    fn flush(&mut self, connection: &mut Slot<S, N>) -> Progress {
        if !connection.hints.writable {
            return Progress::Idle;
        }
        match connection.write_unsent(&mut self.net) {
            Ok(bytes) => self.counters.bytes_out += bytes as u64,
            Err(error) => Self::write_failed(connection, &error),
        }
        if !connection.owes_output() && connection.phase == Phase::Live {
            // The write deadline no longer holds; the session's does.
            connection.due = self.shortened(connection.until);
        }
        Progress::Made
    }

    fn write_failed(connection: &mut Slot<S, N>, error: &io::Error) {
        match error.kind() {
            ErrorKind::Interrupted => {}
            ErrorKind::WouldBlock => connection.hints.writable = false,
            _ => connection.end(EndReason::Reset),
        }
    }

    /// Everything owed has left: shuts down our side and waits for the peer to finish too.
    fn finish(&mut self, connection: &mut Slot<S, N>) -> Progress {
        // If the peer has finished already, closing says the same and can cause no reset.
        if connection.hints.finished || self.net.finish(&mut connection.stream).is_err() {
            connection.phase = Phase::Dead;
            return Progress::Idle;
        }
        let bytes_left = u32::try_from(self.limits.linger_bytes_max).unwrap_or(u32::MAX);
        connection.phase = Phase::Lingering { bytes_left };
        connection.due = self.now + self.limits.linger_timeout;
        Progress::Made
    }

    /// Discards what the peer still sends, until it finishes too or has sent enough.
    fn linger(&mut self, connection: &mut Slot<S, N>, bytes_left: u32) -> Progress {
        if !connection.hints.readable {
            return Progress::Idle;
        }
        match self.net.read(&mut connection.stream, &mut self.input) {
            Ok(0) => connection.phase = Phase::Dead,
            Ok(bytes) => {
                self.counters.bytes_in += bytes as u64;
                match bytes_left.checked_sub(bytes as u32) {
                    Some(bytes_left) => connection.phase = Phase::Lingering { bytes_left },
                    None => connection.phase = Phase::Dead,
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                connection.hints.readable = false;
            }
            Err(_) => connection.phase = Phase::Dead,
        }
        Progress::Made
    }

    /// Looks whether an outbound connection is established.
    fn advance_connect(
        &mut self,
        connection: &mut Slot<S, N>,
        index: u32,
        ticket: u32,
    ) -> Progress {
        if !connection.hints.writable {
            return Progress::Idle;
        }
        match self.net.connected(&connection.stream) {
            Ok(true) => self.open(connection, index, Some(ticket)),
            Ok(false) => connection.hints.writable = false,
            Err(error) => self.connect_failed(connection, ticket, &error),
        }
        Progress::Made
    }

    /// Sets the deadline that holds after a step, before which the session's was `before`.
    #[inline]
    fn set_due(&self, connection: &mut Slot<S, N>, before: Time) {
        if connection.phase != Phase::Live || connection.owes_output() {
            connection.due = self.shortened(self.now + self.limits.write_timeout);
        } else if connection.until != before {
            connection.due = self.shortened(connection.until);
        }
        // A deadline that the session did not move stays as it is, so that bytes dripping into a
        // busy server do not extend one that was shortened.
    }

    /// How many bytes have moved so far, for any connection. A step counts for some too, so that
    /// no session can hold the loop without moving any.
    fn moved(&self) -> u64 {
        self.counters.bytes_in + self.counters.bytes_out + self.counters.steps * STEP_BYTES
    }
}

/// The session of a call that is not about a session.
pub(crate) const NOBODY: SessionId = SessionId {
    index: u32::MAX,
    serial: u32::MAX,
};

/// What a step costs, in bytes moved: both take about 50 ns.
const STEP_BYTES: u64 = 64;
