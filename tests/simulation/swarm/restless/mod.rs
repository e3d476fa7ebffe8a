//! A service that wakes, connects, pauses, sets timers, asks for the past, writes too much and
//! panics, among peers that check every byte: what the greeting service never does.

pub mod ledger;
pub mod load;
pub mod model;
pub mod peer;
pub mod plan;
pub mod run;
pub mod service;
pub mod stream;
