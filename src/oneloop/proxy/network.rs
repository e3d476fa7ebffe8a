//! Networks of proxies.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::service::PeerAddress;

/// The addresses of a network, or all peers at a Unix-domain socket.
///
/// ```
/// use oneloop::proxy::Network;
///
/// let network: Network = "192.0.2.0/24".parse()?;
/// assert!(network.contains("192.0.2.7".parse()?));
/// assert!(network.contains("::ffff:192.0.2.7".parse()?));
/// assert!(!network.contains("192.0.3.7".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Ip { first: IpAddr, prefix: u32 },
    Unix,
}

/// The error of a text that is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidNetwork(Cause);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    Address,
    Prefix { max: u32 },
    HostBits { network: Network },
}

impl Network {
    /// All peers at a Unix-domain socket. The modes of its path decide which processes connect.
    pub const UNIX: Self = Self(Kind::Unix);

    /// Returns the network of the addresses that have their first `prefix` bits in common with
    /// `first`. A mapped IPv4 address with a prefix of 96 bits or more is a network of IPv4.
    ///
    /// # Errors
    /// If the prefix is longer than the address, or `first` is not the first address.
    pub fn new(first: IpAddr, prefix: u32) -> Result<Self, InvalidNetwork> {
        let (first, prefix) = match first.to_canonical() {
            v4 @ IpAddr::V4(_) if first.is_ipv6() && prefix >= 96 => (v4, prefix - 96),
            _ => (first, prefix),
        };
        let max = bits(first).1;
        if prefix > max {
            return Err(InvalidNetwork(Cause::Prefix { max }));
        }
        let network = Self(Kind::Ip {
            first: masked(first, prefix),
            prefix,
        });
        match network.0 == (Kind::Ip { first, prefix }) {
            true => Ok(network),
            false => Err(InvalidNetwork(Cause::HostBits { network })),
        }
    }

    /// Returns true if `address` is in the network. A mapped IPv4 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self.0 {
            Kind::Ip { first, prefix } => {
                first.is_ipv4() == address.is_ipv4() && masked(address, prefix) == first
            }
            Kind::Unix => false,
        }
    }

    /// Returns true if the peer is in the network.
    #[must_use]
    pub fn contains_peer(&self, peer: PeerAddress) -> bool {
        match peer {
            PeerAddress::Ip(address) => self.contains(address.ip()),
            PeerAddress::Unix => *self == Self::UNIX,
        }
    }
}

/// Returns the bits of an address, and their number.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (v4.to_bits().into(), u32::BITS),
        IpAddr::V6(v6) => (v6.to_bits(), u128::BITS),
    }
}

/// Returns the address with all bits after the first `prefix` cleared.
fn masked(address: IpAddr, prefix: u32) -> IpAddr {
    let (all, length) = bits(address);
    let cleared = length - prefix;
    let kept = all.checked_shr(cleared).unwrap_or(0);
    let kept = kept.checked_shl(cleared).unwrap_or(0);
    match address {
        IpAddr::V4(_) => IpAddr::from((kept as u32).to_be_bytes()),
        IpAddr::V6(_) => IpAddr::from(kept.to_be_bytes()),
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    /// Parses an address (`192.0.2.1`), an address with the length of its prefix (`2001:db8::/32`),
    /// or `unix`.
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        if text == "unix" {
            return Ok(Self::UNIX);
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let first: IpAddr = address
            .parse()
            .map_err(|_| InvalidNetwork(Cause::Address))?;
        let max = bits(first).1;
        match prefix {
            None => Self::new(first, max),
            Some(digits) => {
                let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                let prefix = digits.parse().ok().filter(|_| is_number);
                let prefix = prefix.ok_or(InvalidNetwork(Cause::Prefix { max }))?;
                Self::new(first, prefix)
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Ip { first, prefix } => write!(f, "{first}/{prefix}"),
            Kind::Unix => f.write_str("unix"),
        }
    }
}

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Address => f.write_str(
                "expected a network, such as 192.0.2.0/24 or 2001:db8::/32, an address, or unix",
            ),
            Cause::Prefix { max } => {
                write!(f, "the prefix of a network is a number from 0 to {max}")
            }
            Cause::HostBits { network } => {
                write!(f, "bits are set after the prefix; the network is {network}")
            }
        }
    }
}

impl std::error::Error for InvalidNetwork {}
