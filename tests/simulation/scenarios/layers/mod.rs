//! Layers around services.

mod beside;
mod cipher;
mod observing;
mod proxied;
mod strict;
mod transforming;
