#![no_main]

#[path = "../../tests/fuzz/bodies.rs"]
mod bodies;
#[path = "../../tests/simulation/swarm/mod.rs"]
mod swarm;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::framing(bytes));
