//! Hostile and awkward peers, one test for each: on real sockets, against the real program, with a
//! background client that must not notice and a server that must be as it was afterwards.
//!
//! The cases are numbered in six groups: A framing, B bytes and text, C the life of a TCP
//! connection, D volume and exhaustion, E state and reactor, F operator and tools. Numbers that are
//! missing are about features that this server does not have (the PROXY protocol, hot restarts, an
//! administration port), or about the client and the load generator, which have tests of their
//! own.

#![cfg(target_os = "linux")]

mod common;

mod hostile {
    mod contract;
    mod faults;
    mod framing;
    mod log;
    mod operator;
    mod reactor;
    mod startup;
    mod tcp;
    mod text;
    mod volume;
}
