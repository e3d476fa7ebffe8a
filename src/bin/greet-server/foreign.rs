//! Other protocols, recognised by their first bytes.

use std::fmt;

/// A protocol of clients that connect to the wrong port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A web browser, or a load balancer's health check.
    Http,
    /// A TLS handshake.
    Tls,
    /// The header that a proxy sends before the connection's own bytes.
    Proxy,
}

impl Protocol {
    /// Returns the protocol that begins with these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        if is_http(bytes) {
            Some(Self::Http)
        } else if matches!(bytes, [0x16, 0x03, 0x00..=0x04, ..]) {
            Some(Self::Tls)
        } else if bytes.starts_with(PROXY_V2) || PROXY_V1.iter().any(|it| bytes.starts_with(it)) {
            Some(Self::Proxy)
        } else {
            None
        }
    }
}

/// Returns `true` for a request line, like `GET / HTTP/1.1`.
fn is_http(bytes: &[u8]) -> bool {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(bytes);
    let begins = METHODS
        .iter()
        .any(|method| line.starts_with(method) && line.get(method.len()) == Some(&b' '));
    begins && line.windows(VERSION.len()).any(|part| part == VERSION)
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Tls => "TLS",
            Self::Proxy => "the PROXY protocol",
        })
    }
}

/// `PRI` begins HTTP/2 without TLS.
const METHODS: [&[u8]; 10] = [
    b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE", b"PRI",
];
const VERSION: &[u8] = b" HTTP/";
const PROXY_V1: [&[u8]; 3] = [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN"];
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_known_by_their_first_bytes() {
        for (bytes, protocol) in [
            (
                &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
                Some(Protocol::Http),
            ),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(Protocol::Http)),
            (b"\x16\x03\x01\x00\x05\x01", Some(Protocol::Tls)),
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
                Some(Protocol::Proxy),
            ),
            (b"PROXY UNKNOWN\r\n", Some(Protocol::Proxy)),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", Some(Protocol::Proxy)),
            (b"GET well soon\n", None),
            (b"GETTY / HTTP/1.1\n", None),
            (b"Alice\nGET / HTTP/1.1\n", None),
            (b"PROXY", None),
            (b"", None),
        ] {
            assert_eq!(
                Protocol::of(bytes),
                protocol,
                "{:?}",
                bytes.escape_ascii().to_string()
            );
        }
    }
}
