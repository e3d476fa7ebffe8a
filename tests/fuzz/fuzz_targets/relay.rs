#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oneloop_swarm::fuzzing::relay(bytes));
