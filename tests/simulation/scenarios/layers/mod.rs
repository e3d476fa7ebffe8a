//! Layers around services.

mod beside;
mod cipher;
mod observing;
mod strict;
mod transforming;
