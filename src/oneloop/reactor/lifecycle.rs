//! The beginning and the end of a connection: what happens before its session is stepped, and after
//! it has closed.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use super::Reactor;
use super::connection::{Connection, Flags, Origin, Phase};
use super::core::{Core, Slot};
use super::drive::Progress;
use super::guard::refusal_message;
use super::token;
use crate::net::Net;
use crate::service::{EndReason, Service, SessionId};

impl<S: Service, N: Net> Reactor<S, N> {
    /// Makes a slot for a stream and registers it. If that fails, the socket is closed, and
    /// nobody else notices.
    pub(crate) fn insert(
        &mut self,
        stream: N::Stream,
        address: SocketAddr,
        kind: (Phase, Origin),
    ) -> Option<u32> {
        self.last_generation = token::next_generation(self.last_generation);
        let connection = Connection::new(stream, self.last_generation, address, kind);
        let index = self.slots.insert(connection);
        let token = token::connection(self.slots.id(index));
        let stream = &mut self.slots[index].stream;
        match self.core.net.register(stream, token) {
            Ok(()) => Some(index),
            Err(error) => {
                let connection = self.slots.remove(index);
                self.core.net.close(connection.stream);
                self.core.counters.ended[EndReason::RegisterFailed as usize] += 1;
                self.warn_limited("closed a connection that could not be registered", &error);
                None
            }
        }
    }

    /// Accounts for a connection that is gone.
    pub(crate) fn leave(&mut self, address: SocketAddr, origin: Origin) {
        match origin {
            Origin::Refused => self.admission.refused -= 1,
            Origin::Outbound => self.admission.outbound -= 1,
            Origin::Accepted => {
                let counted = self.core.limits.connections_per_address_max.is_some();
                self.admission.leave(address, counted);
            }
        }
        // A descriptor is free again: whoever waits need not wait for the timer.
        for listener in &mut self.listeners {
            listener.retry();
        }
        self.update_pressure();
    }

    /// Frees the slots of the connections that ended in this turn.
    #[inline]
    pub(crate) fn reap(&mut self) {
        while let Some((index, connection)) = self.slots.next_dead() {
            self.release(index, connection);
        }
    }

    #[inline(never)]
    pub(crate) fn release(&mut self, index: u32, connection: Connection<N::Stream, S::Session>) {
        let why = connection.why.unwrap_or(EndReason::RegisterFailed);
        let (peer, origin) = (connection.peer(index), connection.origin);
        self.core.counters.ended[why as usize] += 1;
        if why.is_abnormal() {
            // The peer must not take what it has got for the whole.
            self.core.net.abort(connection.stream);
        } else {
            self.core.net.close(connection.stream);
        }
        self.leave(peer.address, origin);
        if let Some(session) = connection.session {
            self.core.call("closed", |service, cx| {
                service.closed(session, peer, why, cx);
            });
        }
    }
}

impl<S: Service, N: Net> Core<S, N> {
    /// What is first in line before a session begins and after it has ended.
    pub(crate) fn advance_lifecycle(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
    ) -> Progress {
        match connection.phase {
            Phase::Connecting => self.finish_connect(connection, id),
            Phase::Flushing => self.finish(connection),
            Phase::Lingering { bytes_left } => self.linger(connection, bytes_left),
            Phase::Live | Phase::Dead => Progress::None,
        }
    }

    /// Looks whether an outbound connection is established.
    pub(crate) fn finish_connect(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
    ) -> Progress {
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

    /// An established connection begins its life; it is to be outcome next.
    pub(crate) fn open(&mut self, connection: &mut Slot<S, N>, id: SessionId) {
        let peer = connection.peer(id.index);
        connection.phase = Phase::Live;
        connection.clear_deadline();
        connection.session = self.call("open", |service, cx| service.open(peer, cx));
        match connection.session {
            Some(_) => connection.flags.add(Flags::OPEN),
            None => connection.end(EndReason::Panicked),
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

    /// Sends the refusal to a peer that gets no session; it is to be outcome next.
    pub(crate) fn refuse(&mut self, connection: &mut Slot<S, N>, why: EndReason) {
        connection.close(why);
        self.scratch
            .output
            .append([refusal_message(&self.service, why)]);
        if !self.send(connection) {
            self.await_flush(connection);
        }
    }

    /// The deadline of a connection has come; it is to be outcome next.
    pub(crate) fn expire(&mut self, connection: &mut Slot<S, N>) {
        match connection.phase {
            Phase::Connecting => self.connect_failed(connection, &ErrorKind::TimedOut.into()),
            Phase::Live if !connection.has_pending_output() => {
                connection.flags.add(Flags::DEADLINE)
            }
            // All of it has left in the meantime, if only just.
            Phase::Flushing if !connection.has_pending_output() => {}
            Phase::Live | Phase::Flushing => connection.end(EndReason::WriteTimeout),
            Phase::Lingering { .. } => connection.phase = Phase::Dead,
            Phase::Dead => {}
        }
    }

    /// All output has left: shuts down our side and waits for the peer to finish too.
    pub(crate) fn finish(&mut self, connection: &mut Slot<S, N>) -> Progress {
        // If the peer has finished already, closing says the same and can cause no reset.
        if connection.flags.has(Flags::EOF) || self.net.finish(&mut connection.stream).is_err() {
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
    pub(crate) fn linger(&mut self, connection: &mut Slot<S, N>, bytes_left: u32) -> Progress {
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
}
