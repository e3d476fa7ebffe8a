//! The code that the three programs share, and nothing of the library: addresses as people type
//! them, manual pages, the limit on descriptors.

pub mod address;
#[cfg(any(feature = "load", feature = "server"))]
pub mod descriptors;
#[cfg(feature = "manual")]
pub mod manual;
