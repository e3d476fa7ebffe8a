//! Addresses that count as one.

use std::net::IpAddr;

/// Returns the address under which connections from `address` are counted.
///
/// It is the IPv4 address, also if it is mapped into IPv6, or the IPv6 /64, which providers assign
/// as a whole (RFC 6177). Link-local neighbours are different machines although they share their
/// /64 (RFC 4291, 2.5.6).
pub(crate) fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => v6.into(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}
