//! Version 1: a line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::cursor::{Cursor, Stop};
use super::header::{Header, Violation};
use crate::service::Announced;

/// Parses the line, such as `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n`.
pub(super) fn parse(input: &[u8]) -> Result<Header, Stop> {
    let mut line = Cursor::new(&input[..input.len().min(LINE_BYTES_MAX)]);
    let announced = match line_of(&mut line) {
        Err(Stop::More) if input.len() >= LINE_BYTES_MAX => Err(Violation::TooLong.into()),
        parsed => parsed,
    }?;
    let bytes = input.len().min(LINE_BYTES_MAX) - line.rest().len();
    Ok(Header { bytes, announced })
}

fn line_of(line: &mut Cursor<'_>) -> Result<Announced, Stop> {
    line.literal(b"PROXY ", Violation::Signature)?;
    if line.peek()? == b'U' {
        line.literal(b"UNKNOWN", Violation::Family)?;
        return unknown(line).map(|()| Announced::NoClient);
    }
    line.literal(b"TCP", Violation::Family)?;
    match line.byte()? {
        b'4' => addresses(line, Ipv4Addr::from_str, IPV4_ENDS),
        b'6' => addresses(line, Ipv6Addr::from_str, IPV6_ENDS),
        _ => Err(Violation::Family.into()),
    }
}

/// Skips the rest of a line without addresses: all bytes before the first CRLF.
fn unknown(line: &mut Cursor<'_>) -> Result<(), Stop> {
    if line.peek()? != b' ' {
        return line.literal(b"\r\n", Violation::Family);
    }
    let end = line.rest().windows(2).position(|pair| pair == b"\r\n");
    line.take(end.ok_or(Stop::More)? + 2).map(drop)
}

/// Reads the addresses and the ports, and returns the client's.
fn addresses<A: Into<IpAddr>, E>(
    line: &mut Cursor<'_>,
    parse: impl Fn(&str) -> Result<A, E>,
    ends: &[&str],
) -> Result<Announced, Stop> {
    let parse = |text: &str| parse(text).ok();
    line.literal(b" ", Violation::Family)?;
    let client = field(line, b' ', parse, ends, Violation::Address)?;
    field(line, b' ', parse, ends, Violation::Address)?;
    let client_port = field(line, b' ', port, PORT_ENDS, Violation::Port)?;
    field(line, b'\r', port, PORT_ENDS, Violation::Port)?;
    line.literal(b"\n", Violation::LineEnd)?;
    let client = SocketAddr::new(client.into(), client_port);
    Ok(Announced::Client(client.into()))
}

/// Reads a field and the byte that ends it.
///
/// Without that byte, what has arrived must be the beginning of a field: with one of `ends` it is
/// a whole one.
fn field<T>(
    line: &mut Cursor<'_>,
    end: u8,
    parse: impl Fn(&str) -> Option<T>,
    ends: &[&str],
    violation: Violation,
) -> Result<T, Stop> {
    let arrived = line.rest();
    let length = arrived.iter().position(|&byte| byte == end);
    let Ok(text) = str::from_utf8(&arrived[..length.unwrap_or(arrived.len())]) else {
        return Err(violation.into());
    };
    if length.is_some() {
        let value = parse(text).ok_or(violation)?;
        line.take(text.len() + 1)?;
        return Ok(value);
    }
    let begins = text.len() <= FIELD_BYTES_MAX
        && ends
            .iter()
            .any(|end| parse(&[text, end].concat()).is_some());
    Err(match begins {
        true => Stop::More,
        false => violation.into(),
    })
}

/// Parses a decimal number without leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    plain.then(|| text.parse().ok()).flatten()
}

/// The longest line, with its end.
const LINE_BYTES_MAX: usize = 107;

/// The longest field: an address of IPv6 whose last 32 bits are written as one of IPv4.
const FIELD_BYTES_MAX: usize = 45;

/// The ends that complete each beginning of an IPv4 address.
const IPV4_ENDS: &[&str] = &["", ".0", ".0.0", ".0.0.0", "0", "0.0", "0.0.0", "0.0.0.0"];

/// The ends that complete each beginning of an IPv6 address.
const IPV6_ENDS: &[&str] = &["", "::", ":", "0", ".0", ".0.0", ".0.0.0", "0.0", "0.0.0"];

/// The ends that complete each beginning of a port.
const PORT_ENDS: &[&str] = &["", "0"];
