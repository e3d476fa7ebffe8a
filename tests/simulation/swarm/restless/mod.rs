//! A service that does everything the greeting service never does, among peers that check every
//! byte: it wakes sessions, connects, pauses, sets timers, requests deadlines in the past, writes
//! too much and panics.

pub mod ledger;
pub mod load;
pub mod model;
pub mod peer;
pub mod plan;
pub mod run;
pub mod service;
pub mod stream;
