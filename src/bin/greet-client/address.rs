//! Where the server is: a host and a port, as a user types them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// A host and a port. What the user leaves out is that of [`Address::DEFAULT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// A name or a number; an IPv6 address is without its brackets.
    host: String,
    port: u16,
}

impl Address {
    /// Where `greet-server` listens unless it is told otherwise.
    pub(crate) const DEFAULT: &str = "127.0.0.1:6000";

    /// Every socket address of the host, in the order in which they are to be tried.
    ///
    /// This takes as long as the system's resolver takes: std knows no time limit for it.
    pub(crate) fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }
}

impl FromStr for Address {
    type Err = &'static str;

    /// Reads `host:port`, `[::1]:6000`, `host`, `::1` and `:port`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = split(text);
        let port = match port {
            None => DEFAULT_PORT,
            Some(digits) => parse_port(digits)?,
        };
        let host = match host {
            "" => DEFAULT_HOST,
            host => unbracket(host)?,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The host as typed and the port, if there is one.
fn split(text: &str) -> (&str, Option<&str>) {
    // The colons of `::1` and `[::1]` introduce no port.
    if text.parse::<IpAddr>().is_ok() || text.ends_with(']') {
        return (text, None);
    }
    match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

fn parse_port(digits: &str) -> Result<u16, &'static str> {
    match digits.parse() {
        Ok(0) | Err(_) => Err("the port must be a number from 1 to 65535"),
        Ok(port) => Ok(port),
    }
}

fn unbracket(host: &str) -> Result<&str, &'static str> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some("") => Err("there is no address between the brackets"),
        Some(bare) => Ok(bare),
        None if host.contains(':') && host.parse::<IpAddr>().is_err() => {
            Err("an IPv6 address with a port needs brackets, as in [::1]:6000")
        }
        None => Ok(host),
    }
}

const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_PORT: u16 = 6000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(text: &str) -> String {
        text.parse::<Address>()
            .expect("the address is good")
            .to_string()
    }

    #[track_caller]
    fn refusal(text: &str) -> &'static str {
        text.parse::<Address>().expect_err("the address is bad")
    }

    #[test]
    fn what_is_left_out_of_an_address_is_the_default() {
        assert_eq!(read("127.0.0.1:7000"), "127.0.0.1:7000");
        assert_eq!(read("example.org:7000"), "example.org:7000");
        assert_eq!(read("example.org"), "example.org:6000");
        assert_eq!(read("10.0.0.1"), "10.0.0.1:6000");
        assert_eq!(read(":7000"), "127.0.0.1:7000");
        assert_eq!(read(""), Address::DEFAULT);
    }

    #[test]
    fn an_ipv6_address_may_stand_in_brackets_and_must_before_a_port() {
        assert_eq!(read("[::1]:7000"), "[::1]:7000");
        assert_eq!(read("[::1]"), "[::1]:6000");
        assert_eq!(read("::1"), "[::1]:6000");
        assert_eq!(read("[fe80::1%lo]:7000"), "[fe80::1%lo]:7000");
        assert!(refusal("fe80::1%lo:7000").contains("brackets"));
        assert!(refusal("[]:7000").contains("brackets"));
    }

    #[test]
    fn a_port_that_cannot_be_connected_to_is_refused() {
        for text in ["host:", "host:0", "host:65536", "host:http", ":-1"] {
            assert!(refusal(text).contains("1 to 65535"), "{text}");
        }
    }
}
