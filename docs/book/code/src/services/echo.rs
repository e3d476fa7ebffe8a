//! A service that returns each line.

use std::time::Duration;

use oneloop::{CloseReason, Context, Event, Next, Peer, Service, ServiceContext};

/// How long the service waits for a line.
pub const PATIENCE: Duration = Duration::from_secs(60);

// ANCHOR: echo
/// Returns each line to the connection it came from, and counts lines.
#[derive(Debug, Default)]
pub struct Echo {
    /// The lines of all sessions. There is one thread, so a plain number will do.
    pub lines: u64,
}

impl Service for Echo {
    type Session = (); // an echo remembers nothing of one connection

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        while cx.has_room() {
            let Some(end) = cx.input().iter().position(|&byte| byte == b'\n') else {
                break;
            };
            cx.write(&cx.input()[..=end]);
            cx.consume(end + 1);
            self.lines += 1;
        }
        match event {
            Event::Eof if cx.has_room() => Next::Close(CloseReason::Eof),
            Event::Timeout => Next::Close(CloseReason::Timeout),
            Event::Drain => Next::Close(CloseReason::Shutdown),
            _ => Next::Read {
                until: cx.after(PATIENCE),
            },
        }
    }
}
// ANCHOR_END: echo
