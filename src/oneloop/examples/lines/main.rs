//! Echoes lines, whole: `cargo run --release -p oneloop --example lines -- 127.0.0.1:6000`.

use std::time::Duration;

use oneloop::framing::{Delimited, FramingError, Scanned};
use oneloop::{CloseReason, Context, Event, Limits, Next, Peer, Reactor, Service, ServiceContext};

/// A line has at most 4000 bytes, and fits the 8 KiB of unread input that the limits allow.
const LINES: Delimited = Delimited::lines(4000);

struct Lines {
    count: u64, // shared by all sessions: there is one thread, so it needs no lock
}

impl Lines {
    /// Answers each complete line. The beginning of another one stays in the input.
    fn answer(&mut self, scanned: &mut Scanned, cx: &mut Context<'_>) -> Result<(), FramingError> {
        while cx.has_room()
            && let Some(line) = LINES.first(cx.input(), scanned)?
        {
            cx.write_parts([line.body, b"\n"]);
            cx.consume(line.bytes);
            self.count += 1;
        }
        Ok(())
    }
}

impl Service for Lines {
    type Session = Scanned; // how far the unread input was searched for the end of a line

    fn open(&mut self, _: Peer, _: &mut ServiceContext) -> Scanned {
        Scanned::default()
    }

    fn step(&mut self, scanned: &mut Scanned, event: Event, cx: &mut Context<'_>) -> Next {
        if let Err(error) = self.answer(scanned, cx) {
            writeln!(cx, "error: {error}");
            return Next::Close(CloseReason::ProtocolError);
        }
        match event {
            Event::Eof => Next::Close(CloseReason::Eof),
            Event::Timeout => Next::Close(CloseReason::Timeout),
            Event::Drain => Next::Close(CloseReason::Shutdown),
            _ => Next::Read {
                until: cx.after(Duration::from_secs(60)),
            },
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: lines ADDRESS:PORT")?;
    let mut reactor = Reactor::new(Lines { count: 0 }, Limits::default())?;
    println!("listening on {}", reactor.listen(address.parse()?)?);
    reactor.stop_on_signals()?;
    reactor.run()?;
    println!("{} lines", reactor.service().count);
    Ok(())
}

#[cfg(test)]
mod tests;
