//! A client of the greeting protocol that verifies every byte, as a state machine without I/O.
//!
//! The load generator, the benchmarks and the tests share it. [`wire`] has the protocol's strings a
//! second time, independent of the server's, so that a mistake in the server's strings is found.

mod client;
mod name;
pub mod wire;

pub use client::{Client, Message, Unexpected};
pub use name::Name;
