//! Speaks Redis' protocol: `cargo run --release -p oneloop --example resp -- 127.0.0.1:6379`, then
//! `redis-cli` or `redis-benchmark`. A second argument is the largest value in bytes.
//!
//! Read [`service`] first. A request goes from the input through [`request`] to [`data`], and back
//! as a [`reply`].

mod data;
mod reply;
mod request;
mod service;

use oneloop::{Limits, Reactor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: resp ADDRESS:PORT [VALUE_BYTES_MAX]";
    let address = arguments.next().ok_or(usage)?;
    let value_max = arguments
        .next()
        .map_or(Ok(512 << 20), |bytes| bytes.parse())?;
    let mut reactor = Reactor::new(service::Resp::new(value_max), limits(value_max))?;
    println!("listening on {}", reactor.listen(address.parse()?)?);
    let stopper = reactor.net().stopper();
    let mut signals = signal_hook::iterator::Signals::new([2, 15])?;
    std::thread::spawn(move || signals.forever().try_for_each(|_| stopper.stop()));
    reactor.run()?;
    Ok(())
}

/// A reply may be long: LRANGE returns many values.
fn limits(value_max: usize) -> Limits {
    Limits {
        output_bytes_max: 1 << 30,
        ..Limits::for_messages_up_to(value_max)
    }
}

#[cfg(test)]
mod tests;
