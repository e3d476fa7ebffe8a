//! Admission: counts for the two limits on connections.

use std::collections::HashMap;
use std::net::IpAddr;

use super::connection::Origin;
use super::limits::InvalidLimits;
use super::listen::Listen;
use crate::service::{EndReason, PeerAddress, address_key};

/// The number of open connections, by kind, by listener and by address.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// Accepted connections that are served.
    pub(crate) admitted: usize,
    /// Accepted connections that are being refused.
    pub(crate) refused: usize,
    /// Outbound connections. They do not count as admitted.
    pub(crate) outbound: usize,
    by_listener: Vec<Places>,
    /// Reserved places that no connection has taken.
    unused_reserve: usize,
    /// Admitted connections by address, only while that is limited. Each entry stands for at least
    /// one connection, so the table is never larger than the slab.
    by_address: HashMap<IpAddr, usize>,
}

/// The places of a listener's connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    admitted: usize,
    max: usize,
    /// The places that other listeners cannot fill.
    reserve: usize,
}

/// What a connection takes up of the limits on connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) address: PeerAddress,
    pub(crate) origin: Origin,
    /// The index of its listener, if it was accepted.
    pub(crate) listener: usize,
}

impl Places {
    pub(crate) fn new(listen: &Listen) -> Self {
        Self {
            admitted: 0,
            max: listen.connections_max.unwrap_or(usize::MAX),
            reserve: listen.reserve,
        }
    }

    fn unused_reserve(&self) -> usize {
        self.reserve.saturating_sub(self.admitted)
    }
}

impl Admission {
    /// Returns true if the places that a new listener reserves can be had, of `max` in all.
    pub(crate) fn can_reserve(&self, places: &Places, max: usize) -> bool {
        let reserved: usize = self.by_listener.iter().map(|of| of.reserve).sum();
        places.reserve <= places.max.min(max) && reserved <= max - places.reserve
    }

    /// Checks that `max` places are enough for those that the listeners reserve.
    pub(crate) fn check_reserves(&self, max: usize) -> Result<(), InvalidLimits> {
        let reserved: usize = self.by_listener.iter().map(|of| of.reserve).sum();
        if reserved <= max {
            return Ok(());
        }
        let rule = format!("must be at least the {reserved} that listeners reserve, not {max}");
        Err(InvalidLimits::new("connections_max", rule))
    }

    /// Adds a listener.
    pub(crate) fn add_listener(&mut self, places: Places) {
        self.unused_reserve += places.reserve;
        self.by_listener.push(places);
    }

    /// Returns true if there is a place for a connection of a listener, of `max` in all.
    pub(crate) fn has_place(&self, listener: usize, max: usize) -> bool {
        let places = &self.by_listener[listener];
        let kept_for_others = self.unused_reserve - places.unused_reserve();
        places.admitted < places.max && self.admitted.saturating_add(kept_for_others) < max
    }

    /// Returns the number of admitted connections of a listener.
    pub(crate) fn admitted_by(&self, listener: usize) -> usize {
        self.by_listener[listener].admitted
    }

    /// Returns the most admitted connections of a listener, if it has a limit of its own.
    pub(crate) fn max_of(&self, listener: usize) -> Option<usize> {
        let max = self.by_listener[listener].max;
        (max < usize::MAX).then_some(max)
    }

    /// Returns whether one more connection from `address` may be served, or the reason why not.
    pub(crate) fn check(
        &self,
        listener: usize,
        address: PeerAddress,
        max: usize,
        per_address_max: Option<usize>,
    ) -> Result<(), EndReason> {
        if !self.has_place(listener, max) {
            return Err(EndReason::ServerFull);
        }
        self.check_address(address, per_address_max)
    }

    fn check_address(
        &self,
        address: PeerAddress,
        per_address_max: Option<usize>,
    ) -> Result<(), EndReason> {
        let (Some(per_address_max), Some(ip)) = (per_address_max, address.ip()) else {
            return Ok(());
        };
        let connections = self.by_address.get(&address_key(ip)).copied().unwrap_or(0);
        if connections >= per_address_max {
            Err(EndReason::AddressLimit)
        } else {
            Ok(())
        }
    }

    /// Counts an admitted connection by another address, if that may have one more. Otherwise it is
    /// counted as refused, with the reason.
    pub(crate) fn readdress(
        &mut self,
        claim: Claim,
        address: PeerAddress,
        per_address_max: Option<usize>,
    ) -> Result<(), EndReason> {
        if per_address_max.is_some() && claim.origin == Origin::Accepted {
            self.uncount(claim.address);
        }
        let verdict = self.check_address(address, per_address_max);
        match verdict {
            Ok(()) if per_address_max.is_some() => self.count_address(address),
            Ok(()) => {}
            Err(_) => {
                self.leave(claim.listener);
                self.refused += 1;
            }
        }
        verdict
    }

    /// Counts a connection as admitted; by its IP address too if `counted`.
    pub(crate) fn admit(&mut self, listener: usize, address: PeerAddress, counted: bool) {
        self.admitted += 1;
        self.change_admitted(listener, |admitted| admitted + 1);
        if counted {
            self.count_address(address);
        }
    }

    /// Counts an admitted connection by its IP address, if it has one.
    pub(crate) fn count_address(&mut self, address: PeerAddress) {
        if let Some(ip) = address.ip() {
            *self.by_address.entry(address_key(ip)).or_default() += 1;
        }
    }

    /// Forgets the counts by address.
    pub(crate) fn forget_addresses(&mut self) {
        self.by_address.clear();
    }

    /// Releases an admitted connection after its end.
    pub(crate) fn release(&mut self, claim: Claim, counted: bool) {
        self.leave(claim.listener);
        if counted {
            self.uncount(claim.address);
        }
    }

    fn leave(&mut self, listener: usize) {
        self.admitted -= 1;
        self.change_admitted(listener, |admitted| admitted - 1);
    }

    fn uncount(&mut self, address: PeerAddress) {
        let Some(ip) = address.ip() else {
            return;
        };
        let address_key = address_key(ip);
        if let Some(connections) = self.by_address.get_mut(&address_key) {
            *connections -= 1;
            if *connections == 0 {
                self.by_address.remove(&address_key);
            }
        }
    }

    fn change_admitted(&mut self, listener: usize, change: impl FnOnce(usize) -> usize) {
        let places = &mut self.by_listener[listener];
        self.unused_reserve -= places.unused_reserve();
        places.admitted = change(places.admitted);
        self.unused_reserve += places.unused_reserve();
    }

    /// Returns the number of addresses in the table.
    pub(crate) fn addresses(&self) -> usize {
        self.by_address.len()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn at(address: &str) -> PeerAddress {
        SocketAddr::new(address.parse().expect("an address"), 1).into()
    }

    /// Returns an admission with a listener of each of these limits and reserves.
    fn admission<const N: usize>(listeners: [(usize, usize); N]) -> Admission {
        let mut admission = Admission::default();
        for (max, reserve) in listeners {
            admission.add_listener(Places {
                admitted: 0,
                max,
                reserve,
            });
        }
        admission
    }

    fn any(max: usize) -> Admission {
        admission([(max, 0)])
    }

    fn claim(listener: usize, address: PeerAddress) -> Claim {
        Claim {
            address,
            origin: Origin::Accepted,
            listener,
        }
    }

    #[test]
    fn neighbours_in_one_ipv6_network_share_a_limit() {
        let mut admission = any(9);
        admission.admit(0, at("2001:db8:1:2::1"), true);
        let neighbour = at("2001:db8:1:2:ffff::9");
        assert_eq!(
            admission.check(0, neighbour, 9, Some(1)),
            Err(EndReason::AddressLimit)
        );
        assert_eq!(
            admission.check(0, at("2001:db8:1:3::1"), 9, Some(1)),
            Ok(())
        );
    }

    #[test]
    fn link_local_neighbours_have_a_limit_each() {
        let mut admission = any(9);
        admission.admit(0, at("fe80::1"), true);
        assert_eq!(admission.check(0, at("fe80::2"), 9, Some(1)), Ok(()));
        assert!(admission.check(0, at("fe80::1"), 9, Some(1)).is_err());
    }

    #[test]
    fn ipv4_address_mapped_into_ipv6_shares_its_limit() {
        let mut admission = any(9);
        admission.admit(0, at("192.0.2.1"), true);
        let mapped = at("::ffff:192.0.2.1");
        assert_eq!(
            admission.check(0, mapped, 9, Some(1)),
            Err(EndReason::AddressLimit)
        );
        assert_eq!(admission.check(0, at("192.0.2.2"), 9, Some(1)), Ok(()));
    }

    #[test]
    fn peers_without_an_ip_address_share_no_limit() {
        let mut admission = any(9);
        for _ in 0..2 {
            assert_eq!(admission.check(0, PeerAddress::Unix, 9, Some(1)), Ok(()));
            admission.admit(0, PeerAddress::Unix, true);
        }
        admission.release(claim(0, PeerAddress::Unix), true);
        assert_eq!((admission.admitted, admission.addresses()), (1, 0));
    }

    #[test]
    fn last_connection_removes_its_address_from_the_table() {
        let mut admission = any(9);
        for _ in 0..2 {
            admission.admit(0, at("192.0.2.1"), true);
        }
        for _ in 0..2 {
            admission.release(claim(0, at("192.0.2.1")), true);
        }
        assert_eq!((admission.admitted, admission.addresses()), (0, 0));
    }

    #[test]
    fn reserved_places_are_filled_by_their_listener_alone() {
        let mut admission = admission([(9, 0), (9, 2)]);
        let one = at("192.0.2.1");
        for _ in 0..3 {
            assert!(admission.has_place(0, 5));
            admission.admit(0, one, false);
        }
        assert!(!admission.has_place(0, 5));
        for _ in 0..2 {
            assert!(admission.has_place(1, 5));
            admission.admit(1, one, false);
        }
        assert!(!admission.has_place(1, 5));
        // A place that others can have too goes to either.
        admission.release(claim(0, one), false);
        assert!(admission.has_place(0, 5) && admission.has_place(1, 5));
        admission.admit(1, one, false);
        assert!(!admission.has_place(0, 5) && !admission.has_place(1, 5));
        // The third of a listener that has reserved two is no reserved place.
        admission.release(claim(1, one), false);
        assert!(admission.has_place(0, 5) && admission.has_place(1, 5));
        // The second is one.
        admission.release(claim(1, one), false);
        admission.admit(0, one, false);
        assert!(!admission.has_place(0, 5) && admission.has_place(1, 5));
    }

    #[test]
    fn limit_of_one_listener_leaves_the_others_alone() {
        let mut admission = admission([(1, 0), (9, 0)]);
        admission.admit(0, at("192.0.2.1"), false);
        assert!(!admission.has_place(0, 5) && admission.has_place(1, 5));
    }

    #[test]
    fn more_places_than_there_are_cannot_be_reserved() {
        let admission = admission([(9, 3)]);
        let places = |max, reserve| Places {
            admitted: 0,
            max,
            reserve,
        };
        assert!(admission.can_reserve(&places(9, 2), 5));
        assert!(!admission.can_reserve(&places(9, 3), 5));
        assert!(!admission.can_reserve(&places(1, 2), 5));
        assert!(!admission.can_reserve(&places(usize::MAX, usize::MAX), 5));
    }
}
