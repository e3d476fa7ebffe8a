//! Unix-domain sockets. Inside the network their ends have made-up addresses of IPv6, so that every
//! end has an address of one type.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use oneloop::{Address, PeerAddress};

/// The made-up addresses in use.
#[derive(Debug, Default)]
pub(super) struct UnixNames {
    paths: Vec<PathBuf>,
    clients: u16,
}

impl UnixNames {
    /// Returns the address that stands for `address` inside the network.
    pub(super) fn inside(&mut self, address: &Address) -> SocketAddr {
        match address {
            Address::Ip(address) => *address,
            Address::Unix(path) => made_up(PATHS, self.number_of(path)),
            _ => unreachable!("an address is one of these"),
        }
    }

    /// Returns an address for one more client.
    pub(super) fn client(&mut self) -> SocketAddr {
        self.clients += 1;
        made_up(CLIENTS, self.clients)
    }

    /// Returns the address outside the network.
    pub(super) fn outside(&self, address: SocketAddr) -> Address {
        match number(address) {
            Some((PATHS, number)) => Address::Unix(self.paths[number as usize].clone()),
            _ => Address::Ip(address),
        }
    }

    fn number_of(&mut self, path: &Path) -> u16 {
        let known = self.paths.iter().position(|known| known == path);
        let number = known.unwrap_or_else(|| {
            self.paths.push(path.to_owned());
            self.paths.len() - 1
        });
        number as u16
    }
}

/// Returns the address of a peer as the loop sees it.
pub(super) fn peer(address: SocketAddr) -> PeerAddress {
    match number(address) {
        Some(_) => PeerAddress::Unix,
        None => address.into(),
    }
}

/// Returns the local address of a stream as the loop sees it.
pub(super) fn local(address: SocketAddr) -> Option<SocketAddr> {
    peer(address).socket_addr()
}

fn made_up(kind: u16, number: u16) -> SocketAddr {
    let [a, b, c] = PREFIX;
    SocketAddr::new(Ipv6Addr::new(a, b, c, kind, 0, 0, 0, number).into(), 1)
}

fn number(address: SocketAddr) -> Option<(u16, u16)> {
    match address.ip() {
        IpAddr::V6(ip) if ip.segments()[..3] == PREFIX => {
            let [.., number] = ip.segments();
            Some((ip.segments()[3], number))
        }
        _ => None,
    }
}

/// A prefix of unique local addresses: `fd` and the letters `unix`.
const PREFIX: [u16; 3] = [0xfd75, 0x6e69, 0x7800];
const PATHS: u16 = 1;
const CLIENTS: u16 = 2;
