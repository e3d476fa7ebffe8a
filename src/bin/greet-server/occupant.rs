//! The holder of a port that cannot be bound.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The holder of a port, in ascending order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Occupant {
    /// No program: ended connections, which the kernel remembers for a minute.
    TimeWait,
    /// A connection with this local port.
    Connection,
    /// A listening socket.
    Listener,
}

impl Occupant {
    /// Returns the holder of an address, where the system has a list of its sockets.
    pub(crate) fn of(address: SocketAddr) -> Option<Self> {
        ["/proc/net/tcp", "/proc/net/tcp6"]
            .into_iter()
            .filter_map(|table| std::fs::read_to_string(table).ok())
            .filter_map(|table| Self::in_table(&table, address))
            .max()
    }

    /// Returns the holder of an address according to a table in the format of `/proc/net/tcp`.
    fn in_table(table: &str, address: SocketAddr) -> Option<Self> {
        table
            .lines()
            .filter_map(socket)
            .filter(|(local, _)| conflict(*local, address))
            .map(|(_, occupant)| occupant)
            .max()
    }
}

/// Returns `true` if one address includes the other.
pub(crate) fn conflict(one: SocketAddr, other: SocketAddr) -> bool {
    let ips = (one.ip().to_canonical(), other.ip().to_canonical());
    let same_family = one.is_ipv4() == other.is_ipv4();
    one.port() == other.port()
        && (ips.0 == ips.1
            || same_family && (ips.0.is_unspecified() || ips.1.is_unspecified())
            // A socket of [::] takes IPv4, too, unless it was set to IPv6 only.
            || one.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}

/// Parses a line like `0: 0100007F:1770 00000000:0000 0A …`.
fn socket(line: &str) -> Option<(SocketAddr, Occupant)> {
    let mut columns = line.split_whitespace().skip(1);
    let (local, _remote, state) = (columns.next()?, columns.next()?, columns.next()?);
    let (ip, port) = local.split_once(':')?;
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(ip)?)),
        32 => {
            let mut bytes = [0; 16];
            for (number, into) in bytes.chunks_exact_mut(4).enumerate() {
                into.copy_from_slice(&word(ip.get(number * 8..number * 8 + 8)?)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    let occupant = match state {
        "0A" => Occupant::Listener,
        "06" => Occupant::TimeWait,
        _ => Occupant::Connection,
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::new(ip, port), occupant))
}

/// Parses four bytes of an address, which the kernel prints as a number of its own byte order.
fn word(digits: &str) -> Option<[u8; 4]> {
    u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_addr rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1770 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:1771 0100007F:C9A2 06 00000000:00000000 03:000017D8 00000000     0        0 0
   2: 0200007F:1771 0100007F:C9A2 01 00000000:00000000 03:000017D8 00000000     0        0 0
   3: 00000000000000000000000001000000:1772 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0
   4: 00000000000000000000000000000000:1773 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0
";

    #[track_caller]
    fn occupant(address: &str) -> Option<Occupant> {
        Occupant::in_table(TABLE, address.parse().expect("an address"))
    }

    #[test]
    fn the_table_names_the_holder() {
        assert_eq!(occupant("127.0.0.1:6000"), Some(Occupant::Listener));
        assert_eq!(occupant("127.0.0.1:6001"), Some(Occupant::TimeWait));
        assert_eq!(occupant("127.0.0.2:6001"), Some(Occupant::Connection));
        assert_eq!(occupant("[::1]:6002"), Some(Occupant::Listener));
        assert_eq!(occupant("127.0.0.1:6004"), None);
        assert_eq!(occupant("127.0.0.9:6000"), None);
    }

    #[test]
    fn an_unspecified_address_includes_all() {
        assert_eq!(occupant("0.0.0.0:6000"), Some(Occupant::Listener));
        assert_eq!(occupant("0.0.0.0:6001"), Some(Occupant::Connection));
        assert_eq!(occupant("127.0.0.1:6003"), Some(Occupant::Listener));
        assert_eq!(occupant("[::]:6000"), None, "it is for IPv6 alone");
    }
}
