//! The tools of the tests that run the server as a process: the process itself, raw clients, and a
//! scene with a bystander in which something hostile happens.
//!
//! The protocol's words are spelled out here again, on purpose: a test that took them from the
//! library would not notice them change.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test program uses a part of this"
)]

pub(crate) mod client;
pub(crate) mod descriptors;
pub(crate) mod inside;
pub(crate) mod scene;
pub(crate) mod server;

use std::thread;
use std::time::{Duration, Instant};

pub(crate) use client::Client;
pub(crate) use inside::Inside;
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

pub(crate) const WELCOME: &str = "Welcome!\n";
pub(crate) const QUESTION: &str = "What's your name?";
pub(crate) const GOOD_BYE: &str = "Good bye!\n";
pub(crate) const TOO_SLOW: &str = "You took too long. Good bye!\n";
pub(crate) const TOO_LONG: &str = "Sorry, that name is longer than 1024 bytes. Good bye!\n";
pub(crate) const TOO_MANY_MISTAKES: &str = "Too many mistakes. Good bye!\n";
pub(crate) const NOT_UTF8: &str = "Sorry, that name is not valid UTF-8.\n";
pub(crate) const CONTROL_CHARACTER: &str = "Sorry, a name has no control characters.\n";
pub(crate) const FULL: &str = "Sorry, the server is full. Please try again later.\n";
