//! The configuration of TLS: the certificate, its key, and the settings.

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::counters::{Counted, Counters};
use super::engine::Engine;
use super::{Layer, Tls};
use crate::layer::Transformed;

/// A certificate with its private key, and the settings of TLS.
///
/// It is a handle: clones share everything, also between threads. So a program keeps one to
/// [reload](Self::reload) the certificate, and to read the [counters](Self::counters).
#[derive(Clone, Debug)]
pub struct Config {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    source: Source,
    engine: RwLock<Arc<Engine>>,
    counted: Counted,
}

#[derive(Debug)]
enum Source {
    Files { certificate: PathBuf, key: PathBuf },
    Memory,
}

/// The settings of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The versions of the protocol. Default: 1.2 and 1.3.
    pub versions: Versions,
    /// The application protocols (ALPN) that the server speaks, the preferred one first. Default:
    /// none, so that clients may name any.
    ///
    /// A client that names protocols, none of which is here, is refused. One that names none is
    /// not.
    pub alpn: Vec<Vec<u8>>,
    /// The tickets with which a client of TLS 1.3 may resume its session. Default 1; 0 for
    /// connections that live so long that resuming is no gain.
    pub tickets: usize,
    /// The most sessions kept to be resumed. Default 256; each has some hundred bytes.
    pub sessions_max: usize,
    /// The most handshakes that have begun and are not complete. Default 64; at least 1. Others wait
    /// for their place.
    pub handshakes_max: usize,
    /// The most connections that take a step of their handshake in one turn of the loop. Default 2;
    /// at least 1. A step takes about 0.1 ms with a key on the curve P-256, and 0.5 ms with one of
    /// RSA with 2,048 bits.
    pub handshakes_per_turn: usize,
    /// The time for the whole handshake, from the beginning of the connection. Default 10 s.
    pub handshake_timeout: Duration,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Versions {
    /// TLS 1.2 and TLS 1.3. With 1.2, only suites with forward secrecy and authenticated
    /// encryption.
    #[default]
    Tls12And13,
    /// TLS 1.3 alone.
    Tls13,
}

/// A certificate and its key that were read again, and can be used: see [`Config::read_again`].
#[derive(Debug)]
#[must_use = "it is not used before it is applied"]
pub struct Renewal {
    config: Config,
    engine: Engine,
}

/// The error of a certificate or a key that cannot be used.
#[derive(Debug)]
pub struct ConfigError {
    file: Option<PathBuf>,
    cause: Cause,
}

#[derive(Debug)]
pub(super) enum Cause {
    /// The file cannot be read.
    Unreadable(std::io::Error),
    /// The certificate is invalid.
    Certificate(String),
    /// The key is invalid.
    Key(String),
    /// They are not usable together.
    Pair(String),
    /// There are no files to be read again.
    NoFiles,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            versions: Versions::default(),
            alpn: Vec::new(),
            tickets: 1,
            sessions_max: 256,
            handshakes_max: 64,
            handshakes_per_turn: 2,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Reads a certificate chain and a private key from PEM files.
    ///
    /// The server's own certificate is the first of its file. The key's format is PKCS #8, PKCS #1
    /// or SEC 1, unencrypted.
    ///
    /// # Errors
    /// If a file cannot be read or used, or if the key is not that of the certificate.
    pub fn from_files(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        settings: Settings,
    ) -> Result<Self, ConfigError> {
        let (certificate, key) = (certificate.into(), key.into());
        let engine = read(&certificate, &key, &settings)?;
        Ok(Self::new(
            engine,
            Source::Files { certificate, key },
            settings,
        ))
    }

    /// Takes a certificate chain and a private key as PEM, as [`from_files`](Self::from_files) does.
    ///
    /// # Errors
    /// If one cannot be used, or if the key is not that of the certificate.
    pub fn from_pem(
        certificate: &[u8],
        key: &[u8],
        settings: Settings,
    ) -> Result<Self, ConfigError> {
        let engine = Engine::new(certificate, key, &settings)?;
        Ok(Self::new(engine, Source::Memory, settings))
    }

    fn new(engine: Engine, source: Source, settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                source,
                engine: RwLock::new(Arc::new(engine)),
                counted: Counted::default(),
            }),
        }
    }

    /// Reads the files again, for connections whose handshake begins from now on. Open connections
    /// keep what they have; sessions of the earlier certificate are not resumed.
    ///
    /// # Errors
    /// As [`from_files`](Self::from_files), and if there are no files. Nothing changes then.
    pub fn reload(&self) -> Result<(), ConfigError> {
        self.read_again()?.apply();
        Ok(())
    }

    /// Reads the files again as [`reload`](Self::reload) does, and leaves it to the caller when to
    /// use them: a program that reloads other things too can check all of them first.
    ///
    /// # Errors
    /// As [`reload`](Self::reload).
    pub fn read_again(&self) -> Result<Renewal, ConfigError> {
        match &self.shared.source {
            Source::Files { certificate, key } => Ok(Renewal {
                config: self.clone(),
                engine: read(certificate, key, self.settings())?,
            }),
            Source::Memory => Err(Cause::NoFiles.into()),
        }
    }

    /// Takes another certificate and key, as [`reload`](Self::reload) does.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem). Nothing changes then.
    pub fn replace(&self, certificate: &[u8], key: &[u8]) -> Result<(), ConfigError> {
        self.set(Engine::new(certificate, key, self.settings())?);
        Ok(())
    }

    /// Returns the layer that encrypts a service's connections.
    ///
    /// Each layer has a queue of handshakes of its own.
    #[must_use]
    pub fn layer(&self) -> Layer {
        Transformed::new(Tls::new(self.clone()))
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Returns the counts of handshakes of all layers.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counted.read()
    }

    pub(super) fn counted(&self) -> &Counted {
        &self.shared.counted
    }

    pub(super) fn engine(&self) -> Arc<Engine> {
        let engine = self.shared.engine.read();
        Arc::clone(&engine.unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, engine: Engine) {
        let place = self.shared.engine.write();
        *place.unwrap_or_else(PoisonError::into_inner) = Arc::new(engine);
    }
}

impl Renewal {
    /// Uses the certificate for connections whose handshake begins from now on.
    pub fn apply(self) {
        self.config.set(self.engine);
    }
}

fn read(certificate: &Path, key: &Path, settings: &Settings) -> Result<Engine, ConfigError> {
    let pem = |path: &Path| {
        fs::read(path).map_err(|error| ConfigError {
            file: Some(path.into()),
            cause: Cause::Unreadable(error),
        })
    };
    Engine::new(&pem(certificate)?, &pem(key)?, settings).map_err(|cause| ConfigError {
        file: Some(match cause {
            Cause::Key(_) | Cause::Pair(_) => key.into(),
            _ => certificate.into(),
        }),
        cause,
    })
}

impl From<Cause> for ConfigError {
    fn from(cause: Cause) -> Self {
        Self { file: None, cause }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.cause {
            Cause::Unreadable(_) => "file",
            Cause::Certificate(_) => "certificate",
            Cause::Key(_) => "private key",
            Cause::Pair(_) => "private key for this certificate",
            Cause::NoFiles => return f.write_str("there are no certificate files to read again"),
        };
        write!(f, "cannot use the {what}")?;
        if let Some(file) = &self.file {
            write!(f, " {}", file.display())?;
        }
        match &self.cause {
            Cause::Unreadable(error) => write!(f, ": {error}"),
            Cause::Certificate(cause) | Cause::Key(cause) | Cause::Pair(cause) => {
                write!(f, ": {cause}")
            }
            Cause::NoFiles => Ok(()),
        }
    }
}

impl Error for ConfigError {}
