//! The greeting server under simulation, shared by the tests, the programs `simulate` and
//! `mutants`, and the fuzz targets.

pub mod fuzzing;
pub mod swarm;
