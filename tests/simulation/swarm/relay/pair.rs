//! The two sessions of a conversation, and the bytes between them.

use std::collections::VecDeque;

use oneloop::{Context, Event, SessionId, Shared, Time};

/// The sessions of a client and its server.
#[derive(Debug, Default)]
pub struct Pair {
    /// The serial numbers and ids of the sessions: the client's end is 0, the server's 1.
    pub ids: [Option<(u32, SessionId)>; 2],
    /// What each end has received, and the other is to send.
    pub pipes: [Pipe; 2],
    /// When the last byte moved.
    pub active: Time,
}

/// Bytes on their way from one end to the other.
#[derive(Debug, Default)]
pub struct Pipe {
    pieces: VecDeque<Shared>,
    bytes: usize,
    /// The peer has finished; some of its bytes may be unread.
    ending: bool,
    /// All of its bytes are in the pipe or through it.
    pub ended: bool,
    /// The end was passed on.
    pub finished: bool,
    /// The number of jobs that inspect the bytes. Meanwhile none is sent on.
    pub jobs: usize,
}

impl Pipe {
    pub fn is_full(&self, most: usize) -> bool {
        self.bytes >= most
    }

    /// Moves all input into the pipe, if it is not full. Returns true if there is more to send.
    pub fn fill(&mut self, event: Event, most: usize, cx: &mut Context<'_>) -> bool {
        let (input, before) = (cx.input(), (self.bytes, self.ended));
        if !input.is_empty() && !self.is_full(most) {
            self.bytes += input.len();
            self.pieces.push_back(Shared::from(input));
            cx.consume(input.len());
        }
        self.ending |= event == Event::Eof;
        self.ended = self.ending && cx.input().is_empty();
        before != (self.bytes, self.ended)
    }

    /// Sends from the pipe while there is room. Returns true if it was full and is no longer.
    pub fn drain(&mut self, most: usize, cx: &mut Context<'_>) -> bool {
        if self.jobs > 0 {
            return false;
        }
        let was_full = self.is_full(most);
        while cx.has_room()
            && let Some(piece) = self.pieces.pop_front()
        {
            self.bytes -= piece.len();
            match piece.len() % 2 {
                0 => cx.write_shared(piece),
                _ => cx.write(&piece),
            }
        }
        if self.ended && self.pieces.is_empty() && !self.finished {
            cx.finish();
            self.finished = true;
        }
        was_full && !self.is_full(most)
    }
}
