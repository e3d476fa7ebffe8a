//! The greeting client.

fn main() {}
