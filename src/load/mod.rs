//! A load generator: many conversations with a greeting server, every byte checked, every time
//! taken from where it must be.
//!
//! [`run`] makes one run of a [`Plan`] and returns the [`Outcome`]; a [`Report`] gathers runs and
//! judges them, and [`text`] and [`json`] show it. The generator is a
//! [`Service`](crate::service::Service) on the same loop that serves: its connections are outbound.

mod chart;
mod clock;
mod errors;
mod figures;
mod findings;
mod generator;
mod html;

pub mod json;
mod meter;
mod outcome;
mod plan;
mod process;
mod record;
mod report;
mod run;
mod schedule;
pub mod text;
mod threshold;
mod timer;
mod walk;
mod wire;

pub use errors::{Fault, Faults};
pub use findings::{Finding, Weight};
pub use html::page;
pub use outcome::{Connections, Costs, Ending, Outcome};
pub use plan::{Framing, Pace, Plan, Scenario};
pub use process::Process;
pub use record::{Interval, Latencies, Spread, percentile};
pub use report::{Report, Server, Shape, Verdict};
pub use run::{Go, Progress, run};
pub use threshold::{Judgement, Threshold};
