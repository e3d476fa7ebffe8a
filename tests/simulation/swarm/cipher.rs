//! A toy cipher as a transforming layer: it has all that a real one has, except secrecy.
//!
//! Each side sends its key, and then frames: a length of two bytes, so many enciphered bytes, and a
//! checksum. A frame of length 0 ends a stream.

use std::time::Duration;

use oneloop::layer::{Decoded, Handshake, Output, Transform};
use oneloop::{CloseReason, Context, Event, Peer, ServiceContext, Time};

/// The server's side of the cipher.
pub struct Cipher {
    pub frame_bytes_max: usize,
}

/// The server's state of one connection.
pub struct CipherState {
    until: Time,
    receiving: Stream,
    sending: Stream,
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    key: u32,
    at: u64,
}

/// The result of opening a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Incomplete,
    Whole { wire_bytes: usize },
    End { wire_bytes: usize },
    Wrong,
}

impl Stream {
    pub const fn new(key: u32) -> Self {
        Self { key, at: 0 }
    }

    pub const fn hello(&self) -> [u8; KEY_BYTES] {
        self.key.to_be_bytes()
    }

    /// Enciphers one frame.
    pub fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        wire.extend((plain.len() as u16).to_be_bytes());
        let start = wire.len();
        wire.extend_from_slice(plain);
        self.apply(&mut wire[start..]);
        wire.push(checksum(plain));
    }

    /// Deciphers the first frame of `wire`, if it is whole.
    pub fn open(&mut self, wire: &[u8], plain: &mut Vec<u8>) -> Frame {
        let Some((head, rest)) = wire.split_first_chunk::<2>() else {
            return Frame::Incomplete;
        };
        let bytes = u16::from_be_bytes(*head) as usize;
        if rest.len() <= bytes {
            return Frame::Incomplete;
        }
        let start = plain.len();
        plain.extend_from_slice(&rest[..bytes]);
        self.apply(&mut plain[start..]);
        let wire_bytes = bytes + OVERHEAD;
        match checksum(&plain[start..]) == rest[bytes] {
            false => Frame::Wrong,
            true if bytes == 0 => Frame::End { wire_bytes },
            true => Frame::Whole { wire_bytes },
        }
    }

    fn apply(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            let mixed = (u64::from(self.key) ^ self.at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            *byte ^= (mixed >> 56) as u8;
            self.at += 1;
        }
    }
}

fn checksum(plain: &[u8]) -> u8 {
    plain.iter().fold(7, |sum, byte| sum.rotate_left(1) ^ byte)
}

impl Transform for Cipher {
    type State = CipherState;

    fn open(&mut self, peer: &Peer, cx: &mut ServiceContext) -> CipherState {
        CipherState {
            until: cx.after(HANDSHAKE),
            receiving: Stream::new(0), // until its key has come
            sending: Stream::new(peer.id.number()),
        }
    }

    fn handshake(
        &mut self,
        state: &mut CipherState,
        event: Event,
        cx: &mut Context<'_>,
    ) -> Result<Handshake, CloseReason> {
        let Some(key) = cx.input().first_chunk::<KEY_BYTES>() else {
            Handshake::check(event)?;
            return Ok(Handshake::Read { until: state.until });
        };
        state.receiving = Stream::new(u32::from_be_bytes(*key));
        cx.consume(KEY_BYTES);
        cx.write(&state.sending.hello());
        Ok(Handshake::Done)
    }

    fn decode(
        &mut self,
        CipherState { receiving, .. }: &mut CipherState,
        cx: &mut Context<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<Decoded, CloseReason> {
        match receiving.open(cx.input(), plain) {
            Frame::Incomplete => Ok(Decoded::All),
            Frame::Wrong => Err(CloseReason::ProtocolError),
            Frame::Whole { wire_bytes } => {
                cx.consume(wire_bytes);
                Ok(Decoded::Some)
            }
            Frame::End { wire_bytes } => {
                cx.consume(wire_bytes);
                Ok(Decoded::End)
            }
        }
    }

    fn encode(&mut self, state: &mut CipherState, plain: &Output, cx: &mut Context<'_>) {
        let plain: Vec<u8> = plain.pieces().flatten().copied().collect();
        let mut wire = Vec::new();
        for plain in plain.chunks(self.frame_bytes_max) {
            state.sending.seal(plain, &mut wire);
        }
        cx.write(&wire);
    }

    fn fit(&self, room: usize) -> usize {
        let frame = self.frame_bytes_max + OVERHEAD;
        let part = (room % frame).saturating_sub(OVERHEAD);
        room / frame * self.frame_bytes_max + part
    }

    fn wire_ended(&mut self, _: &mut CipherState, _: &[u8]) -> Result<(), CloseReason> {
        Err(CloseReason::ProtocolError) // without a frame that ends the stream
    }

    fn finish(&mut self, state: &mut CipherState, cx: &mut Context<'_>) {
        let mut wire = Vec::new();
        state.sending.seal(&[], &mut wire);
        cx.write(&wire);
    }
}

/// The bytes of a frame beside its plaintext.
pub const OVERHEAD: usize = 3;
pub const KEY_BYTES: usize = 4;
pub const HANDSHAKE: Duration = Duration::from_secs(5);
