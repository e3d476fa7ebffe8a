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
    reactor.stop_on_signals()?;
    reactor.run()?;
    Ok(())
}

/// A connection whose request is long may hold all of it; the others hold little.
fn limits(value_max: usize) -> Limits {
    Limits {
        input_bytes_hard_max: Some(value_max + (64 << 10)),
        output_bytes_max: 1 << 30,
        receive_buffer_bytes: 1 << 20,
        turn_bytes_max: 1 << 20,
        ..Limits::for_messages_up_to(64 << 10)
    }
}

#[cfg(test)]
mod tests;
