//! Layers around services.

mod beside;
mod by_listener;
mod cipher;
mod duplex;
mod observing;
mod strict;
mod timers;
mod transforming;
