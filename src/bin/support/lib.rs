//! The code that the three programs share, and nothing of the library: addresses as people type
//! them, manual pages, the limit on descriptors.

pub mod address;
#[cfg(any(feature = "load", feature = "server"))]
pub mod descriptors;
#[cfg(feature = "manual")]
pub mod manual;
#[cfg(all(feature = "arguments", not(feature = "manual")))]
pub mod manual {
    //! Nothing: manual pages and completions need the feature `manual`.

    /// No option.
    #[derive(Clone, Copy, Debug, clap::Args)]
    pub struct Manual;

    impl Manual {
        /// Returns.
        pub fn run_if_asked(self, _: impl FnOnce() -> clap::Command) {}
    }
}

/// The version with the commit that it was built from, and the target that it was built for.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("GREET_COMMIT"),
    ", ",
    env!("GREET_TARGET"),
    ")"
);
