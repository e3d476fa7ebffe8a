//! The engine: the only file that names rustls, so that its next edition changes no other.
//!
//! It is used without I/O: its `read_tls` and `write_tls` get slices and the context's output.

use std::fmt;
use std::io::{self, BufRead, IoSlice, Write};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{Accepted, AcceptedAlert, Acceptor, ServerSessionMemoryCache};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, version};

use super::config::{Cause, Config, Settings, Versions};
use super::handshake::Kind;
use super::record;
use crate::layer::Decoded;
use crate::service::{Context, Output};

/// A certificate with its key, ready for use.
pub(super) struct Engine(Arc<ServerConfig>);

/// A ClientHello of which a part has arrived.
#[derive(Default)]
pub(super) struct Hello {
    acceptor: Acceptor,
    bytes: usize,
}

/// A whole ClientHello. Nothing was computed for it.
pub(super) struct ClientHello(Accepted);

/// A connection whose handshake has begun.
pub(super) struct Session(ServerConnection);

/// The reason why one of the sides has refused the other.
#[derive(Debug)]
pub(super) enum Refusal {
    Engine(rustls::Error),
    HelloTooLong,
}

impl Engine {
    /// Checks a certificate chain and its key, both as PEM.
    pub(super) fn new(chain: &[u8], key: &[u8], settings: &Settings) -> Result<Self, Cause> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Cause::Certificate(pem_error(&error)))?;
        if chain.is_empty() {
            return Err(Cause::Certificate("it has no certificate".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            Cause::Key(match error {
                pem::Error::NoItemsFound => "it has no private key".into(),
                error => pem_error(&error),
            })
        })?;
        let versions = match settings.versions {
            Versions::Tls12And13 => &[&version::TLS13, &version::TLS12][..],
            Versions::Tls13 => &[&version::TLS13],
        };
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| Cause::Pair(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| Cause::Pair(error.to_string()))?;
        config.alpn_protocols.clone_from(&settings.alpn);
        config.send_tls13_tickets = settings.tickets;
        config.session_storage = ServerSessionMemoryCache::new(settings.sessions_max);
        // The server's order: AES, for which processors have instructions, before ChaCha20.
        config.ignore_client_order = true;
        Ok(Self(Arc::new(config)))
    }
}

fn pem_error(error: &pem::Error) -> String {
    format!("it is not valid PEM: {error}")
}

impl Hello {
    /// Consumes `bytes` of the input. Returns the ClientHello once it is whole.
    ///
    /// # Errors
    /// If it is none, which the peer is sent as an alert.
    pub(super) fn receive(
        &mut self,
        bytes: usize,
        cx: &mut Context<'_>,
    ) -> Result<Option<ClientHello>, Refusal> {
        let mut wire = &cx.input()[..bytes];
        cx.consume(bytes);
        self.bytes += bytes;
        if self.bytes > record::HELLO_BYTES_MAX {
            return Err(Refusal::HelloTooLong);
        }
        while !wire.is_empty() {
            let taken = self.acceptor.read_tls(&mut wire);
            if taken.map_err(Refusal::from_io)? == 0 {
                break;
            }
        }
        match self.acceptor.accept() {
            Ok(hello) => Ok(hello.map(ClientHello)),
            Err((error, alert)) => Err(refused(error, alert, cx)),
        }
    }
}

impl ClientHello {
    /// Answers it, which costs a key exchange and, unless a session is resumed, a signature.
    ///
    /// # Errors
    /// If there is no version, cipher or protocol in common, which the peer is sent as an alert.
    pub(super) fn begin(
        self,
        config: &Config,
        cx: &mut Context<'_>,
    ) -> Result<Box<Session>, Refusal> {
        let engine = config.engine();
        match self.0.into_connection(Arc::clone(&engine.0)) {
            Ok(mut connection) => {
                // Its output moves on at once, so that the loop bounds it.
                connection.set_buffer_limit(None);
                let mut session = Box::new(Session(connection));
                session.write(cx);
                Ok(session)
            }
            Err((error, alert)) => Err(refused(error, alert, cx)),
        }
    }
}

/// Sends an alert.
fn refused(error: rustls::Error, mut alert: AcceptedAlert, cx: &mut Context<'_>) -> Refusal {
    // The output takes all.
    let _ = alert.write_all(&mut Wire(cx));
    Refusal::Engine(error)
}

impl Session {
    pub(super) fn is_complete(&self) -> bool {
        !self.0.is_handshaking()
    }

    /// Returns the kind of a complete handshake.
    pub(super) fn kind(&self) -> Kind {
        match self.0.handshake_kind() {
            Some(HandshakeKind::Resumed) => Kind::Resumed,
            _ => Kind::Full,
        }
    }

    /// Consumes `bytes` of the input, as a part of the handshake.
    pub(super) fn receive_handshake(
        &mut self,
        bytes: usize,
        cx: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let left = cx.input().len() - bytes;
        while cx.input().len() > left {
            let most = cx.input().len() - left;
            // Records behind the handshake are received later.
            let decoded = self.receive(most, cx, &mut Vec::new())?;
            if decoded == Decoded::End {
                break;
            }
        }
        Ok(())
    }

    /// Consumes at most `most` bytes of the input, and appends the plaintext of at most a few
    /// kilobytes beside one record.
    pub(super) fn receive(
        &mut self,
        most: usize,
        cx: &mut Context<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<Decoded, Refusal> {
        let mut wire = &cx.input()[..most];
        let taken = self.0.read_tls(&mut wire).map_err(Refusal::from_io)?;
        cx.consume(taken);
        let processed = self.0.process_new_packets();
        // An alert, or the answer to an update of the keys.
        self.write(cx);
        let state = processed?;
        self.read_plain(plain);
        Ok(if state.peer_has_closed() {
            Decoded::End
        } else if cx.input().is_empty() {
            Decoded::All
        } else {
            Decoded::Some
        })
    }

    fn read_plain(&mut self, plain: &mut Vec<u8>) {
        let mut reader = self.0.reader();
        // An error means that there is no more for now.
        while let Ok(chunk) = reader.fill_buf()
            && !chunk.is_empty()
        {
            plain.extend_from_slice(chunk);
            let bytes = chunk.len();
            reader.consume(bytes);
        }
    }

    /// Encrypts output, and writes it.
    pub(super) fn send(&mut self, plain: &Output, cx: &mut Context<'_>) {
        let mut pieces = plain.pieces();
        let (first, second) = (pieces.next(), pieces.next());
        let mut writer = self.0.writer();
        // Without a limit of its buffer it takes all.
        let _ = match (first, second) {
            (None, _) => Ok(0),
            (Some(piece), None) => writer.write(piece),
            (Some(first), Some(second)) => {
                let pieces = [first, second].into_iter().chain(pieces);
                let slices: Vec<_> = pieces.map(IoSlice::new).collect();
                writer.write_vectored(&slices)
            }
        };
        self.write(cx);
    }

    /// Ends the stream of output.
    pub(super) fn finish(&mut self, cx: &mut Context<'_>) {
        self.0.send_close_notify();
        self.write(cx);
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        while self.0.wants_write() {
            // The output takes all.
            let _ = self.0.write_tls(&mut Wire(cx));
        }
    }
}

/// The output as a writer. It takes all.
struct Wire<'a, 'b>(&'a mut Context<'b>);

impl Write for Wire<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().for_each(|slice| self.0.write(slice));
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Refusal {
    /// Converts the error of a read from a slice: the engine cannot take more.
    fn from_io(error: io::Error) -> Self {
        Self::Engine(rustls::Error::General(error.to_string()))
    }
}

impl From<rustls::Error> for Refusal {
    fn from(error: rustls::Error) -> Self {
        Self::Engine(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::HelloTooLong => write!(
                f,
                "a ClientHello of more than {} bytes",
                record::HELLO_BYTES_MAX
            ),
        }
    }
}

impl fmt::Display for Session {
    /// Formats the version, the cipher suite and the kind of the handshake.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = self.0.protocol_version() {
            write!(f, "{version:?}")?;
        }
        if let Some(suite) = self.0.negotiated_cipher_suite() {
            write!(f, " {:?}", suite.suite())?;
        }
        match self.kind() {
            Kind::Full => Ok(()),
            Kind::Resumed => f.write_str(" resumed"),
        }
    }
}

macro_rules! opaque {
    ($($name:ident),+) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })+
    };
}

opaque!(Engine, Hello, ClientHello, Session);
