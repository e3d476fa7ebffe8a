//! oneloop: write a service as a state machine without I/O, get a single-threaded TCP server.

pub mod escape;
pub mod greeting;
pub mod net;
pub mod service;
