//! Addresses as people type them: one grammar for all three programs.
//!
//! ```text
//! HOST:PORT   HOST PORT   :PORT   PORT   HOST   [IPV6]:PORT   [IPV6]   IPV6   (nothing)
//! ```
//!
//! A missing host is 127.0.0.1, a missing port is 6000. A host is a name or an address; an IPv6
//! address may carry a zone, as in `fe80::1%eth0`.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// A host and a port, not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an address; an IPv6 address is without its brackets.
    host: String,
    port: u16,
}

impl Address {
    /// The address that greet-server listens on, and greet-client connects to, by default.
    pub const DEFAULT: &str = "127.0.0.1:6000";

    /// Returns the host: a name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns `true` if the host is a name, which can have several addresses.
    pub fn is_name(&self) -> bool {
        let (bare, _zone) = self.host.split_once('%').unwrap_or((&self.host, ""));
        bare.parse::<IpAddr>().is_err()
    }

    /// Returns every socket address of the host, each once, in the order of preference.
    ///
    /// Blocks for as long as the system's resolver takes; std has no time limit for it.
    ///
    /// # Errors
    /// If the name cannot be resolved, or has no address.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = Vec::new();
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the host has no address",
            ));
        }
        Ok(addresses)
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = split(text.trim())?;
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

/// Parses an address to connect to, which cannot have port 0.
///
/// # Errors
/// A sentence for the user.
pub fn to_connect_to(text: &str) -> Result<Address, &'static str> {
    match text.parse()? {
        Address { port: 0, .. } => Err(NO_PORT),
        address => Ok(address),
    }
}

/// Parses an address to connect to, and returns the first of its socket addresses.
///
/// # Errors
/// A sentence for the user.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let found = to_connect_to(text)?.resolve();
    found
        .map(|addresses| addresses[0])
        .map_err(|error| error.to_string())
}

/// Splits the text into the host as typed and the port, if there is one.
fn split(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some((host, port)) = text.split_once(char::is_whitespace) {
        let port = port.trim_start();
        return if port.contains(char::is_whitespace) {
            Err("expected a host and a port, as in localhost 6000")
        } else {
            Ok((host, Some(port)))
        };
    }
    // The colons of `::1` and `[::1]` introduce no port.
    if is_ipv6(text) || text.ends_with(']') {
        return Ok((text, None));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(("", Some(text)));
    }
    match text.rsplit_once(':') {
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => Err(NEEDS_BRACKETS),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

fn parse_port(digits: &str) -> Result<u16, &'static str> {
    // `parse` alone would take `+6000`.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NO_PORT);
    }
    digits.parse().map_err(|_| NO_PORT)
}

fn unbracket(host: &str) -> Result<&str, &'static str> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some("") => Err("there is no address between the brackets"),
        Some(bare) => Ok(bare),
        None if host.contains(['[', ']']) => Err(NEEDS_BRACKETS),
        None if host.contains(':') && !is_ipv6(host) => Err(NEEDS_BRACKETS),
        None => Ok(host),
    }
}

/// Returns `true` for an IPv6 address, with or without a zone.
fn is_ipv6(host: &str) -> bool {
    let (bare, zone) = host.split_once('%').unwrap_or((host, ""));
    matches!(bare.parse(), Ok(IpAddr::V6(_))) && !zone.contains(':')
}

const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_PORT: u16 = 6000;
const NO_PORT: &str = "the port must be a number from 1 to 65535";
const NEEDS_BRACKETS: &str = "an IPv6 address with a port needs brackets, as in [::1]:6000";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(text: &str) -> String {
        text.parse::<Address>()
            .expect("the address is good")
            .to_string()
    }

    #[track_caller]
    fn refusal(text: &str) -> &'static str {
        text.parse::<Address>().expect_err("the address is bad")
    }

    #[test]
    fn missing_parts_are_the_default() {
        for (text, address) in [
            ("127.0.0.1:7000", "127.0.0.1:7000"),
            ("example.org:7000", "example.org:7000"),
            ("example.org", "example.org:6000"),
            ("10.0.0.1", "10.0.0.1:6000"),
            (":7000", "127.0.0.1:7000"),
            ("7000", "127.0.0.1:7000"),
            ("24060", "127.0.0.1:24060"),
            ("", Address::DEFAULT),
            (" 7000 ", "127.0.0.1:7000"),
        ] {
            assert_eq!(parsed(text), address, "{text:?}");
        }
    }

    #[test]
    fn host_and_port_may_be_apart() {
        for (text, address) in [
            ("localhost 7000", "localhost:7000"),
            ("127.0.0.1  7000", "127.0.0.1:7000"),
            ("::1 7000", "[::1]:7000"),
            ("[::1] 7000", "[::1]:7000"),
            ("fe80::1%lo", "[fe80::1%lo]:6000"),
            ("fe80::1%lo 7000", "[fe80::1%lo]:7000"),
        ] {
            assert_eq!(parsed(text), address, "{text:?}");
        }
        assert!(refusal("localhost 7000 8000").contains("a host and a port"));
        assert!(refusal("localhost http").contains("1 to 65535"));
    }

    #[test]
    fn ipv6_before_a_port_needs_brackets() {
        assert_eq!(parsed("[::1]:7000"), "[::1]:7000");
        assert_eq!(parsed("[::1]"), "[::1]:6000");
        assert_eq!(parsed("::1"), "[::1]:6000");
        assert_eq!(parsed("[fe80::1%lo]:7000"), "[fe80::1%lo]:7000");
        for text in ["fe80::1%lo:7000", "[]:7000", "[::1:7000", "::1]:7000"] {
            assert!(refusal(text).contains("brackets"), "{text}");
        }
    }

    #[test]
    fn an_impossible_port_is_refused() {
        for text in ["host:", "host:65536", "host:http", ":-1", ":+1", "240600"] {
            assert!(refusal(text).contains("1 to 65535"), "{text}");
        }
    }

    #[test]
    fn port_0_is_for_listening_alone() {
        assert_eq!(parsed(":0"), "127.0.0.1:0");
        assert_eq!(to_connect_to("host:0"), Err(NO_PORT));
        assert!(to_connect_to("host:1").is_ok());
    }

    #[test]
    fn a_zone_is_resolved_as_part_of_the_address() {
        let address: Address = "[fe80::1%1]:7000".parse().expect("the address is good");
        assert!(!address.is_name());
        let SocketAddr::V6(found) = address.resolve().expect("no lookup is needed")[0] else {
            panic!("an IPv6 address");
        };
        assert_eq!((found.scope_id(), found.port()), (1, 7000));
    }

    #[test]
    fn a_name_is_told_from_an_address() {
        for (text, is_name) in [("localhost", true), ("127.0.0.1", false), ("::1", false)] {
            let address: Address = text.parse().expect("the address is good");
            assert_eq!(address.is_name(), is_name, "{text}");
        }
    }
}
