//! Version 2: a binary head, addresses, and records that may follow.

use std::net::{IpAddr, SocketAddr};

use super::crc32c::crc32c;
use super::cursor::{Cursor, Stop};
use super::header::{Header, Violation};
use crate::service::{Announced, PeerAddress};

/// The kind of the addresses in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// None that count: the whole block after the head is skipped.
    Skipped,
    Inet,
    Inet6,
    Unix,
}

/// Parses a header of at most `bytes_max` bytes.
pub(super) fn parse(input: &[u8], bytes_max: usize) -> Result<Header, Stop> {
    let mut cursor = Cursor::new(input);
    cursor.literal(SIGNATURE, Violation::Signature)?;
    let family = family(&mut cursor)?;
    let length = length(&mut cursor, bytes_max - HEAD_BYTES, Violation::TooLong)?;
    let bytes = HEAD_BYTES + length;
    if family == Family::Skipped {
        cursor.take(length)?;
        let announced = Announced::NoClient;
        return Ok(Header { bytes, announced });
    }
    let records = length.checked_sub(family.address_bytes());
    let records = records.ok_or(Violation::Length)?;
    check_records(records)?;
    let addresses = cursor.take(family.address_bytes())?;
    if let Some(behind) = checksum(cursor, records)? {
        verify(&input[..bytes], bytes - behind)?;
    }
    let announced = Announced::Client(family.client(addresses));
    Ok(Header { bytes, announced })
}

/// Reads the version, the command, the family and the transport.
fn family(cursor: &mut Cursor<'_>) -> Result<Family, Stop> {
    let command = cursor.byte()?;
    if command >> 4 != 2 {
        return Err(Violation::Version.into());
    }
    let is_local = match command & 0xf {
        0 => true,
        1 => false,
        _ => return Err(Violation::Command.into()),
    };
    match cursor.byte()? {
        // The family of a connection without a client has no meaning.
        _ if is_local => Ok(Family::Skipped),
        0x11 => Ok(Family::Inet),
        0x21 => Ok(Family::Inet6),
        0x31 => Ok(Family::Unix),
        // Unspecified, and datagrams, which no stream carries.
        0x00 | 0x12 | 0x22 | 0x32 => Ok(Family::Skipped),
        _ => Err(Violation::Family.into()),
    }
}

/// Reads a length of two bytes. A first byte that is too large ends it.
fn length(cursor: &mut Cursor<'_>, most: usize, too_long: Violation) -> Result<usize, Stop> {
    let mut length = 0;
    for shift in [8, 0] {
        length |= usize::from(cursor.byte()?) << shift;
        if length > most {
            return Err(too_long.into());
        }
    }
    Ok(length)
}

/// Reads `left` bytes of records: a type, a length in two bytes, and a value each. Returns how many
/// bytes before the header's end the checksum begins, if there is one.
fn checksum(mut cursor: Cursor<'_>, mut left: usize) -> Result<Option<usize>, Stop> {
    let mut checksum = None;
    while left > 0 {
        let kind = cursor.byte()?;
        left -= RECORD_HEAD_BYTES;
        if kind == CHECKSUM {
            let behind = left.checked_sub(CHECKSUM_BYTES).ok_or(Violation::Record)?;
            check_records(behind)?;
            if checksum.replace(left).is_some() {
                return Err(Violation::Record.into());
            }
            cursor.literal(&(CHECKSUM_BYTES as u16).to_be_bytes(), Violation::Record)?;
            cursor.take(CHECKSUM_BYTES)?;
            left = behind;
        } else {
            let length = length(&mut cursor, left, Violation::Record)?;
            left -= length;
            check_records(left)?;
            cursor.take(length)?;
        }
    }
    Ok(checksum)
}

/// Checks that so many bytes can be records.
const fn check_records(bytes: usize) -> Result<(), Violation> {
    match bytes {
        1..RECORD_HEAD_BYTES => Err(Violation::Record),
        _ => Ok(()),
    }
}

/// Verifies the checksum at this place of a header. It covers all bytes, its own as zeros.
fn verify(header: &[u8], at: usize) -> Result<(), Violation> {
    let (before, behind) = header.split_at(at);
    let (checksum, behind) = behind.split_at(CHECKSUM_BYTES);
    let covered = before.iter().chain(&[0; CHECKSUM_BYTES]).chain(behind);
    match crc32c(covered).to_be_bytes() == *checksum {
        true => Ok(()),
        false => Err(Violation::Checksum),
    }
}

impl Family {
    /// Returns the length of both addresses and both ports.
    const fn address_bytes(self) -> usize {
        match self {
            Self::Skipped => 0,
            Self::Inet => 12,
            Self::Inet6 => 36,
            Self::Unix => 216,
        }
    }

    /// Returns the client's address. Both addresses come first, then both ports.
    fn client(self, addresses: &[u8]) -> PeerAddress {
        let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
        match (
            self,
            addresses.first_chunk::<4>(),
            addresses.first_chunk::<16>(),
        ) {
            (Self::Inet, Some(&ip), _) => SocketAddr::new(IpAddr::from(ip), port(8)).into(),
            (Self::Inet6, _, Some(&ip)) => SocketAddr::new(IpAddr::from(ip), port(32)).into(),
            _ => PeerAddress::Unix,
        }
    }
}

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, the command, the family and the length.
pub(super) const HEAD_BYTES: usize = 16;

/// The type and the length.
const RECORD_HEAD_BYTES: usize = 3;

/// `PP2_TYPE_CRC32C`.
const CHECKSUM: u8 = 0x03;
const CHECKSUM_BYTES: usize = 4;
