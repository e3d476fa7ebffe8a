//! Whole conversations on real sockets.
#![cfg(unix)]
mod common;
