//! Single scenarios: each checks one duty of the loop to a service or its peers, in its smallest
//! form.

mod accepting;
mod deadlines;
mod draining;
mod duplex;
mod echo;
mod events;
mod greeting;
mod identity;
mod layers;
mod outbound;
mod panics;
mod pressure;
mod probe;
mod reading;
mod shares;
mod writing;
