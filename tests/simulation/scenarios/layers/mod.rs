//! Layers around services.

mod beside;
mod observing;
mod strict;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_client;
mod transforming;
