//! The start and the end of a connection, outside its session's steps.

use std::io::{self, ErrorKind};

use super::Reactor;
use super::admission::Claim;
use super::connection::{Flags, Origin, Phase};
use super::core::{Core, Slot};
use super::drive::Progress;
use super::guard::refusal_message;
use super::token;
use crate::net::{Connecting, Net};
use crate::service::{ConnectError, EndReason, Service, SessionId};

impl<S: Service, N: Net> Reactor<S, N> {
    /// Puts a new connection into a slot and registers it. If that fails, closes the socket.
    pub(crate) fn insert(&mut self, mut connection: Slot<S, N>) -> io::Result<u32> {
        self.last_generation = token::next_generation(self.last_generation);
        connection.generation = self.last_generation;
        let index = self.slots.insert(connection);
        let token = token::connection(self.slots.id(index));
        let stream = &mut self.slots[index].stream;
        match self.core.net.register(stream, token) {
            Ok(()) => Ok(index),
            Err(error) => {
                let connection = self.slots.remove(index);
                let listener = connection.accepted_by();
                self.core.net.close(connection.stream);
                self.core.count_ended(listener, EndReason::RegisterFailed);
                self.warn_limited("closed a connection that could not be registered", &error);
                Err(error)
            }
        }
    }

    /// Releases the admission of a connection that has ended.
    pub(crate) fn release_admission(&mut self, claim: Claim) {
        match claim.origin {
            Origin::Refused => self.admission.refused -= 1,
            Origin::Outbound => self.admission.outbound -= 1,
            Origin::Proxy => self.admission.release(claim, false),
            Origin::Accepted => {
                let counted = self.core.limits.connections_per_address_max.is_some();
                self.admission.release(claim, counted);
            }
        }
        // A descriptor is free again, so listeners need not wait for their retry.
        for listener in &mut self.listeners {
            listener.retry();
        }
        self.update_pressure();
    }

    /// Frees the slots of connections that ended in this turn.
    #[inline]
    pub(crate) fn reap(&mut self) {
        while let Some((index, connection)) = self.slots.next_dead() {
            self.close_connection(index, connection);
        }
    }

    #[inline(never)]
    pub(crate) fn close_connection(&mut self, index: u32, connection: Slot<S, N>) {
        let reason = connection.end_reason();
        let id = SessionId {
            index,
            generation: connection.generation,
        };
        let (peer, claim) = (self.core.peer(&connection, id), connection.claim());
        self.core.count_ended(connection.accepted_by(), reason);
        if reason.is_abnormal() {
            // The peer must not mistake the data it has received for complete data.
            self.core.net.abort(connection.stream);
        } else {
            self.core.net.close(connection.stream);
        }
        self.release_admission(claim);
        self.core.cancel_timers(peer.id);
        if let Some(session) = connection.session {
            self.core.call("closed", |service, cx| {
                service.closed(session, peer, reason, cx);
            });
        }
    }
}

impl<S: Service, N: Net> Core<S, N> {
    /// Advances a connection that has no session yet, or whose session has closed.
    pub(crate) fn advance_lifecycle(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
    ) -> Progress {
        match connection.phase {
            Phase::Connecting => self.finish_connect(connection, id),
            Phase::Flushing => self.shutdown_write(connection),
            Phase::Lingering { bytes_left } => self.linger(connection, bytes_left),
            Phase::Live | Phase::Dead => Progress::None,
        }
    }

    /// Checks whether an outbound connection is established.
    pub(crate) fn finish_connect(
        &mut self,
        connection: &mut Slot<S, N>,
        id: SessionId,
    ) -> Progress {
        if !connection.flags.has(Flags::WRITABLE) {
            return Progress::None;
        }
        match self.net.finish_connect(&connection.stream) {
            Ok(Connecting::Established { local }) => {
                connection.ends.set_local(local);
                self.open_session(connection, id);
            }
            Ok(Connecting::InProgress) => connection.flags.remove(Flags::WRITABLE),
            Err(error) => self.connect_failed(connection, &ConnectError::Os(error)),
        }
        Progress::Made
    }

    /// Opens the session of an established connection, which is to be driven next.
    pub(crate) fn open_session(&mut self, connection: &mut Slot<S, N>, id: SessionId) {
        let peer = self.peer(connection, id);
        connection.phase = Phase::Live;
        connection.clear_deadline();
        connection.session = self.call("open", |service, cx| service.open(peer, cx));
        match connection.session {
            Some(_) => connection.flags.add(Flags::OPEN),
            None => connection.abort(EndReason::Panicked),
        }
    }

    /// Ends an outbound connection that could not be established.
    pub(crate) fn connect_failed(&mut self, connection: &mut Slot<S, N>, error: &ConnectError) {
        connection.abort(EndReason::ConnectFailed);
        let tag = connection.ends.tag().unwrap_or_default();
        self.call("connect_failed", |service, cx| {
            service.connect_failed(tag, error, cx);
        });
    }

    /// Sends the refusal to a peer without a session. The connection is to be driven next.
    pub(crate) fn refuse(&mut self, connection: &mut Slot<S, N>, reason: EndReason) {
        connection.close(reason);
        let listener = self.listeners[connection.listener as usize].id;
        self.scratch
            .output
            .append([refusal_message(&self.service, listener, reason)]);
        if !self.send(connection) {
            self.await_flush(connection);
        }
    }

    /// Handles an expired deadline. The connection is to be driven next.
    pub(crate) fn expire(&mut self, connection: &mut Slot<S, N>) {
        match connection.phase {
            Phase::Connecting => self.connect_failed(connection, &ConnectError::TimedOut),
            Phase::Live if connection.write_deadline() > self.now() => {
                connection.flags.add(Flags::DEADLINE)
            }
            // The last output was flushed just before the deadline.
            Phase::Flushing if !connection.has_pending_output() => {}
            Phase::Live | Phase::Flushing => connection.abort(EndReason::WriteTimeout),
            Phase::Lingering { .. } => connection.phase = Phase::Dead,
            Phase::Dead => {}
        }
    }

    /// Shuts down our side once all output is flushed, and lingers until the peer finishes.
    pub(crate) fn shutdown_write(&mut self, connection: &mut Slot<S, N>) -> Progress {
        // If the peer has finished already, closing has the same effect and cannot cause a reset.
        let finished = connection.flags.has(Flags::FINISHED);
        if connection.flags.has(Flags::EOF)
            || !finished && self.net.shutdown_write(&mut connection.stream).is_err()
        {
            connection.phase = Phase::Dead;
            return Progress::None;
        }
        let bytes_left = u32::try_from(self.limits.linger_bytes_max).unwrap_or(u32::MAX);
        connection.phase = Phase::Lingering { bytes_left };
        let deadline = self.now() + self.limits.linger_timeout;
        connection.set_deadline(deadline, &self.pressure);
        Progress::Made
    }

    /// Discards input until the peer finishes or has sent `linger_bytes_max`.
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
