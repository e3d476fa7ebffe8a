//! The nine bugs of chapters 3 to 11: each has a hostile client that shows it, and a mend.
//!
//! A hostile client is a function that returns `true` if it has seen the bug. It runs twenty times
//! against each version of a program: the bug must show in at least nineteen runs before the mend,
//! and in none after it.

#![cfg(target_os = "linux")]

mod ch03;
mod ch04;
mod ch05;
mod ch06;
mod ch07;
mod ch08;
mod ch09;
mod ch10;
mod ch11;

use oneloop_book::lab;

const RUNS: usize = 20;

/// Asserts that the bug shows in nearly all runs.
#[track_caller]
fn assert_shown(hostile_client: impl FnMut() -> bool) {
    let shown = lab::count(RUNS, hostile_client);
    assert!(shown >= 19, "the bug shows in {shown} of {RUNS} runs");
}

/// Asserts that the bug shows in no run.
#[track_caller]
fn assert_mended(hostile_client: impl FnMut() -> bool) {
    let shown = lab::count(RUNS, hostile_client);
    assert_eq!(shown, 0, "the bug still shows in {shown} of {RUNS} runs");
}
