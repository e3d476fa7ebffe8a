//! A load generator: many conversations with a greeting server, every byte checked, every time
//! taken from where it must be.
//!
//! [`run`] makes one run of a [`Plan`] and returns the [`Outcome`]. The generator is a
//! [`Service`](crate::service::Service) on the same loop that serves: its connections are outbound.

mod clock;
mod errors;
mod generator;
mod meter;
mod outcome;
mod plan;
mod process;
mod record;
mod run;
mod schedule;
mod timer;
mod walk;
mod wire;

pub use errors::{Fault, Faults};
pub use outcome::{Connections, Costs, Ending, Outcome};
pub use plan::{Framing, Pace, Plan, Scenario};
pub use process::Process;
pub use record::{Interval, Latencies, Spread, percentile};
pub use run::{Go, Progress, run};
