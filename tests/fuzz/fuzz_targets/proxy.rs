//! Headers of the PROXY protocol, against two independent parsers.
//!
//! `ppp` is strict with addresses. It ends an UNKNOWN line at the first CR, and does not look into
//! the records of version 2. It accepts a plus sign before a port, and a space in place of the CR at
//! the end of a line, which the specification does not.
//! `proxy-header` accepts more, such as ports with leading zeros, so only what we accept is
//! compared: it must see the same client.

#![no_main]

use std::net::{IpAddr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use oneloop::proxy::{Header, Versions, Violation};
use oneloop::{Announced, PeerAddress};
use proxy_header::{ParseConfig, ProxyHeader};

fuzz_target!(|bytes: &[u8]| {
    // A version and the shape of a header, so that most inputs come far.
    let Some((&shape, rest)) = bytes.split_first() else {
        return;
    };
    let input = match shape % 4 {
        0 => rest.to_vec(),
        1 => [b"PROXY TCP4 ", rest].concat(),
        2 => [b"PROXY TCP6 ", rest].concat(),
        _ => [SIGNATURE, rest].concat(),
    };
    let parsed = Header::parse(&input, Versions::Any, Header::BYTES_MAX);
    check_cuts(&input, parsed);
    match input.first() {
        Some(b'P') => check_line(&input, parsed),
        Some(b'\r') => check_binary(&input, parsed),
        _ => assert!(!matches!(parsed, Ok(Some(_)))),
    }
    if let Ok(Some(header)) = parsed
        && let Announced::Client(PeerAddress::Ip(client)) = header.announced
    {
        let whole = &input[..header.bytes];
        let (other, bytes) = ProxyHeader::parse(whole, ParseConfig::default()).expect("a header");
        assert_eq!(bytes, header.bytes);
        assert_eq!(other.proxied_address().map(|it| it.source), Some(client));
    }
});

/// The result of the whole is that of the shortest part that has one.
fn check_cuts(input: &[u8], parsed: Result<Option<Header>, Violation>) {
    let parts = (0..=input.len()).map(|cut| &input[..cut]);
    let mut results = parts.map(|part| Header::parse(part, Versions::Any, Header::BYTES_MAX));
    let first = results.find(|result| *result != Ok(None));
    assert_eq!(first.unwrap_or(Ok(None)), parsed);
}

fn check_line(input: &[u8], parsed: Result<Option<Header>, Violation>) {
    use ppp::v1::Addresses;
    let client = |ip: IpAddr, port| Announced::Client(SocketAddr::new(ip, port).into());
    let theirs = ppp::v1::Header::try_from(input);
    let strict = |header: &ppp::v1::Header<'_>| {
        header.header.ends_with("\r\n") && !header.header.contains('+')
    };
    if theirs.as_ref().is_ok_and(|header| !strict(header))
        && parsed.map(|header| header.map(|it| it.announced)) != Ok(Some(Announced::NoClient))
    {
        return assert!(!matches!(parsed, Ok(Some(_))));
    }
    let theirs = theirs.map(|header| match header.addresses {
        Addresses::Tcp4(it) => client(it.source_address.into(), it.source_port),
        Addresses::Tcp6(it) => client(it.source_address.into(), it.source_port),
        Addresses::Unknown => Announced::NoClient,
    });
    match (parsed, theirs) {
        (Ok(Some(ours)), _) if ours.announced == Announced::NoClient => {}
        (Ok(Some(ours)), Ok(theirs)) => assert_eq!(ours.announced, theirs),
        (Ok(Some(_)), Err(error)) => panic!("accepted, but {error}"),
        (_, Ok(Announced::Client(_))) => panic!("not accepted: {parsed:?}"),
        (_, Ok(Announced::NoClient) | Err(_)) => {}
    }
}

fn check_binary(input: &[u8], parsed: Result<Option<Header>, Violation>) {
    use ppp::v2::{Addresses, Command};
    let theirs = ppp::v2::Header::try_from(input);
    match (parsed, theirs) {
        (Ok(Some(ours)), Ok(theirs)) => {
            assert_eq!(ours.bytes, theirs.len());
            let source = match (theirs.command, theirs.addresses) {
                (Command::Proxy, Addresses::IPv4(it)) => {
                    SocketAddr::new(it.source_address.into(), it.source_port)
                }
                (Command::Proxy, Addresses::IPv6(it)) => {
                    SocketAddr::new(it.source_address.into(), it.source_port)
                }
                _ => return,
            };
            if ours.announced != Announced::NoClient {
                assert_eq!(ours.announced, Announced::Client(source.into()));
            }
        }
        // We skip the block of a connection without a client whatever its family is.
        (Ok(Some(ours)), Err(_)) => assert_eq!(ours.announced, Announced::NoClient),
        (Ok(None), Ok(_)) => panic!("not whole"),
        (
            Err(Violation::TooLong | Violation::Record | Violation::Checksum | Violation::Family),
            Ok(_),
        ) => {}
        (Err(violation), Ok(_)) => panic!("not accepted: {violation}"),
        (Ok(None) | Err(_), Err(_)) => {}
    }
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
