//! The greeting server under simulation: what the tests, the programs `simulate` and `mutants`, and
//! the fuzz targets share.

pub mod fuzzing;
pub mod swarm;
