//! The tools of the tests that run the server as a process: the process itself, raw clients, and a
//! scene with a bystander in which something hostile happens.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test program uses a part of this"
)]

pub(crate) mod client;
pub(crate) mod descriptors;
pub(crate) mod inside;
pub(crate) mod process;
pub(crate) mod scene;
pub(crate) mod server;

use std::thread;
use std::time::{Duration, Instant};

pub(crate) use client::Client;
pub(crate) use inside::Inside;
pub(crate) use oneloop_client::wire::{
    CONTROL_CHARACTER, FULL, GOOD_BYE, NOT_UTF8, QUESTION, TOO_MANY_MISTAKES, TOO_SLOW, WELCOME,
    hello, reply, too_long,
};
pub(crate) use process::Process;
pub(crate) use scene::Scene;
pub(crate) use server::{Report, Server};

/// Looks again and again until `look` finds something.
///
/// # Panics
/// If it has found nothing for [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    eventually_or_why(what, || look().ok_or_else(String::new))
}

/// Waits as [`eventually`] does, for a `look` that returns a description of the wrong state.
#[track_caller]
pub(crate) fn eventually_or_why<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        let instead = match look() {
            Ok(found) => return found,
            Err(instead) => instead,
        };
        assert!(
            began.elapsed() < PATIENCE,
            "in {PATIENCE:?}, never: {what}; {instead}"
        );
        thread::sleep(GLANCE);
    }
}

/// The time limit of every wait that is short on a quiet machine. Wide, because the machine may be
/// busy; a server that hangs is found all the same.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The most a bystander may wait for an answer: far more than it ever should, far less than
/// forever.
pub(crate) const ROUND_TRIP_MAX: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(2);
