//! Chapter 12: services on the library: `ch12 echo|chat [ADDRESS]`.

use std::io;

use oneloop::{Limits, Reactor, Service};
use oneloop_book::services::chat::Chat;
use oneloop_book::services::echo::Echo;

fn main() -> io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("echo") => serve(Echo::default()),
        Some("chat") => serve(Chat::default()),
        _ => Err(io::Error::other("usage: ch12 echo|chat [ADDRESS]")),
    }
}

// ANCHOR: serve
fn serve(service: impl Service) -> io::Result<()> {
    let address = std::env::args().nth(2);
    let address = address.as_deref().unwrap_or("127.0.0.1:6000");
    let address = address.parse().map_err(io::Error::other)?;
    let mut reactor = Reactor::new(service, Limits::default())?;
    println!("listening on {}", reactor.listen(address)?);
    reactor.run()?;
    Ok(())
}
// ANCHOR_END: serve
