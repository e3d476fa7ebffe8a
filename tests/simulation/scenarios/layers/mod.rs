//! Layers around services.

mod beside;
mod observing;
mod proxied;
mod strict;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_client;
mod transforming;
