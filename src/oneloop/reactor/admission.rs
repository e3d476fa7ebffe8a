//! Admission: counts for the two limits on connections.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::service::{EndReason, PeerAddress, address_key};

/// The number of open connections, by kind and by address.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// Accepted connections that are served.
    pub(crate) admitted: usize,
    /// Accepted connections that are being refused.
    pub(crate) refused: usize,
    /// Outbound connections. They do not count as admitted.
    pub(crate) outbound: usize,
    /// Admitted connections by address, only while that is limited. Each entry stands for at least
    /// one connection, so the table is never larger than the slab.
    by_address: HashMap<IpAddr, usize>,
}

impl Admission {
    /// Returns whether one more connection from `address` may be served, or the reason why not.
    pub(crate) fn check(
        &self,
        address: PeerAddress,
        max: usize,
        per_address_max: Option<usize>,
    ) -> Result<(), EndReason> {
        if self.admitted >= max {
            return Err(EndReason::ServerFull);
        }
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

    /// Counts a connection as admitted; by its IP address too if `counted`.
    pub(crate) fn admit(&mut self, address: PeerAddress, counted: bool) {
        self.admitted += 1;
        if counted && let Some(ip) = address.ip() {
            *self.by_address.entry(address_key(ip)).or_default() += 1;
        }
    }

    /// Releases an admitted connection after its end.
    pub(crate) fn release(&mut self, address: PeerAddress, counted: bool) {
        self.admitted -= 1;
        let (true, Some(ip)) = (counted, address.ip()) else {
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

    #[test]
    fn neighbours_in_one_ipv6_network_share_a_limit() {
        let mut admission = Admission::default();
        admission.admit(at("2001:db8:1:2::1"), true);
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
        admission.admit(at("fe80::1"), true);
        assert_eq!(admission.check(at("fe80::2"), 9, Some(1)), Ok(()));
        assert!(admission.check(at("fe80::1"), 9, Some(1)).is_err());
    }

    #[test]
    fn ipv4_address_mapped_into_ipv6_shares_its_limit() {
        let mut admission = Admission::default();
        admission.admit(at("192.0.2.1"), true);
        let mapped = at("::ffff:192.0.2.1");
        assert_eq!(
            admission.check(mapped, 9, Some(1)),
            Err(EndReason::AddressLimit)
        );
        assert_eq!(admission.check(at("192.0.2.2"), 9, Some(1)), Ok(()));
    }

    #[test]
    fn peers_without_an_ip_address_share_no_limit() {
        let mut admission = Admission::default();
        for _ in 0..2 {
            assert_eq!(admission.check(PeerAddress::Unix, 9, Some(1)), Ok(()));
            admission.admit(PeerAddress::Unix, true);
        }
        admission.release(PeerAddress::Unix, true);
        assert_eq!((admission.admitted, admission.addresses()), (1, 0));
    }

    #[test]
    fn last_connection_removes_its_address_from_the_table() {
        let mut admission = Admission::default();
        for _ in 0..2 {
            admission.admit(at("192.0.2.1"), true);
        }
        for _ in 0..2 {
            admission.release(at("192.0.2.1"), true);
        }
        assert_eq!((admission.admitted, admission.addresses()), (0, 0));
    }
}
