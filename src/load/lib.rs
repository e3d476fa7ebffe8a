//! A load generator: many conversations with a greeting server, every byte checked, every time
//! taken from where it must be.
//!
//! [`run`] makes one run of a [`Plan`] and returns the [`Outcome`]; a [`Report`] gathers runs and
//! judges them, and [`text`] and [`json`] show it. The generator is a
//! [`Service`](oneloop::Service) on the same loop that serves: its connections are outbound.

mod clock;
mod compare;
mod cores;
mod errors;
mod figures;
mod findings;
mod generator;
mod histogram;
mod html;
pub mod json;
mod machine;
mod meter;
mod outcome;
mod placement;
mod plan;
mod process;
mod ramp;
mod record;
mod report;
mod run;
mod schedule;
pub mod text;
mod threshold;
mod timer;
mod walk;

pub use compare::{Arm, Compared, Comparison, Conclusion, Figure, Ratio};
pub use cores::{Cores, pin};
pub use errors::{Fault, Faults};
pub use findings::{Finding, Weight};
pub use html::page;
pub use machine::Machine;
pub use outcome::{Connections, Costs, Ending, Outcome};
pub use placement::Placement;
pub use plan::{Framing, Pace, Plan, Scenario};
pub use process::Process;
pub use ramp::{Knee, Ramp, Search};
pub use record::{Interval, Latencies, Spread, percentile};
pub use report::{Pinned, Report, Server, Shape, Verdict};
pub use run::{Go, Progress, run};
pub use threshold::{Judgement, Threshold};
