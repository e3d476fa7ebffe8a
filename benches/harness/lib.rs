//! What the benchmarks and the counting tests share: many clients of a greeting server, and the
//! servers that it is compared with.

pub mod fleet;
pub mod peers;
