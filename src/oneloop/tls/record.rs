//! The records of TLS, as far as the order of handshakes and the room of an output need them.

/// Returns the first bytes of `input` that one step of a handshake takes: a record, and records of
/// the type change_cipher_spec before it, which mean nothing. `None` if more must arrive first.
///
/// An invalid header is returned with all that follows it, to be refused.
pub(super) fn first_message(input: &[u8]) -> Option<usize> {
    let mut start = 0;
    loop {
        let rest = &input[start..];
        let (kind, bytes) = match header(rest)? {
            Header::Valid { kind, bytes } => (kind, bytes),
            Header::Invalid => return Some(input.len()),
        };
        if rest.len() < bytes {
            return None;
        }
        start += bytes;
        if kind != CHANGE_CIPHER_SPEC {
            return Some(start);
        }
    }
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header {
    Valid {
        kind: u8,
        /// The length of the record, with its header.
        bytes: usize,
    },
    Invalid,
}

/// Returns the header at the beginning of `input`, as soon as it is known.
fn header(input: &[u8]) -> Option<Header> {
    let &kind = input.first()?;
    let valid = (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind)
        && input.get(1).is_none_or(|&major| major == 3);
    if !valid {
        return Some(Header::Invalid);
    }
    let &[_, _, _, high, low] = input.first_chunk::<HEADER_BYTES>()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    match length {
        1..=PAYLOAD_BYTES_MAX => Some(Header::Valid {
            kind,
            bytes: HEADER_BYTES + length,
        }),
        _ => Some(Header::Invalid),
    }
}

/// Returns how many bytes of plaintext fit into `room` bytes of records.
pub(super) const fn plain_in(room: usize) -> usize {
    let whole = room / (PLAIN_BYTES_MAX + OVERHEAD);
    let part = (room % (PLAIN_BYTES_MAX + OVERHEAD)).saturating_sub(OVERHEAD);
    whole * PLAIN_BYTES_MAX + part
}

/// The most bytes of a ClientHello. Those of today's browsers have some 2 KiB.
pub(super) const HELLO_BYTES_MAX: usize = 16 * 1024;

/// The alert internal_error as a record, for a connection without a handshake.
pub(super) const INTERNAL_ERROR: &[u8] = &[21, 3, 3, 0, 2, 2, 80];

const CHANGE_CIPHER_SPEC: u8 = 20;
const APPLICATION_DATA: u8 = 23;
const HEADER_BYTES: usize = 5;
/// The most bytes of a record's plaintext.
const PLAIN_BYTES_MAX: usize = 16 * 1024;
/// The most bytes of a record behind its header: those of TLS 1.2 may expand by so much.
const PAYLOAD_BYTES_MAX: usize = PLAIN_BYTES_MAX + 2048;
/// The most bytes that a record of ours has beside its plaintext: header, nonce, tag. TLS 1.2 with
/// AES-GCM has 29, TLS 1.3 has 22.
const OVERHEAD: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, length: usize) -> Vec<u8> {
        let [high, low] = (length as u16).to_be_bytes();
        [&[kind, 3, 1, high, low][..], &vec![7; length]].concat()
    }

    #[test]
    fn message_is_taken_once_it_is_whole() {
        let hello = record(22, 300);
        for bytes in 0..305 {
            assert_eq!(first_message(&hello[..bytes]), None, "{bytes}");
        }
        let two = [hello, record(22, 5)].concat();
        assert_eq!(first_message(&two), Some(305));
        assert_eq!(first_message(&two[305..]), Some(10));
    }

    #[test]
    fn change_cipher_spec_is_taken_with_the_message_behind_it() {
        let change = record(20, 1);
        assert_eq!(first_message(&change), None);
        let both = [change.clone(), change, record(23, 40), record(23, 1)].concat();
        assert_eq!(first_message(&both), Some(2 * 6 + 45));
    }

    #[test]
    fn first_wrong_byte_is_taken_at_once() {
        assert_eq!(first_message(b"G"), Some(1));
        assert_eq!(first_message(b"\x16\x02"), Some(2));
        assert_eq!(first_message(b"\x16\x03\x01\x00\x00"), Some(5));
        assert_eq!(first_message(b"\x16\x03\x01\xff\xff.."), Some(7));
        assert_eq!(first_message(b"\x16\x03"), None);
    }

    #[test]
    fn plaintext_fits_with_its_overhead() {
        assert_eq!(plain_in(0), 0);
        assert_eq!(plain_in(32), 0);
        assert_eq!(plain_in(33), 1);
        assert_eq!(plain_in(16_416), 16_384);
        assert_eq!(plain_in(16_417), 16_384);
        assert_eq!(plain_in(16_449), 16_385);
        assert_eq!(plain_in(3 * 16_416), 3 * 16_384);
        for room in 0..100_000 {
            let plain = plain_in(room);
            let records = plain.div_ceil(16_384);
            assert!(plain + records * 32 <= room, "{room}");
        }
    }
}
