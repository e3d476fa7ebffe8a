//! Decodes captures of TCP over IPv4, as `tcpdump -w` writes them on the loopback interface.

use std::fmt;
use std::ops::Range;

/// One captured TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Microseconds since the first segment of the capture.
    pub micros: u64,
    /// The port of the sender.
    pub from: u16,
    /// The port of the receiver.
    pub to: u16,
    /// The sequence number: bits 32 to 63 of the header.
    pub seq: u32,
    /// The acknowledgement number: bits 64 to 95.
    pub ack: u32,
    /// The flags: bits 104 to 111.
    pub flags: Flags,
    /// The bytes that the segment carries.
    pub data: Vec<u8>,
}

/// The flags of a segment, one bit each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The sender has finished sending.
    pub const FIN: u8 = 0b0000_0001;
    /// The sender begins, and the sequence number is its first.
    pub const SYN: u8 = 0b0000_0010;
    /// The sender ends the connection at once.
    pub const RST: u8 = 0b0000_0100;
    /// The receiver is to pass the data on without waiting for more.
    pub const PSH: u8 = 0b0000_1000;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0b0001_0000;

    /// Returns `true` if `flag` is set.
    pub fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

impl fmt::Display for Flags {
    /// Writes the names of the flags, joined by `+`. PSH is left out: it ends nearly every write.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::SYN, "SYN"),
            (Self::FIN, "FIN"),
            (Self::RST, "RST"),
            (Self::ACK, "ACK"),
        ];
        let set = names.iter().filter(|(flag, _)| self.has(*flag));
        let set: Vec<_> = set.map(|(_, name)| *name).collect();
        f.write_str(&set.join("+"))
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// ANCHOR: decode
/// Decodes the segments of a capture. Packets which are not TCP over IPv4 are passed over.
///
/// # Errors
///
/// Returns what is wrong if the bytes are not a capture in microseconds, or end within a packet.
pub fn decode(capture: &[u8]) -> Result<Vec<Segment>, &'static str> {
    const MAGIC: u32 = 0xa1b2_c3d4;
    if capture.len() < 24 || little(capture, 0..4) != MAGIC {
        return Err("not a capture with little-endian numbers and microseconds");
    }
    let mut segments = Vec::new();
    let mut rest = &capture[24..];
    let mut start = None;
    while !rest.is_empty() {
        let header = rest.get(..16).ok_or("the header of a packet is cut off")?;
        let micros = u64::from(little(header, 0..4)) * 1_000_000 + u64::from(little(header, 4..8));
        let end = 16 + little(header, 8..12) as usize;
        let packet = rest.get(16..end).ok_or("a packet is cut off")?;
        rest = &rest[end..];
        let start = *start.get_or_insert(micros);
        segments.extend(segment(packet, micros - start));
    }
    Ok(segments)
}

/// Decodes the packet: 14 bytes of Ethernet, the IPv4 header, the TCP header, the data.
fn segment(packet: &[u8], micros: u64) -> Option<Segment> {
    let ip = packet.get(14..).filter(|ip| ip.len() >= 20)?;
    let is_tcp_over_ipv4 = packet[12..14] == [0x08, 0x00] && ip[0] >> 4 == 4 && ip[9] == 6;
    if !is_tcp_over_ipv4 {
        return None;
    }
    let ip_header_bytes = usize::from(ip[0] & 0x0f) * 4;
    let ip_bytes = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let tcp = ip.get(ip_header_bytes..ip_bytes)?;
    let tcp_header_bytes = usize::from(tcp.get(12)? >> 4) * 4;
    Some(Segment {
        micros,
        from: u16::from_be_bytes(tcp[0..2].try_into().ok()?),
        to: u16::from_be_bytes(tcp[2..4].try_into().ok()?),
        seq: u32::from_be_bytes(tcp[4..8].try_into().ok()?), // bits 32 to 63
        ack: u32::from_be_bytes(tcp[8..12].try_into().ok()?), // bits 64 to 95
        flags: Flags(tcp[13]),                               // bits 104 to 111
        data: tcp.get(tcp_header_bytes..)?.to_vec(),
    })
}
// ANCHOR_END: decode

fn little(bytes: &[u8], range: Range<usize>) -> u32 {
    u32::from_le_bytes(bytes[range].try_into().expect("four bytes"))
}

impl Segment {
    /// Returns the data as text, with control characters escaped.
    pub fn text(&self) -> String {
        self.data.escape_ascii().to_string().replace("\\'", "'")
    }

    /// Returns how far the sequence number moves by this segment: the bytes of data, and one for
    /// a SYN and for a FIN.
    pub fn length(&self) -> u32 {
        let flags = [Flags::SYN, Flags::FIN];
        let phantom = flags.iter().filter(|flag| self.flags.has(**flag)).count();
        (self.data.len() + phantom) as u32
    }

    /// Returns the segment without what differs from one capture to the next: the sender, the
    /// flags and the data.
    pub fn shape(&self, server: u16) -> String {
        let arrow = if self.from == server { "<-" } else { "->" };
        format!("{arrow} {} {}", self.flags, self.text())
            .trim_end()
            .to_owned()
    }
}

/// Formats segments as the book prints them: the direction as seen from the client, the flags,
/// the absolute numbers, the data.
pub fn listing(segments: &[Segment]) -> String {
    let client = segments.first().map_or(0, |segment| segment.from);
    let mut text = String::new();
    for (number, segment) in segments.iter().enumerate() {
        let arrow = match segment.from == client {
            true => "client -> server",
            false => "server -> client",
        };
        let mut line = format!(
            "{:>2} {arrow}  {:<8} seq={:<10} ack={:<10} {}",
            number + 1,
            segment.flags.to_string(),
            segment.seq,
            segment.ack,
            segment.text()
        );
        line.truncate(line.trim_end().len());
        text.push_str(&line);
        text.push('\n');
    }
    text
}
