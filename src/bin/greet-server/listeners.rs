//! Listening: every address is bound before the server reports that it waits for connections.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use log::{info, warn};
use oneloop::{BuildError, Listen, Reactor, Service};

use crate::args::Args;
use crate::logging;
use crate::occupant::{Occupant, conflict};
use crate::proxies::Proxies;
use crate::sharing::Sharing;
use crate::sockets::Sockets;
use greet_support::address::Address;

/// A value of `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An address to bind.
    Address(Address),
    /// The sockets of this name that the service manager passes: `fd://NAME`.
    Passed(String),
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.trim().strip_prefix(PASSED) {
            None => text.parse().map(Self::Address),
            Some("") => Err("expected a name, as in fd://main"),
            Some(name) => Ok(Self::Passed(name.to_owned())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Passed(name) => write!(f, "{PASSED}{name}"),
        }
    }
}

/// Listens at every place, and returns the addresses.
///
/// A name of a host stands for all its addresses; those that this machine does not have are skipped
/// if there is another.
///
/// # Errors
/// A sentence for the operator.
pub(crate) fn bind_all(
    reactor: &mut Reactor<impl Service>,
    args: &Args,
    sockets: &mut Sockets,
) -> Result<Vec<oneloop::Address>, String> {
    let mut bound = Vec::new();
    let sharing = Sharing::of(args);
    for place in args.listen() {
        match place {
            Place::Address(address) => bind_each(reactor, address, sharing, sockets, &mut bound)?,
            Place::Passed(name) => sockets
                .add_passed(reactor, name, |listen| listen.name(MAIN))
                .map_err(|problem| format!("Cannot listen on {place}: {problem}"))?,
        }
    }
    Ok(addresses(reactor))
}

fn addresses(reactor: &Reactor<impl Service>) -> Vec<oneloop::Address> {
    let listeners = reactor.listeners();
    listeners.map(|(_, address)| address.clone()).collect()
}

fn bind_each(
    reactor: &mut Reactor<impl Service>,
    address: &Address,
    sharing: Sharing,
    sockets: &mut Sockets,
    bound: &mut Vec<SocketAddr>,
) -> Result<(), String> {
    let found = address
        .resolve()
        .map_err(|error| unresolved(address, &error))?;
    let before = bound.len();
    let mut skipped = None;
    for mut one in found {
        if let (0, Some(first)) = (one.port(), bound.get(before)) {
            one.set_port(first.port());
        }
        match bind(reactor, sharing.listen(one), sockets) {
            Ok(local) => bound.push(local),
            Err(error) if address.is_name() && is_absent(&error) => skipped = Some((one, error)),
            Err(error) => return Err(cannot_listen(one, &error, bound)),
        }
    }
    match skipped {
        Some((one, error)) if bound.len() == before => Err(cannot_listen(one, &error, bound)),
        Some((one, error)) => {
            warn!(
                "not listening on {one}, an address of {}: {error}",
                address.host()
            );
            Ok(())
        }
        None => Ok(()),
    }
}

fn bind(
    reactor: &mut Reactor<impl Service>,
    listen: Listen,
    sockets: &mut Sockets,
) -> io::Result<SocketAddr> {
    let added = sockets.add(reactor, listen.name(MAIN));
    let id = added.map_err(|error| match error {
        BuildError::Listen { error, .. } => error,
        error => error.into(),
    })?;
    let mut listeners = reactor.listeners();
    let local = listeners.find(|(other, _)| *other == id);
    let local = local.and_then(|(_, local)| local.socket_addr());
    local.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// The name of the listeners for clients.
const MAIN: &str = "main";

/// Returns `true` if this machine has no such address, or no such kind of address.
fn is_absent(error: &io::Error) -> bool {
    // Linux's number; elsewhere the error is reported.
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

fn unresolved(address: &Address, error: &io::Error) -> String {
    format!(
        "Cannot listen on {address}: {error}; --listen takes an address of this machine, \
         like 127.0.0.1:6000, [::]:6000 or :6000"
    )
}

fn cannot_listen(address: SocketAddr, error: &io::Error, bound: &[SocketAddr]) -> String {
    let advice = advice(address, error, bound);
    format!("Cannot listen on {address}: {error}; {advice}")
}

fn advice(address: SocketAddr, error: &io::Error, bound: &[SocketAddr]) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => match bound.iter().find(|&&other| conflict(other, address)) {
            Some(other) if *other == address => {
                "--listen has this address twice: give it once".into()
            }
            Some(other) => {
                format!(
                    "this server listens on {other} already, which includes it: give one of them"
                )
            }
            None => in_use(Occupant::of(address), port),
        },
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges: choose a higher one with --listen".into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: see its own with `ip address`".into()
        }
        _ => "choose another address with --listen".into(),
    }
}

fn in_use(occupant: Option<Occupant>, port: u16) -> String {
    match occupant {
        Some(Occupant::Listener) => format!(
            "another program listens on this port: stop it (`ss -ltnp sport = :{port}` shows it), \
             or choose another port with --listen"
        ),
        Some(Occupant::Connection) => format!(
            "a connection of another program uses this port: see `ss -tanp sport = :{port}`, \
             or choose another port with --listen"
        ),
        Some(Occupant::TimeWait) => {
            "no program has this port, but the system remembers the connections of the one that \
             had it for a minute (TIME-WAIT): try again then, or choose another port with --listen"
                .into()
        }
        None => "another program has this port, or had it within the last minute: \
                 choose another with --listen"
            .into(),
    }
}

/// Logs the addresses, at every log level: people and scripts wait for this line.
pub(crate) fn announce(bound: &[oneloop::Address]) {
    for address in bound {
        let message = format!("Waiting for connection... (listening on {address})");
        logging::note(&message);
    }
}

/// Logs advice: how to try the server, and warnings about the addresses.
pub(crate) fn advise(bound: &[oneloop::Address], connections_max: usize, proxies: &Proxies) {
    let bound: Vec<_> = bound
        .iter()
        .filter_map(oneloop::Address::socket_addr)
        .collect();
    for &address in &bound {
        if address.ip().is_unspecified() {
            warn!("{address} accepts connections from every network of this machine");
        }
        if let Some(ipv4) = missing_ipv4(address, &bound) {
            info!(
                "{address} accepts IPv6 alone, and a connection to {} is refused: add --listen {ipv4} for IPv4",
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
            );
        }
    }
    if let Some(&first) = bound.first() {
        let (host, port) = (to_try(first.ip()), first.port());
        let connections = crate::counted(connections_max, "connection");
        let how = match proxies.are_there() {
            true => "Clients connect through a proxy that sends PROXY headers".into(),
            false => format!("Try: nc {host} {port}"),
        };
        info!("Up to {connections}. {how}   (Ctrl-C stops the server)");
    }
}

/// Returns the IPv4 address that corresponds to an IPv6 one of this machine itself or of all
/// networks, unless one with its port is bound.
fn missing_ipv4(address: SocketAddr, bound: &[SocketAddr]) -> Option<SocketAddr> {
    let IpAddr::V6(ip) = address.ip() else {
        return None;
    };
    let ipv4 = match ip {
        Ipv6Addr::UNSPECIFIED => Ipv4Addr::UNSPECIFIED,
        Ipv6Addr::LOCALHOST => Ipv4Addr::LOCALHOST,
        _ => return None,
    };
    let has_one = bound
        .iter()
        .any(|other| other.is_ipv4() && other.port() == address.port());
    (!has_one).then_some(SocketAddr::new(ipv4.into(), address.port()))
}

/// Returns the address at which a client on this machine reaches a listener.
fn to_try(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// The beginning of a place that the service manager has bound.
const PASSED: &str = "fd://";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_an_address_or_a_name() {
        assert_eq!("fd://main".parse(), Ok(Place::Passed("main".into())));
        let address = "localhost:7000".parse().expect("an address");
        assert_eq!("localhost:7000".parse(), Ok(Place::Address(address)));
        assert!("fd://".parse::<Place>().is_err());
        assert_eq!(Place::Passed("main".into()).to_string(), "fd://main");
    }
}
