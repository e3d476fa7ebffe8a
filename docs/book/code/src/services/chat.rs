//! A service in which each line goes to every other session.

use std::collections::HashMap;
use std::time::Duration;

use oneloop::{
    CloseReason, Context, EndReason, Event, Next, Peer, Service, ServiceContext, SessionId,
};

/// The most that waits for one member. A line that does not fit is left out for this member.
pub const WAITING_MAX: usize = 64 * 1024;

// ANCHOR: chat
/// Passes each line on to all other members.
#[derive(Debug, Default)]
pub struct Chat {
    /// What waits for each member.
    waiting: HashMap<SessionId, Vec<u8>>,
}

impl Service for Chat {
    type Session = ();

    fn open(&mut self, peer: Peer, _: &mut ServiceContext) {
        self.waiting.insert(peer.id, Vec::new());
    }

    fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        while let Some(end) = cx.input().iter().position(|&byte| byte == b'\n') {
            self.pass_on(&cx.input()[..=end], cx);
            cx.consume(end + 1);
        }
        if let Some(waiting) = self.waiting.get_mut(&cx.id()) {
            cx.write(waiting);
            waiting.clear();
        }
        match event {
            Event::Eof => Next::Close(CloseReason::Eof),
            Event::Timeout => Next::Close(CloseReason::Timeout),
            Event::Drain => Next::Close(CloseReason::Shutdown),
            _ => Next::Read {
                until: cx.after(Duration::from_secs(600)),
            },
        }
    }

    fn closed(&mut self, _: (), peer: Peer, _: EndReason, _: &mut ServiceContext) {
        self.waiting.remove(&peer.id);
    }
}

impl Chat {
    fn pass_on(&mut self, line: &[u8], cx: &mut Context<'_>) {
        let own = cx.id();
        let others = self.waiting.iter_mut().filter(|(id, _)| **id != own);
        for (id, waiting) in others {
            if waiting.len() + line.len() <= WAITING_MAX {
                waiting.extend_from_slice(line);
                cx.wake(*id);
            }
        }
    }
}
// ANCHOR_END: chat
