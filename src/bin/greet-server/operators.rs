//! The listeners for operators, with places of their own.

use std::path::PathBuf;
use std::str::FromStr;

use greet_support::address::Address;
use log::Level;
use log::kv::Value;
use oneloop::{Listen, Reactor, Service};

use crate::args::Args;
use crate::logging;
use crate::sockets::Sockets;

/// The names of the listeners for operators.
pub(crate) const NAMES: &[&str] = &[ADMIN, AGENT];

const ADMIN: &str = "admin";
const AGENT: &str = "agent";

/// An address for operators: a path, or an address like those of `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OperatorAddress {
    /// A Unix-domain socket. Only the server's own user can connect.
    Path(PathBuf),
    /// A socket of TCP.
    Host(Address),
}

impl FromStr for OperatorAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.parse() {
            Ok(oneloop::Address::Unix(path)) if path.as_os_str().is_empty() => {
                Err("expected a path after unix:")
            }
            Ok(oneloop::Address::Unix(path)) => Ok(Self::Path(path)),
            _ => text.parse().map(Self::Host),
        }
    }
}

impl OperatorAddress {
    fn listen(&self) -> Result<Listen, String> {
        match self {
            Self::Path(path) => Ok(Listen::unix(path).mode(0o600)),
            Self::Host(address) => match address.resolve().as_deref() {
                Ok([first, ..]) => Ok(Listen::tcp(*first)),
                Ok([]) => Err(format!("Cannot listen on {address}: it has no address")),
                Err(error) => Err(format!("Cannot listen on {address}: {error}")),
            },
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
        let Self { name, places, .. } = *self;
        let listen = self
            .address
            .listen()?
            .name(name)
            .connections_max(places)
            .reserve(places)
            .drain_last();
        let id = sockets.add(reactor, listen).map_err(|error| {
            format!("Cannot start: {error}; choose another address with --{name}")
        })?;
        let bound = reactor.listeners().find(|(other, _)| *other == id);
        if let Some((_, address)) = bound {
            let none: [(&str, Value<'_>); 0] = [];
            let message = format!("{} for operators on {address}", self.purpose);
            logging::always(Level::Info, &message, &none);
        }
        Ok(())
    }
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
        assert!("unix:".parse::<OperatorAddress>().is_err());
        let host = "localhost:9100".parse().expect("an address");
        assert_eq!("localhost:9100".parse(), Ok(OperatorAddress::Host(host)));
    }
}
