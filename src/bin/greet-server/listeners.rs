//! Listening: every address is bound before the server reports that it waits for connections.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use log::kv::Value;
use log::{Level, info, warn};
use oneloop::{BuildError, Listen, Reactor, Service};

use crate::logging;
use crate::occupant::{Occupant, conflict};
use greet_support::address::Address;

/// Listens on every address of `addresses`, and returns those that are bound.
///
/// A name stands for all its addresses; those that this machine does not have are skipped if there
/// is another.
///
/// # Errors
/// A sentence for the operator.
pub(crate) fn bind_all(
    reactor: &mut Reactor<impl Service>,
    addresses: &[Address],
) -> Result<Vec<SocketAddr>, String> {
    let mut bound = Vec::new();
    for address in addresses {
        bind_each(reactor, address, &mut bound)?;
    }
    Ok(bound)
}

fn bind_each(
    reactor: &mut Reactor<impl Service>,
    address: &Address,
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
        match bind(reactor, one, bound) {
            Ok(()) => {}
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
    address: SocketAddr,
    bound: &mut Vec<SocketAddr>,
) -> io::Result<()> {
    let id = reactor.add_listener(Listen::tcp(address).name(MAIN));
    let id = id.map_err(|error| match error {
        BuildError::Listen { error, .. } => error,
        error => error.into(),
    })?;
    let listener = reactor.listeners().find(|(other, _)| *other == id);
    bound.push(
        listener
            .and_then(|(_, at)| at.socket_addr())
            .unwrap_or(address),
    );
    Ok(())
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
pub(crate) fn announce(bound: &[SocketAddr]) {
    for address in bound {
        let message = format!("Waiting for connection... (listening on {address})");
        let none: [(&str, Value<'_>); 0] = [];
        logging::always(Level::Info, &message, &none);
    }
}

/// Logs advice: a command to try, and warnings about the addresses.
pub(crate) fn advise(bound: &[SocketAddr], connections_max: usize) {
    for &address in bound {
        if address.ip().is_unspecified() {
            warn!("{address} accepts connections from every network of this machine");
        }
        if let Some(ipv4) = missing_ipv4(address, bound) {
            info!(
                "{address} accepts IPv6 alone, and a connection to {} is refused: add --listen {ipv4} for IPv4",
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
            );
        }
    }
    if let Some(&first) = bound.first() {
        let (host, port) = (to_try(first.ip()), first.port());
        let connections = crate::counted(connections_max, "connection");
        info!("Up to {connections}. Try: nc {host} {port}   (Ctrl-C stops the server)");
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
