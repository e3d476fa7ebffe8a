//! The greeting server.

fn main() {}
