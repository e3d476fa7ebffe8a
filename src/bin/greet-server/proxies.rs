//! The proxies in front of the server: two arguments, required together.

use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use oneloop::proxy::{Network, ProxyProtocol, Versions};

/// The arguments about proxies.
#[derive(Clone, Debug, Args)]
pub(crate) struct Proxies {
    /// Expect the PROXY protocol's header before each conversation, and take the client's address
    /// from it: v1, v2 or any. A connection without it is closed. Needs --proxy-from.
    #[arg(long, value_name = "VERSION", env = "GREET_PROXY_PROTOCOL")]
    proxy_protocol: Option<Versions>,

    /// Networks of the proxies that may send the header, like 10.0.0.0/8, or unix. May be given
    /// several times, or several with commas. Connections from elsewhere are closed.
    #[arg(
        long,
        value_name = "CIDR",
        env = "GREET_PROXY_FROM",
        value_delimiter = ','
    )]
    proxy_from: Vec<Network>,
}

impl Proxies {
    /// Checks that both arguments are there, or none.
    pub(crate) fn check<C: CommandFactory>(&self) -> Result<(), clap::Error> {
        let missing = match (self.proxy_protocol, &self.proxy_from[..]) {
            (Some(_), []) => {
                "--proxy-protocol needs --proxy-from, the networks of the proxies, like \
                 10.0.0.0/8: any other client could announce any address"
            }
            (None, [_, ..]) => "--proxy-from needs --proxy-protocol: v1, v2 or any",
            _ => return Ok(()),
        };
        Err(C::command().error(ErrorKind::MissingRequiredArgument, missing))
    }

    /// Returns true if there are proxies.
    pub(crate) const fn are_there(&self) -> bool {
        self.proxy_protocol.is_some()
    }

    /// Returns the protocol that the proxies use, if there are any.
    pub(crate) fn protocol(&self) -> Option<ProxyProtocol> {
        let versions = self.proxy_protocol?;
        Some(ProxyProtocol::new(
            versions,
            self.proxy_from.iter().copied(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        proxies: Proxies,
    }

    fn proxies(arguments: &[&str]) -> Result<Proxies, clap::Error> {
        let all = ["server"].iter().chain(arguments);
        let proxies = Program::try_parse_from(all)?.proxies;
        proxies.check::<Program>().map(|()| proxies)
    }

    #[test]
    fn networks_are_taken_one_by_one_and_with_commas() {
        let proxies = proxies(&[
            "--proxy-protocol=any",
            "--proxy-from=10.0.0.0/8,::1",
            "--proxy-from=unix",
        ]);
        let proxies = proxies.expect("the command line is good");
        let networks: Vec<_> = proxies.proxy_from.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["10.0.0.0/8", "::1/128", "unix"]);
        assert!(proxies.protocol().is_some());
    }

    #[test]
    fn one_argument_without_the_other_is_named() {
        for (arguments, missing) in [
            (["--proxy-protocol=v2"], "needs --proxy-from"),
            (["--proxy-from=::1"], "needs --proxy-protocol"),
            (["--proxy-protocol=v3"], "expected v1, v2 or any"),
            (["--proxy-from=10.0.0.1/8"], "the network is 10.0.0.0/8"),
        ] {
            let error = proxies(&arguments).expect_err("the command line is bad");
            assert!(error.to_string().contains(missing), "{error}");
        }
        assert!(proxies(&[]).expect("no proxies").protocol().is_none());
    }
}
