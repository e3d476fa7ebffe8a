//! Single scenarios: what the loop owes a service and its peers, each as small as it can be shown.

mod accepting;
mod deadlines;
mod draining;
mod echo;
mod events;
mod greeting;
mod outbound;
mod panics;
mod pressure;
mod probe;
mod reading;
mod shares;
mod writing;
