//! Addresses on the command line, for the server and for the load generator.

use std::net::{SocketAddr, ToSocketAddrs};

/// Takes `HOST:PORT`, with a name or an address for the host.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let advice = "expected an address and a port, like 127.0.0.1:6000 or [::1]:6000";
    let mut found = text
        .to_socket_addrs()
        .map_err(|error| format!("{error}; {advice}"))?;
    found
        .next()
        .ok_or_else(|| format!("the name has no address; {advice}"))
}
