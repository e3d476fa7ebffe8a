//! Layers around services.

mod beside;
mod observing;
mod strict;
mod transforming;
