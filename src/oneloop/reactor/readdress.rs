//! Connections whose client is announced by a proxy.

use super::Reactor;
use super::connection::{Flags, Origin, Phase};
use super::core::{Core, Slot};
use crate::net::Net;
use crate::service::{Announced, EndReason, PeerAddress, Service, SessionId};

impl<S: Service, N: Net> Reactor<S, N> {
    /// Gives a connection the announced address if admission allows that, and opens its session
    /// again; otherwise refuses it. Does nothing if the session has ended, or is outbound.
    #[cold]
    pub(crate) fn readdress(&mut self, id: SessionId, announced: Announced) {
        let accepted = [Origin::Accepted, Origin::Proxy];
        let connection = self.slots.find(id);
        let is_live =
            |of: &&mut Slot<S, N>| of.phase == Phase::Live && accepted.contains(&of.origin);
        let Some(connection) = connection.filter(is_live) else {
            return;
        };
        let claim = connection.claim();
        let verdict = match announced {
            Announced::NoClient => Ok(()),
            Announced::Client(client) if is_same(client, claim.address) => Ok(()),
            Announced::Client(client) => {
                let max = self.core.limits.connections_per_address_max;
                let verdict = self.admission.readdress(claim, client, max);
                self.core.set_client(connection, client);
                verdict
            }
        };
        match verdict {
            Ok(()) => self.reopen(id),
            Err(reason) => self.refuse_announced(id, reason),
        }
        self.slots.rearm_or_retire(id.index, self.core.now());
        if self.slots[id.index].phase != Phase::Dead {
            self.slots.wake_slot(id.index);
        }
        self.update_pressure();
    }

    /// Opens a session again.
    fn reopen(&mut self, id: SessionId) {
        let drains = self.drains(self.slots[id.index].listener as usize);
        let connection = &mut self.slots[id.index];
        connection.reopen();
        if drains {
            connection.flags.add(Flags::DRAIN);
        }
        self.core.readdressed(connection, id);
    }

    /// Refuses a connection whose client has its share. Its session is not stepped again.
    fn refuse_announced(&mut self, id: SessionId, reason: EndReason) {
        let connection = &mut self.slots[id.index];
        connection.origin = Origin::Refused;
        self.core.refuse(connection, reason);
        if self.admission.refused > self.core.limits.refusals_max {
            connection.abort(reason);
        }
    }
}

impl<S: Service, N: Net> Core<S, N> {
    /// Sets the address of a connection's client, which counts from now on.
    fn set_client(&self, connection: &mut Slot<S, N>, client: PeerAddress) {
        let listener = self.listeners.get(connection.listener as usize);
        let local = connection.ends.local(listener.and_then(|info| info.local));
        connection.ends = connection.ends.announced(client, local);
        connection.origin = Origin::Accepted;
    }

    fn readdressed(&mut self, connection: &mut Slot<S, N>, id: SessionId) {
        let peer = self.peer(connection, id);
        let Some(session) = &mut connection.session else {
            return;
        };
        let called = self.call("readdressed", |service, cx| {
            service.readdressed(session, peer, cx);
        });
        if called.is_none() {
            connection.abort(EndReason::Panicked);
        }
    }
}

/// Returns true for one address and port. An IPv4 address may be mapped into IPv6 in one of them.
fn is_same(one: PeerAddress, other: PeerAddress) -> bool {
    let canonical = |address: PeerAddress| {
        let address = address.socket_addr()?;
        Some((address.ip().to_canonical(), address.port()))
    };
    canonical(one).is_some() && canonical(one) == canonical(other)
}
