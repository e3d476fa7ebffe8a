//! Shared by the benchmarks and the counting tests: a pool of clients of a greeting server, and the
//! servers compared with ours.

pub mod fleet;
pub mod peers;
