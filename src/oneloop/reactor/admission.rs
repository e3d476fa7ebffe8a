//! Which connections are served: counts for the limits on connections.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::service::EndReason;

/// Who is admitted: counts for the two limits on connections.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// Slots that are served, or are to be.
    pub(crate) admitted: usize,
    /// Slots that are being turned away.
    pub(crate) refused: usize,
    /// Slots of the service's own making. They are not let in: nobody has come.
    pub(crate) outbound: usize,
    /// Slots by address, only while that is limited. Each entry stands for at least one
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
        if self.admitted >= max {
            return Err(EndReason::ServerFull);
        }
        let Some(per_address_max) = per_address_max else {
            return Ok(());
        };
        let from_there = self
            .by_address
            .get(&address_key(address.ip()))
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
        self.admitted += 1;
        if counted {
            *self
                .by_address
                .entry(address_key(address.ip()))
                .or_default() += 1;
        }
    }

    /// Counts a connection that was let in, and is gone.
    pub(crate) fn leave(&mut self, address: SocketAddr, counted: bool) {
        self.admitted -= 1;
        if !counted {
            return;
        }
        let address_key = address_key(address.ip());
        if let Some(from_there) = self.by_address.get_mut(&address_key) {
            *from_there -= 1;
            if *from_there == 0 {
                self.by_address.remove(&address_key);
            }
        }
    }

    /// How many addresses have connections that are counted.
    pub(crate) fn addresses(&self) -> usize {
        self.by_address.len()
    }
}

/// What stands for one address_key: an IPv4 address, also when it comes mapped into IPv6, or an IPv6
/// /64, which providers hand out whole (RFC 6177). Link-local neighbours are different machines
/// though they share their /64 (RFC 4291, 2.5.6).
fn address_key(address: IpAddr) -> IpAddr {
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
        assert_eq!((admission.admitted, admission.addresses()), (0, 0));
    }
}
