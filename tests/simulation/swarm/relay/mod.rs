//! A relay: it forwards streams between clients and servers that it connects to, in both directions at
//! once, behind several listeners, in layers, with timers, jobs and calls of other threads. Both ends
//! of each stream check every byte.

pub mod admin;
pub mod calls;
pub mod doors;
pub mod inspections;
pub mod ledger;
pub mod model;
pub mod pair;
pub mod peer;
pub mod plan;
pub mod run;
pub mod service;
pub mod streams;
pub mod whole;
