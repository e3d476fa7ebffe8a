//! Swarm runs: the greeting server on a simulated network, a crowd of clients, and every
//! invariant checked all the time. One seed decides everything.

mod accounts;
pub mod cipher;
pub mod door;
pub mod oracle;
pub mod plan;
pub mod population;
pub mod relay;
pub mod replay;
pub mod restless;
pub mod run;
pub mod watch;
