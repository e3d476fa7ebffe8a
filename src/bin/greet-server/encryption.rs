//! TLS: the certificate of the main listeners.

use std::path::PathBuf;

use clap::Args;

/// The options of TLS.
///
/// They are there in every build, so that the manual is that of all.
#[derive(Clone, Debug, Args)]
pub(crate) struct TlsArgs {
    /// Encrypts the connections with TLS: the certificate chain, as a PEM file. Needs a build with
    /// the feature `tls`.
    #[arg(
        long = "tls-cert",
        value_name = "FILE",
        env = "GREET_TLS_CERT",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,

    /// The private key of the certificate, as a PEM file.
    #[arg(
        long = "tls-key",
        value_name = "FILE",
        env = "GREET_TLS_KEY",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// Returns `true` if connections are encrypted.
    pub(crate) const fn is_on(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// Refuses the options in a build without TLS.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) const fn check(&self) -> Result<(), &'static str> {
        match cfg!(feature = "tls") || !self.is_on() {
            true => Ok(()),
            false => Err(NO_TLS),
        }
    }
}

const NO_TLS: &str = "this build of greet-server has no TLS: build it with --features tls";

#[cfg(feature = "tls")]
pub(crate) use on::Encryption;

#[cfg(not(feature = "tls"))]
pub(crate) use off::Encryption;

#[cfg(feature = "tls")]
mod on {
    use oneloop::admin::Exposition;
    use oneloop::layer::{Layer, Optional};
    pub(crate) use oneloop::tls::Renewal;
    use oneloop::tls::{Config, ConfigError, Settings};

    use super::TlsArgs;

    /// The certificate in use, if there is one.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Encryption(Option<Config>);

    impl Encryption {
        /// Reads the certificate and its key.
        ///
        /// # Errors
        /// A sentence for the operator.
        pub(crate) fn new(args: &TlsArgs) -> Result<Self, String> {
            let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else {
                return Ok(Self(None));
            };
            let settings = Settings {
                alpn: vec![PROTOCOL.to_vec()],
                ..Settings::default()
            };
            let config = Config::from_files(certificate, key, settings);
            Ok(Self(Some(config.map_err(|error| cannot(&error))?)))
        }

        /// Returns the layer that encrypts connections, or none.
        pub(crate) fn layer(&self) -> Optional<impl Layer + use<>> {
            Optional::new(self.0.as_ref().map(Config::layer))
        }

        /// Reads the files again. Returns nothing without TLS.
        ///
        /// # Errors
        /// A sentence for the operator.
        pub(crate) fn read_again(&self) -> Result<Option<Renewal>, String> {
            let renewal = self.0.as_ref().map(Config::read_again);
            renewal.transpose().map_err(|error| cannot(&error))
        }

        /// Adds the metrics of handshakes. There are none without TLS.
        pub(crate) fn add_metrics(&self, metrics: &mut Exposition) {
            let Some(counters) = self.0.as_ref().map(Config::counters) else {
                return;
            };
            let mut ended = metrics.counter(
                "greet_tls_handshakes_total",
                "TLS handshakes that have ended, by their result.",
            );
            for (result, count) in [
                ("completed", counters.completed),
                ("failed", counters.failed),
                ("timed_out", counters.timed_out),
                ("disconnected", counters.disconnected),
            ] {
                ended = ended.labelled(&[("result", result)], count);
            }
            metrics
                .counter(
                    "greet_tls_handshakes_begun_total",
                    "TLS handshakes that have cost a key exchange.",
                )
                .value(counters.begun);
            metrics
                .counter(
                    "greet_tls_handshakes_resumed_total",
                    "Completed TLS handshakes that have resumed a session.",
                )
                .value(counters.resumed);
        }

        /// Returns the counts of handshakes and their names. There are none without TLS.
        pub(crate) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
            let counters = self.0.iter().map(Config::counters);
            counters.flat_map(|counters| counters.iter().collect::<Vec<_>>())
        }
    }

    fn cannot(error: &ConfigError) -> String {
        format!("TLS: {error}")
    }

    /// The name of the protocol in ALPN.
    const PROTOCOL: &[u8] = b"greet/1";
}

#[cfg(not(feature = "tls"))]
mod off {
    use oneloop::admin::Exposition;

    use super::TlsArgs;

    /// Nothing: this build has no TLS.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Encryption;

    /// A renewed certificate: there is none.
    #[derive(Debug)]
    pub(crate) enum Renewal {}

    impl Renewal {
        /// Is not called.
        pub(crate) fn apply(self) {
            match self {}
        }
    }

    impl Encryption {
        /// Returns it.
        pub(crate) fn new(_: &TlsArgs) -> Result<Self, String> {
            Ok(Self)
        }

        /// Returns nothing.
        pub(crate) fn read_again(&self) -> Result<Option<Renewal>, String> {
            Ok(None)
        }

        /// Adds nothing.
        pub(crate) fn add_metrics(&self, _: &mut Exposition) {}

        /// Returns no counts.
        pub(crate) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
            std::iter::empty()
        }
    }
}
