//! The greeting server under simulation, shared by the tests, the programs `simulate` and
//! `mutants`, and the fuzz targets.

pub mod fuzzing;
pub mod swarm;

/// Compiles and runs the snippets of `docs/services.md`.
#[cfg(doctest)]
#[doc = include_str!("../../docs/services.md")]
mod services_page {}
