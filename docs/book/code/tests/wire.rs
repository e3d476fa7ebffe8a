//! Chapter 1: the captures of the repository, and fresh ones, have the numbers that it explains.

#![cfg(target_os = "linux")]

use std::process::Command;

use oneloop_book::lab::is_installed;
use oneloop_book::pages::{LANGUAGES, book, pages, repository_capture};
use oneloop_book::pcap::{Flags, Segment, decode};
use oneloop_book::sniff::{SCENES, capture, obstacle};

/// Asserts what the chapter explains about the handshake, and returns its numbers.
fn handshake(segments: &[Segment]) -> [u32; 2] {
    let [syn, syn_ack, ack] = &segments[..3] else {
        panic!("fewer than three segments");
    };
    assert_eq!(syn.flags, Flags(0b0000_0010));
    assert_eq!(syn_ack.flags, Flags(0b0001_0010));
    assert_eq!(ack.flags, Flags(0b0001_0000));
    let (x, y) = (syn.seq, syn_ack.seq);
    assert_eq!(syn.ack, 0);
    assert_eq!(syn_ack.ack, x.wrapping_add(1));
    assert_eq!(ack.seq, x.wrapping_add(1));
    assert_eq!(ack.ack, y.wrapping_add(1));
    assert_eq!((syn.from, syn.to), (syn_ack.to, syn_ack.from));
    assert!(segments[..3].iter().all(|segment| segment.data.is_empty()));
    [x, y]
}

/// Asserts that each segment continues the numbers of its side, and that all is acknowledged.
fn numbers_are_consecutive(segments: &[Segment]) {
    let ports = [segments[0].from, segments[0].to];
    for port in ports {
        let mut next = None;
        for segment in segments.iter().filter(|segment| segment.from == port) {
            assert!(next.is_none_or(|next| next == segment.seq), "{segment:?}");
            next = Some(segment.seq.wrapping_add(segment.length()));
        }
        let acknowledged = segments.iter().rfind(|segment| segment.to == port);
        assert_eq!(acknowledged.map(|segment| segment.ack), next);
    }
}

#[test]
fn handshake_in_the_repository_has_the_numbers_of_the_page() {
    let segments = repository_capture("conversation").unwrap();
    let [x, y] = handshake(&segments);
    numbers_are_consecutive(&segments);
    for language in LANGUAGES {
        let pages = pages(language);
        let page = pages.iter().find(|page| page.name() == "01-on-the-wire.md");
        let text = &page.unwrap().text;
        let printed = [
            format!("SYN      seq={x:<10} ack=0"),
            format!("SYN+ACK  seq={y:<10} ack={}", x + 1),
            format!("ACK      seq={:<10} ack={}", x + 1, y + 1),
        ];
        for line in printed {
            assert!(text.contains(&line), "{language}: {line}");
        }
    }
}

#[test]
fn server_finishes_first_in_the_repository() {
    let segments = repository_capture("conversation").unwrap();
    let server = segments[0].to;
    let ends = segments.iter().filter(|s| s.flags.has(Flags::FIN));
    let senders: Vec<u16> = ends.map(|segment| segment.from).collect();
    assert_eq!(senders, [server, segments[0].from]);
    numbers_are_consecutive(&repository_capture("half-close").unwrap());
}

#[test]
fn fresh_captures_have_the_shape_of_the_repository() {
    if let Some(obstacle) = obstacle() {
        println!("skipped: {obstacle}");
        return;
    }
    for scene in SCENES {
        let old = repository_capture(scene.name).unwrap();
        let new = decode(&capture(scene)).unwrap();
        if scene.name != "refused" {
            handshake(&new);
        }
        assert_eq!(essence(&new), essence(&old), "{}", scene.name);
    }
}

/// Returns what each side sends: its data joined, and its SYN, FIN and RST. An acknowledgement may
/// travel alone or with data, which differs from run to run.
fn essence(segments: &[Segment]) -> [(String, Vec<u8>, u32); 2] {
    [segments[0].from, segments[0].to].map(|port| {
        let own = || segments.iter().filter(|segment| segment.from == port);
        let data: Vec<u8> = own().flat_map(|segment| segment.data.clone()).collect();
        let marks = Flags::SYN | Flags::FIN | Flags::RST;
        let flags = own().map(|segment| segment.flags.0 & marks);
        let flags = flags.filter(|flags| *flags != 0).collect();
        let length = own().map(Segment::length).sum();
        (data.escape_ascii().to_string(), flags, length)
    })
}

#[test]
fn decoder_agrees_with_tcpdump() {
    if !is_installed("tcpdump") {
        println!("skipped: tcpdump is not installed");
        return;
    }
    for scene in SCENES {
        let output = Command::new("tcpdump")
            .args(["-n", "-S", "-r"])
            .arg(book().join(format!("captures/{}.pcap", scene.name)))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let segments = repository_capture(scene.name).unwrap();
        assert_eq!(text.lines().count(), segments.len());
        for (line, segment) in text.lines().zip(&segments) {
            let ports = format!(".{} > 127.0.0.1.{}: ", segment.from, segment.to);
            assert!(line.contains(&ports), "{line}");
            assert!(
                line.contains(&format!("length {}", segment.data.len())),
                "{line}"
            );
            if segment.length() > 0 {
                assert!(line.contains(&format!("seq {}", segment.seq)), "{line}");
            }
            if segment.flags.has(Flags::ACK) {
                assert!(line.contains(&format!("ack {}", segment.ack)), "{line}");
            }
        }
    }
}

#[test]
fn damaged_capture_is_an_error() {
    assert!(decode(b"").is_err());
    assert!(decode(&[0; 24]).is_err());
    let path = book().join("captures/conversation.pcap");
    let bytes = std::fs::read(path).unwrap();
    assert!(decode(&bytes[..bytes.len() - 1]).is_err());
    for end in 0..bytes.len() {
        let _ = decode(&bytes[..end]); // an error or fewer segments, but no panic
    }
}
