//! Echoes its input: `cargo run --release -p oneloop --example echo -- 127.0.0.1:6000`, then
//! `nc 127.0.0.1 6000`.

use std::time::Duration;

use oneloop::{CloseReason, Context, Event, Limits, Next, Peer, Reactor, Service, ServiceContext};

struct Echo;

impl Service for Echo {
    type Session = (); // the state of one connection: an echo needs none

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        cx.write(cx.input());
        cx.consume(cx.input().len());
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
    let address = std::env::args().nth(1).ok_or("usage: echo ADDRESS:PORT")?;
    let mut reactor = Reactor::new(Echo, Limits::default())?;
    println!("listening on {}", reactor.listen(address.parse()?)?);
    reactor.stop_on_signals()?;
    reactor.run()?;
    Ok(())
}

#[cfg(test)]
mod tests;
