//! Listening sockets, and who is let in.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::service::{EndReason, Time};

/// A listening socket and what is known of its queue.
#[derive(Debug)]
pub(crate) struct Listener<L> {
    /// `None` once it is closed.
    pub(crate) socket: Option<L>,
    pub(crate) address: SocketAddr,
    pub(crate) accepting: Accepting,
    /// How many more connections may be accepted in this turn.
    pub(crate) budget: usize,
    /// In a drain: how many more connections are accepted before it is closed.
    pub(crate) last_calls: Option<usize>,
}

/// Whether a listener's queue is worth looking at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepting {
    /// The queue is empty: accept has said `WouldBlock`, and the next connection brings an event.
    Idle,
    /// The queue may hold a connection. With edge triggers no further event comes until accept has
    /// said `WouldBlock`.
    Ready {
        /// Accepts that failed, each for a reason of its own, since one succeeded.
        failures: usize,
    },
    /// Descriptors had run out, or accepting failed too often.
    BackingOff {
        /// When to try again.
        until: Time,
    },
}

impl<L> Listener<L> {
    pub(crate) fn new(socket: L, address: SocketAddr) -> Self {
        Self {
            socket: Some(socket),
            address,
            accepting: Accepting::Idle,
            budget: 0,
            last_calls: None,
        }
    }

    /// Notes that an event has announced a connection.
    pub(crate) fn announce(&mut self) {
        if self.accepting == Accepting::Idle {
            self.accepting = Accepting::Ready { failures: 0 };
        }
    }

    /// Ends the time to back off: a descriptor is free again.
    pub(crate) fn retry(&mut self) {
        if let Accepting::BackingOff { .. } = self.accepting {
            self.accepting = Accepting::Ready { failures: 0 };
        }
    }

    /// Ends the time to back off if it is over by `now`.
    pub(crate) fn retry_if_due(&mut self, now: Time) {
        if let Accepting::BackingOff { until } = self.accepting
            && until <= now
        {
            self.retry();
        }
    }

    /// Returns when its queue is to be looked at without an event; never if it is empty.
    pub(crate) fn due(&self) -> Time {
        match self.accepting {
            _ if self.socket.is_none() => Time::NEVER,
            Accepting::Idle => Time::NEVER,
            Accepting::Ready { .. } => Time::START,
            Accepting::BackingOff { until } => until,
        }
    }

    /// Begins to close: the connections that are in the queue by now are the last to be accepted.
    pub(crate) fn call_last(&mut self, backlog: usize) {
        self.last_calls = Some(backlog);
        self.announce();
    }

    /// Closes the socket if the last connections have been accepted.
    pub(crate) fn close_if_done(&mut self) {
        let empty = self.accepting == Accepting::Idle;
        if self.last_calls.is_some_and(|left| empty || left == 0) {
            self.socket = None;
        }
    }
}

/// Who is inside: counts for the two limits on connections.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// Connections that are served, or are to be.
    pub(crate) inside: usize,
    /// Connections that are being turned away.
    pub(crate) refused: usize,
    /// Connections of the service's own making. They are not let in: nobody has come.
    pub(crate) outbound: usize,
    /// Connections by address, only while that is limited. Each entry stands for at least one
    /// connection, so the table is never larger than the slab.
    by_address: HashMap<IpAddr, usize>,
}

impl Admission {
    /// Whether one more connection from `address` may be served, and if not, why.
    pub(crate) fn check(
        &self,
        address: SocketAddr,
        max: usize,
        per_address_max: Option<usize>,
    ) -> Result<(), EndReason> {
        if self.inside >= max {
            return Err(EndReason::ServerFull);
        }
        let Some(per_address_max) = per_address_max else {
            return Ok(());
        };
        let from_there = self
            .by_address
            .get(&customer(address.ip()))
            .copied()
            .unwrap_or(0);
        if from_there >= per_address_max {
            Err(EndReason::AddressLimit)
        } else {
            Ok(())
        }
    }

    /// Counts a connection that is let in; `counted` if addresses are limited.
    pub(crate) fn enter(&mut self, address: SocketAddr, counted: bool) {
        self.inside += 1;
        if counted {
            *self.by_address.entry(customer(address.ip())).or_default() += 1;
        }
    }

    /// Counts a connection that was let in, and is gone.
    pub(crate) fn leave(&mut self, address: SocketAddr, counted: bool) {
        self.inside -= 1;
        if !counted {
            return;
        }
        let customer = customer(address.ip());
        if let Some(from_there) = self.by_address.get_mut(&customer) {
            *from_there -= 1;
            if *from_there == 0 {
                self.by_address.remove(&customer);
            }
        }
    }

    /// How many addresses have connections that are counted.
    pub(crate) fn addresses(&self) -> usize {
        self.by_address.len()
    }
}

/// What stands for one customer: an IPv4 address, also when it comes mapped into IPv6, or an IPv6
/// /64, which providers hand out whole (RFC 6177). Link-local neighbours are different machines
/// though they share their /64 (RFC 4291, 2.5.6).
fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => v6.into(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().expect("an address"), 1)
    }

    #[test]
    fn neighbours_in_one_ipv6_network_share_their_limit() {
        let mut admission = Admission::default();
        admission.enter(at("2001:db8:1:2::1"), true);
        let neighbour = at("2001:db8:1:2:ffff::9");
        assert_eq!(
            admission.check(neighbour, 9, Some(1)),
            Err(EndReason::AddressLimit)
        );
        assert_eq!(admission.check(at("2001:db8:1:3::1"), 9, Some(1)), Ok(()));
    }

    #[test]
    fn link_local_neighbours_have_a_limit_each() {
        let mut admission = Admission::default();
        admission.enter(at("fe80::1"), true);
        assert_eq!(admission.check(at("fe80::2"), 9, Some(1)), Ok(()));
        assert!(admission.check(at("fe80::1"), 9, Some(1)).is_err());
    }

    #[test]
    fn an_ipv4_address_is_the_same_when_mapped_into_ipv6() {
        let mut admission = Admission::default();
        admission.enter(at("192.0.2.1"), true);
        let mapped = at("::ffff:192.0.2.1");
        assert_eq!(
            admission.check(mapped, 9, Some(1)),
            Err(EndReason::AddressLimit)
        );
        assert_eq!(admission.check(at("192.0.2.2"), 9, Some(1)), Ok(()));
    }

    #[test]
    fn the_table_forgets_an_address_with_its_last_connection() {
        let mut admission = Admission::default();
        for _ in 0..2 {
            admission.enter(at("192.0.2.1"), true);
        }
        for _ in 0..2 {
            admission.leave(at("192.0.2.1"), true);
        }
        assert_eq!((admission.inside, admission.addresses()), (0, 0));
    }
}
