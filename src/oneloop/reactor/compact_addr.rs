//! A socket address in three quarters of the size of std's: every connection pays for it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// A socket address without the flow label of IPv6, which accept(2) does not report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompactAddr {
    ip: [u8; 16],
    scope: u32,
    port: u16,
    is_ipv4: bool,
}

impl From<SocketAddr> for CompactAddr {
    fn from(address: SocketAddr) -> Self {
        let (ip, scope) = match address {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
        };
        Self {
            ip: ip.octets(),
            scope,
            port: address.port(),
            is_ipv4: address.is_ipv4(),
        }
    }
}

impl From<CompactAddr> for SocketAddr {
    fn from(address: CompactAddr) -> Self {
        let ip = Ipv6Addr::from(address.ip);
        match ip.to_ipv4_mapped() {
            Some(v4) if address.is_ipv4 => Self::new(IpAddr::V4(v4), address.port),
            _ => Self::V6(SocketAddrV6::new(ip, address.port, 0, address.scope)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_converted_and_back_is_equal() {
        for text in [
            "127.0.0.1:6000",
            "0.0.0.0:0",
            "[::1]:65535",
            "[::ffff:192.0.2.1]:7",
            "[fe80::1%3]:80",
        ] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(
                SocketAddr::from(CompactAddr::from(address)),
                address,
                "{text}"
            );
        }
    }
}
