//! Bytes that depend on their conversation and position, so that a lost, repeated or foreign byte
//! shows.

/// One direction of one conversation, read or written up to a position.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    conversation: u32,
    key: u64,
    pub position: u64,
}

/// The direction of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the end that connected.
    Up,
    /// To the end that connected.
    Down,
}

impl Stream {
    pub fn new(conversation: u32, way: Way) -> Self {
        let key = u64::from(conversation) << 1 | u64::from(way == Way::Up);
        Self {
            conversation,
            key: (key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            position: 0,
        }
    }

    /// Returns the number of the conversation.
    pub fn conversation(&self) -> u32 {
        self.conversation
    }

    /// Returns the next bytes and advances past them.
    pub fn take(&mut self, bytes: usize) -> Vec<u8> {
        let from = self.position;
        self.position += bytes as u64;
        (from..self.position)
            .map(|place| self.byte(place))
            .collect()
    }

    /// Returns true if `bytes` continue the stream from its position.
    pub fn is_next(&self, bytes: &[u8]) -> bool {
        let places = self.position..;
        bytes
            .iter()
            .zip(places)
            .all(|(&byte, place)| byte == self.byte(place))
    }

    fn byte(&self, place: u64) -> u8 {
        let word = (self.key ^ place).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (word >> 40) as u8
    }
}
