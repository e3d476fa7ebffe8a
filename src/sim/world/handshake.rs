//! The handshake of TCP: from a SYN to an open connection, or to none.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::{NetEvent, World};
use crate::connection::{EndpointId, Owner, Side, TcpState};
use crate::poller::ReadySet;

impl World {
    pub(super) fn syn_arrives(&mut self, connection: usize, attempt: u32) {
        let active = EndpointId::new(connection, Side::Active);
        if self.end(active).state != TcpState::Connecting {
            return;
        }
        let to = self.connections[connection].to;
        if self.unanswered.contains(&to) {
            return self.retransmit_syn(connection, attempt);
        }
        if self.services.contains_key(&to) {
            return self.answer_by_service(to, connection);
        }
        match self.listener_for(to, connection) {
            Some(listener) if self.listeners[listener].has_room() => {
                self.enqueue(listener, connection);
            }
            Some(_) => self.retransmit_syn(connection, attempt),
            None => self.send_rst(connection),
        }
    }

    /// Returns the listener that a connection reaches. Several that share an address take turns.
    fn listener_for(&self, to: SocketAddr, connection: usize) -> Option<usize> {
        let listeners = self.listeners.iter().enumerate();
        let reached: Vec<_> = listeners
            .filter(|(_, listener)| listener.open && listener.reaches(to))
            .map(|(index, _)| index)
            .collect();
        let turn = connection.checked_rem(reached.len())?;
        Some(reached[turn])
    }

    fn enqueue(&mut self, listener: usize, connection: usize) {
        let passive = EndpointId::new(connection, Side::Passive);
        let now = self.now;
        let state = &mut self.listeners[listener];
        state.queue.push_back(passive);
        state.waiting_since.get_or_insert(now);
        let send_buffer = state.send_buffer_bytes;
        let receive_buffer = state.receive_buffer_bytes;
        self.end_mut(passive).outgoing.set_send_buffer(send_buffer);
        let incoming = self.incoming(passive);
        incoming.link.receive_buffer_bytes = incoming.link.receive_buffer_bytes.min(receive_buffer);
        self.send_syn_ack(connection);
        if self.rng.random_bool(self.faults.late_events) {
            self.notify_listener_later(listener);
        } else {
            self.raise_listener(listener);
        }
    }

    fn answer_by_service(&mut self, to: SocketAddr, connection: usize) {
        let passive = EndpointId::new(connection, Side::Passive);
        let Some(script) = self.services.get_mut(&to).map(|spawn| spawn()) else {
            return;
        };
        self.end_mut(passive).owner = Owner::Client(self.clients.len());
        self.add_client(passive, Some(script));
        self.send_syn_ack(connection);
        self.notify(passive, ReadySet::WRITE);
    }

    fn send_syn_ack(&mut self, connection: usize) {
        let passive = EndpointId::new(connection, Side::Passive);
        self.end_mut(passive).state = TcpState::Open;
        let when = self.arrival(passive);
        self.schedule(when, NetEvent::SynAckArrives { connection });
    }

    pub(super) fn syn_ack_arrives(&mut self, connection: usize) {
        let active = EndpointId::new(connection, Side::Active);
        match self.end(active).state {
            TcpState::Connecting => {
                self.end_mut(active).state = TcpState::Open;
                self.notify(active, ReadySet::WRITE);
                self.schedule_transmit(active);
            }
            // Closed meanwhile: its kernel knows no such connection.
            TcpState::Closed => self.send_reset(active),
            _ => {}
        }
    }

    /// Retransmits a lost SYN after 1, 2, 4… seconds, and times out in the end.
    fn retransmit_syn(&mut self, connection: usize, attempt: u32) {
        if attempt == SYN_RETRIES {
            let active = EndpointId::new(connection, Side::Active);
            return self.break_end(active, io::ErrorKind::TimedOut);
        }
        let when = self.now + Duration::from_secs(1 << attempt);
        let attempt = attempt + 1;
        self.schedule(
            when,
            NetEvent::SynArrives {
                connection,
                attempt,
            },
        );
    }

    fn send_rst(&mut self, connection: usize) {
        let when = self.arrival(EndpointId::new(connection, Side::Passive));
        self.schedule(when, NetEvent::RstArrives { connection });
    }

    pub(super) fn rst_arrives(&mut self, connection: usize) {
        let active = EndpointId::new(connection, Side::Active);
        self.break_end(active, io::ErrorKind::ConnectionRefused);
    }
}

const SYN_RETRIES: u32 = 6;
