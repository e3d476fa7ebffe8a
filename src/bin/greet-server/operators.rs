//! The listeners for operators, with places of their own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use greet_support::address::Address;
use oneloop::{Listen, Reactor, Service};

use crate::args::Args;
use crate::listeners::Place;
use crate::logging;
use crate::sockets::Sockets;

/// The names of the listeners for operators.
pub(crate) const NAMES: &[&str] = &[ADMIN, AGENT];

const ADMIN: &str = "admin";
const AGENT: &str = "agent";

/// An address for operators: a path, or a place like those of `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OperatorAddress {
    /// A Unix-domain socket. Only the server's own user can connect.
    Path(PathBuf),
    /// An address of TCP, or sockets that the service manager passes.
    Place(Place),
}

impl FromStr for OperatorAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text == "unix:" {
            return Err("expected a path after unix:");
        }
        match text.parse() {
            Ok(oneloop::Address::Unix(path)) if !text.starts_with("fd:") => Ok(Self::Path(path)),
            _ => text.parse().map(Self::Place),
        }
    }
}

/// A listener for operators: its name, its flag, its places, and what the log calls it.
struct Operators<'a> {
    address: &'a OperatorAddress,
    name: &'static str,
    places: usize,
    purpose: &'static str,
}

fn all(args: &Args) -> impl Iterator<Item = Operators<'_>> {
    let admin = args.admin.as_ref().map(|address| Operators {
        address,
        name: ADMIN,
        places: ADMIN_PLACES,
        purpose: "Health and metrics",
    });
    let agent = args.agent.as_ref().map(|address| Operators {
        address,
        name: AGENT,
        places: AGENT_PLACES,
        purpose: "Agent checks",
    });
    admin.into_iter().chain(agent)
}

/// Returns the places that the listeners for operators need beside those of the others.
pub(crate) fn places(args: &Args) -> usize {
    all(args).map(|operators| operators.places).sum()
}

/// Opens the listeners for operators, and logs their addresses.
///
/// They drain last, so that they answer until the other connections have ended.
///
/// # Errors
/// A sentence for the operator.
pub(crate) fn listen(
    reactor: &mut Reactor<impl Service>,
    args: &Args,
    sockets: &mut Sockets,
) -> Result<(), String> {
    all(args).try_for_each(|operators| operators.listen(reactor, sockets))
}

impl Operators<'_> {
    fn listen(
        &self,
        reactor: &mut Reactor<impl Service>,
        sockets: &mut Sockets,
    ) -> Result<(), String> {
        match self.address {
            OperatorAddress::Place(Place::Passed(name)) => sockets
                .add_passed(reactor, name, |listen| self.configure(listen))
                .map_err(|problem| format!("Cannot listen on fd://{name}: {problem}"))?,
            OperatorAddress::Place(Place::Address(address)) => {
                self.add(Listen::tcp(first(address)?), reactor, sockets)?;
            }
            OperatorAddress::Path(path) => {
                self.add(Listen::unix(path).mode(0o600), reactor, sockets)?;
            }
        }
        let all = reactor.listeners();
        for (_, address) in all.filter(|(id, _)| id.name() == self.name) {
            let message = format!("{} for operators on {address}", self.purpose);
            logging::note(&message);
        }
        Ok(())
    }

    fn add(
        &self,
        listen: Listen,
        reactor: &mut Reactor<impl Service>,
        sockets: &mut Sockets,
    ) -> Result<(), String> {
        let added = sockets.add(reactor, self.configure(listen));
        added.map(drop).map_err(|error| {
            let name = self.name;
            format!("Cannot start: {error}; choose another address with --{name}")
        })
    }

    fn configure(&self, listen: Listen) -> Listen {
        listen
            .name(self.name)
            .connections_max(self.places)
            .reserve(self.places)
            .drain_last()
    }
}

/// Returns the first address of a host.
fn first(address: &Address) -> Result<SocketAddr, String> {
    let found = address.resolve();
    let found = found.map_err(|error| format!("Cannot listen on {address}: {error}"))?;
    Ok(found[0])
}

/// Connections to the admin listener: a monitoring system keeps one, an operator has a few.
const ADMIN_PLACES: usize = 8;

/// Connections to the agent listener: each proxy has one for a moment.
const AGENT_PLACES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_with_a_slash_is_a_path() {
        let path = |text: &str| Ok(OperatorAddress::Path(text.into()));
        assert_eq!("/run/a.sock".parse(), path("/run/a.sock"));
        assert_eq!("./a".parse(), path("./a"));
        assert_eq!("unix:a".parse(), path("a"));
        for text in ["localhost:9100", "fd://admin", "9100"] {
            let place = text.parse().expect("a place");
            assert_eq!(text.parse(), Ok(OperatorAddress::Place(place)));
        }
    }
}
