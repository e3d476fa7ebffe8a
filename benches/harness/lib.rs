//! Shared by the benchmarks and the counting tests: a pool of clients of a greeting server, the
//! servers compared with ours, and the measured figures.

pub mod figures;
pub mod fleet;
pub mod peers;
