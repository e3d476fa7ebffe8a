//! Swarm runs: the greeting server on a simulated network, a crowd of clients, and every
//! invariant checked all the time. One seed decides everything.

#![allow(
    dead_code,
    reason = "shared by tests, an example and the fuzz targets; none uses all"
)]

pub(crate) mod door;
pub(crate) mod oracle;
pub(crate) mod plan;
pub(crate) mod population;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod watch;
