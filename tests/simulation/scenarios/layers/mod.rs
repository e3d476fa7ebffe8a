//! Layers around services.

mod cipher;
mod strict;
mod transforming;
