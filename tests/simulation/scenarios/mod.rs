//! Single scenarios: each checks one duty of the loop to a service or its peers, in its smallest
//! form.

mod accepting;
mod adjusting;
mod admin;
mod chance;
mod deadlines;
mod draining;
mod duplex;
mod echo;
mod events;
mod greeting;
mod handles;
mod identity;
mod large;
mod layers;
mod listeners;
mod memory;
mod outbound;
mod panics;
mod pools;
mod pressure;
mod probe;
mod reading;
mod shares;
mod timers;
mod writing;
