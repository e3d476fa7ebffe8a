//! Layers around services.

mod beside;
mod by_listener;
mod duplex;
mod observing;
mod proxied;
pub(super) mod rig;
mod strict;
mod timers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_client;
mod transforming;
