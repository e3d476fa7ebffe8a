//! Tests of the parser and of networks. The layer is tested in the simulation.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::crc32c::crc32c;
use super::*;
use crate::service::{Announced, PeerAddress};

fn parse(input: &[u8]) -> Result<Option<Header>, Violation> {
    Header::parse(input, Versions::Any, Header::BYTES_MAX)
}

fn client(address: &str) -> Announced {
    let address: SocketAddr = address.parse().expect("an address");
    Announced::Client(address.into())
}

/// Returns a header of version 2.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut header = v2::SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend((block.len() as u16).to_be_bytes());
    header.extend(block);
    header
}

fn record(kind: u8, value: &[u8]) -> Vec<u8> {
    let [high, low] = (value.len() as u16).to_be_bytes();
    [&[kind, high, low], value].concat()
}

/// Returns a header of version 2 with a right checksum behind the block.
fn checked(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut header = v2(command, family, &[block, &record(3, &[0; 4])].concat());
    let at = header.len() - 4;
    let checksum = crc32c(&header).to_be_bytes();
    header[at..].copy_from_slice(&checksum);
    header
}

const INET: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

fn inet6() -> Vec<u8> {
    let mut block = vec![0; 36];
    block[..2].copy_from_slice(&[0x20, 0x01]);
    block[15] = 7;
    block[32..34].copy_from_slice(&[0x17, 0x70]);
    block
}

/// Returns headers of every kind, with the clients that they announce.
fn headers() -> Vec<(Vec<u8>, Announced)> {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
    assert_eq!(long.len(), 107);
    let inet = client("192.0.2.1:56324");
    let records = [record(4, &[]), record(0x28, &[9; 200])].concat();
    let none = Announced::NoClient;
    [
        ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", inet),
        (
            "PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n",
            client("0.0.0.0:0"),
        ),
        (
            "PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
            client("[2001:db8::1]:1"),
        ),
        (
            "PROXY TCP6 ::ffff:192.0.2.1 1:2:3:4:5:6:7:8 1 2\r\n",
            client("[::ffff:192.0.2.1]:1"),
        ),
        (
            "PROXY TCP6 2001:DB8:0000::a 1:2:3:4:5:6:7:: 80 80\r\n",
            client("[2001:db8::a]:80"),
        ),
        ("PROXY UNKNOWN\r\n", none),
        ("PROXY UNKNOWN ffff::1 \r ::1 \n 1 2\r\n", none),
        (&long, none),
    ]
    .map(|(line, announced)| (line.as_bytes().to_vec(), announced))
    .into_iter()
    .chain([
        (v2(0x21, 0x11, &INET), inet),
        (v2(0x21, 0x11, &[&INET[..], &records].concat()), inet),
        (checked(0x21, 0x11, &INET), inet),
        (checked(0x21, 0x11, &[&INET[..], &records].concat()), inet),
        (v2(0x21, 0x21, &inet6()), client("[2001::7]:6000")),
        (
            v2(0x21, 0x31, &[0; 216]),
            Announced::Client(PeerAddress::Unix),
        ),
        (v2(0x20, 0x00, &[]), none),
        (v2(0x20, 0x11, &[1]), none),
        (v2(0x20, 0xff, &[1; 300]), none),
        (v2(0x21, 0x00, &[1; 2]), none),
        (v2(0x21, 0x12, &[]), none),
        (
            v2(0x21, 0x11, &[&INET[..], &record(4, &[0; 505])].concat()),
            inet,
        ),
    ])
    .collect()
}

#[test]
fn header_of_every_kind_is_parsed_once_it_is_whole() {
    for (header, announced) in headers() {
        let shown = header.escape_ascii().to_string();
        for cut in 0..header.len() {
            assert_eq!(parse(&header[..cut]), Ok(None), "{shown} cut at {cut}");
        }
        let bytes = header.len();
        for behind in [&b""[..], b"hello", b"\r\n", &header] {
            let whole = [&header, behind].concat();
            assert_eq!(
                parse(&whole),
                Ok(Some(Header { bytes, announced })),
                "{shown}"
            );
        }
    }
}

#[test]
fn wrong_header_is_a_violation_at_its_first_wrong_byte() {
    use Violation::*;
    let address = &b"PROXY TCP4 "[..];
    let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 93]].concat();
    let inet = |records: &[u8]| v2(0x21, 0x11, &[&INET[..], records].concat());
    let mut unchecked = checked(0x21, 0x11, &INET);
    unchecked[16] ^= 1;
    for (input, violation) in [
        (b"Q".to_vec(), Signature),
        (b"PAUL\n"[..2].to_vec(), Signature),
        (b"PROXY\t".to_vec(), Signature),
        (b"\r\nb".to_vec(), Signature),
        (b"PROXY X".to_vec(), Family),
        (b"PROXY UDP".to_vec()[..8].to_vec(), Family),
        (b"PROXY TCP5".to_vec(), Family),
        (b"PROXY TCP44".to_vec(), Family),
        (b"PROXY UNKNOWNG".to_vec(), Family),
        (b"PROXY UNKNOWN\rx".to_vec(), Family),
        ([address, b" "].concat(), Address),
        ([address, b"1.2.3 "].concat(), Address),
        ([address, b"1.2.3.4."].concat(), Address),
        ([address, b"256"].concat(), Address),
        ([address, b"01"].concat(), Address),
        ([address, b"::"].concat()[..12].to_vec(), Address),
        ([address, b"\xff"].concat(), Address),
        ([address, b"1.2.3.4\r"].concat(), Address),
        (b"PROXY TCP6 12345".to_vec(), Address),
        (b"PROXY TCP6 1::2::".to_vec(), Address),
        (b"PROXY TCP6 1:2:3:4:5:6:7:8:".to_vec(), Address),
        (b"PROXY TCP6 ::ffff:256.".to_vec(), Address),
        (b"PROXY TCP6 [".to_vec(), Address),
        (b"PROXY TCP6 fe80::1%".to_vec(), Address),
        (
            [address, b"1.2.3.4 1.2.3.4  "].concat()[..28].to_vec(),
            Port,
        ),
        ([address, b"1.2.3.4 1.2.3.4 +"].concat(), Port),
        ([address, b"1.2.3.4 1.2.3.4 00"].concat(), Port),
        ([address, b"1.2.3.4 1.2.3.4 01"].concat(), Port),
        ([address, b"1.2.3.4 1.2.3.4 65536"].concat(), Port),
        ([address, b"1.2.3.4 1.2.3.4 655350"].concat(), Port),
        ([address, b"1.2.3.4 1.2.3.4 1 1 "].concat(), Port),
        ([address, b"1.2.3.4 1.2.3.4 1 1\n"].concat(), Port),
        ([address, b"1.2.3.4 1.2.3.4 1 1\r\r"].concat(), LineEnd),
        (long, TooLong),
        (v2(0x11, 0x11, &INET)[..13].to_vec(), Version),
        (v2(0x22, 0x11, &INET)[..13].to_vec(), Command),
        (v2(0x21, 0x10, &INET)[..14].to_vec(), Family),
        (v2(0x21, 0x01, &INET)[..14].to_vec(), Family),
        (v2(0x21, 0x41, &INET)[..14].to_vec(), Family),
        (v2(0x21, 0x13, &INET)[..14].to_vec(), Family),
        (v2(0x21, 0x11, &INET[1..])[..16].to_vec(), Length),
        (v2(0x21, 0x21, &INET)[..16].to_vec(), Length),
        (v2(0x21, 0x31, &[0; 215])[..16].to_vec(), Length),
        (v2(0x21, 0x11, &[0; 521])[..16].to_vec(), TooLong),
        (v2(0x20, 0x00, &[0; 768])[..15].to_vec(), TooLong),
        (inet(&[4])[..16].to_vec(), Record),
        (inet(&[4, 0])[..16].to_vec(), Record),
        (inet(&[4, 1])[..16].to_vec(), Record),
        (inet(&[4, 1, 0, 9])[..30].to_vec(), Record),
        (inet(&[4, 0, 2, 9])[..31].to_vec(), Record),
        (inet(&[4, 0, 0, 9])[..31].to_vec(), Record),
        (inet(&record(3, &[0; 3]))[..29].to_vec(), Record),
        (inet(&record(3, &[0; 5]))[..29].to_vec(), Record),
        (inet(&record(3, &[0; 7]))[..31].to_vec(), Record),
        (inet(&record(3, &[0; 300]))[..30].to_vec(), Record),
        (
            inet(&[record(3, &[0; 4]), record(3, &[0; 4])].concat())[..36].to_vec(),
            Record,
        ),
        (unchecked, Checksum),
    ] {
        let shown = input.escape_ascii().to_string();
        assert_eq!(parse(&input), Err(violation), "{shown}");
        let behind = [&input, &b" 1.2.3.4 1 2\r\n\r\n"[..]].concat();
        assert_eq!(parse(&behind), Err(violation), "{shown}, and more");
        if violation != Checksum {
            let before = &input[..input.len() - 1];
            assert_eq!(parse(before), Ok(None), "{shown}, without its last byte");
        }
        assert!(!violation.to_string().is_empty());
    }
}

#[test]
fn version_that_is_not_accepted_is_wrong_at_its_first_byte() {
    let (line, binary) = (b"PROXY UNKNOWN\r\n", v2(0x20, 0, &[]));
    let parse = |input: &[u8], versions| Header::parse(input, versions, Header::BYTES_MAX);
    for cut in 1..line.len() {
        assert_eq!(parse(&line[..cut], Versions::V2), Err(Violation::Signature));
        assert_eq!(parse(&line[..cut], Versions::V1), Ok(None));
    }
    for cut in 1..binary.len() {
        assert_eq!(
            parse(&binary[..cut], Versions::V1),
            Err(Violation::Signature)
        );
        assert_eq!(parse(&binary[..cut], Versions::V2), Ok(None));
    }
    assert!(matches!(parse(line, Versions::V1), Ok(Some(_))));
    assert!(matches!(parse(&binary, Versions::V2), Ok(Some(_))));
    assert_eq!("v1".parse(), Ok(Versions::V1));
    assert_eq!("v2".parse(), Ok(Versions::V2));
    assert_eq!("any".parse(), Ok(Versions::Any));
    assert!("V1".parse::<Versions>().is_err());
}

#[test]
fn longest_header_is_the_configured_one_and_never_below_the_longest_addresses() {
    let of = |block: usize| v2(0x20, 0, &vec![0; block]);
    for (most, allowed) in [
        (0, 232),
        (232, 232),
        (536, 536),
        (4096, 4096),
        (65_551, 65_551),
    ] {
        let parse = |header: &[u8]| Header::parse(header, Versions::V2, most);
        assert_eq!(
            parse(&of(allowed - 16)).map(|header| header.map(|it| it.bytes)),
            Ok(Some(allowed))
        );
        if allowed < 65_551 {
            assert_eq!(parse(&of(allowed - 15)[..16]), Err(Violation::TooLong));
        }
    }
}

#[test]
fn network_holds_its_addresses_alone() {
    for (network, inside, outside) in [
        ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("192.0.2.7", "::ffff:192.0.2.7", "192.0.2.6"),
        ("0.0.0.0/0", "255.0.0.1", "::1"),
        ("::/0", "ffff::", "0.0.0.1"),
        ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
        ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("::1", "::1", "::2"),
        ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
    ] {
        let parsed: Network = network.parse().expect(network);
        assert!(
            parsed.contains(inside.parse().expect("an address")),
            "{network}"
        );
        assert!(
            !parsed.contains(outside.parse().expect("an address")),
            "{network}"
        );
        assert!(!parsed.contains_peer(PeerAddress::Unix), "{network}");
        assert_eq!(parsed.to_string().parse(), Ok(parsed), "{network}");
    }
    let unix: Network = "unix".parse().expect("a network");
    assert!(unix.contains_peer(PeerAddress::Unix));
    assert!(!unix.contains([127, 0, 0, 1].into()));
}

#[test]
fn text_that_is_no_network_is_explained() {
    for (text, part) in [
        ("", "192.0.2.0/24"),
        ("localhost", "192.0.2.0/24"),
        ("192.0.2", "192.0.2.0/24"),
        ("192.0.2.0/33", "0 to 32"),
        ("192.0.2.0/", "0 to 32"),
        ("192.0.2.0/+8", "0 to 32"),
        ("::/129", "0 to 128"),
        ("192.0.2.1/24", "the network is 192.0.2.0/24"),
        ("::1/64", "the network is ::/64"),
    ] {
        let error = text.parse::<Network>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

/// Headers with a few bytes changed, and what follows them.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let all = headers().into_iter().map(|(header, _)| header);
    let all: Vec<_> = all.collect();
    let byte = prop_oneof![prop::sample::select(ALPHABET.to_vec()), any::<u8>()];
    let edit = (any::<prop::sample::Index>(), 0..4_u8, byte);
    let edits = prop::collection::vec(edit, 0..4);
    (prop::sample::select(all), edits).prop_map(|(mut bytes, edits)| {
        for (place, kind, byte) in edits {
            // Most of a header is before its records.
            let place = place.index(bytes.len().clamp(1, 60));
            match kind {
                0 => bytes.insert(place.min(bytes.len()), byte),
                1 if place < bytes.len() => drop(bytes.remove(place)),
                _ if place < bytes.len() => bytes[place] = byte,
                _ => {}
            }
        }
        bytes
    })
}

const ALPHABET: &[u8] = b"PROXY UNKNOWN TCP46 0123456789abcdef.:+-\r\n\0\x03\x04\x11\x20\x21\x31";

proptest! {
    #[test]
    fn result_does_not_depend_on_how_the_input_is_cut(input in mutated()) {
        let result = parse(&input);
        let mut first = Ok(None);
        for cut in 0..=input.len() {
            match first {
                Ok(None) => first = parse(&input[..cut]),
                _ => prop_assert_eq!(parse(&input[..cut]), first),
            }
        }
        prop_assert_eq!(result, first);
    }

    /// Each input that is incomplete can be continued, so that the first byte that cannot is wrong.
    #[test]
    fn violation_comes_with_the_first_wrong_byte(input in mutated()) {
        for cut in 0..=input.len().min(104) {
            if parse(&input[..cut]) != Ok(None) {
                break;
            }
            let mut longer = input[..cut].to_vec();
            longer.push(0);
            let bytes = ALPHABET.iter().copied().chain(0..=255);
            let goes_on = bytes.into_iter().any(|byte| {
                longer[cut] = byte;
                matches!(parse(&longer), Ok(_) | Err(Violation::Checksum))
            });
            prop_assert!(goes_on, "a dead end: {}", input[..cut].escape_ascii());
        }
    }

    /// A line over IPv4 has one way of writing.
    #[test]
    fn accepted_line_of_ipv4_is_the_one_way_of_writing_it(input in mutated()) {
        if let Ok(Some(header)) = parse(&input)
            && let Some(line) = input[..header.bytes].strip_prefix(b"PROXY TCP4 ")
        {
            let fields = str::from_utf8(line).expect("ASCII").trim_ascii_end();
            let fields: Vec<_> = fields.split(' ').collect();
            let address = |at: usize| fields[at].parse::<std::net::Ipv4Addr>().expect("an address");
            let port = |at: usize| fields[at].parse::<u16>().expect("a port");
            let (from, to) = (address(0), address(1));
            let written = format!("{from} {to} {} {}\r\n", port(2), port(3));
            prop_assert_eq!(line, written.as_bytes());
            let from = SocketAddr::new(from.into(), port(2));
            prop_assert_eq!(header.announced, Announced::Client(from.into()));
        }
    }
}
