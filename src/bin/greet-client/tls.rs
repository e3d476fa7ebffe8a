//! TLS over a blocking socket, for one thread that reads and one that writes.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{debug, warn};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// An encrypted connection.
///
/// The lock is never held while a thread waits for the server to send.
#[derive(Debug)]
pub(crate) struct TlsStream {
    socket: TcpStream,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    connection: ClientConnection,
    /// Received from the socket, and not decrypted yet.
    wire: Vec<u8>,
}

/// Makes an encrypted connection of `socket` with the server called `name`, within `timeout`.
///
/// The server's certificate must be signed by an authority of the file `authorities`, or else by one
/// that the system trusts.
pub(crate) fn connect(
    socket: TcpStream,
    name: &str,
    authorities: Option<&Path>,
    timeout: Duration,
) -> io::Result<TlsStream> {
    let invalid = |_| io::Error::new(ErrorKind::InvalidInput, format!("`{name}` is not a name"));
    let name = ServerName::try_from(name.to_owned()).map_err(invalid)?;
    let config = Arc::new(config(authorities)?);
    let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let stream = TlsStream {
        socket,
        state: Mutex::new(State {
            connection,
            wire: Vec::new(),
        }),
    };
    stream.shake_hands(Instant::now() + timeout)?;
    Ok(stream)
}

fn config(authorities: Option<&Path>) -> io::Result<ClientConfig> {
    let roots = match authorities {
        Some(file) => roots_of(file)?,
        None => roots_of_the_system()?,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

fn roots_of(file: &Path) -> io::Result<RootCertStore> {
    let in_file = |error: String| {
        let message = format!("{}: {error}", file.display());
        io::Error::new(ErrorKind::InvalidInput, message)
    };
    let pem = fs::read(file).map_err(|error| in_file(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| in_file(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| in_file(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(in_file("there is no certificate in it".into())),
        false => Ok(roots),
    }
}

fn roots_of_the_system() -> io::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        warn!("an authority of the system cannot be read: {error}");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    debug!("{added} authorities of the system, {ignored} ignored");
    match added {
        0 => Err(io::Error::new(
            ErrorKind::NotFound,
            "the system has no certificates of authorities: give some with --tls-ca",
        )),
        _ => Ok(roots),
    }
}

impl TlsStream {
    fn shake_hands(&self, deadline: Instant) -> io::Result<()> {
        let mut state = self.hold();
        while state.connection.is_handshaking() {
            state.send(&self.socket)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.socket.set_read_timeout(Some(left))?;
            self.fill(&mut state.wire)?;
            if let Err(error) = state.decrypt() {
                // The server learns the reason from an alert.
                let _ = state.send(&self.socket);
                return Err(error);
            }
        }
        state.send(&self.socket)?;
        self.socket.set_read_timeout(None)?;
        debug!(
            "TLS: {:?} {:?}",
            state.connection.protocol_version(),
            state
                .connection
                .negotiated_cipher_suite()
                .map(|suite| suite.suite())
        );
        Ok(())
    }

    /// Waits for some bytes. Returns 0 at the end of the server's stream; a connection that ends
    /// without it is an error.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut state = self.hold();
            match state.connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            if state.wire.is_empty() {
                drop(state);
                let mut wire = Vec::new();
                self.fill(&mut wire)?;
                state = self.hold();
                state.wire = wire;
            }
            state.decrypt()?;
            // The answer to an update of the keys.
            state.send(&self.socket)?;
        }
    }

    /// Encrypts all bytes and sends them.
    pub(crate) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.hold();
        state.connection.writer().write_all(bytes)?;
        state.send(&self.socket)
    }

    /// Waits for bytes of the wire.
    fn fill(&self, wire: &mut Vec<u8>) -> io::Result<()> {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            match (&self.socket).read(&mut chunk) {
                Ok(0) => {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "closed without the end of the TLS stream",
                    ));
                }
                Ok(count) => {
                    wire.extend_from_slice(&chunk[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn hold(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Decrypts what was received, up to the next plaintext.
    fn decrypt(&mut self) -> io::Result<()> {
        let Self { connection, wire } = self;
        let mut left = &wire[..];
        while !left.is_empty() {
            let taken = connection.read_tls(&mut left)?;
            let state = connection
                .process_new_packets()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            if taken == 0 || state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
                break;
            }
        }
        let taken = wire.len() - left.len();
        wire.drain(..taken);
        Ok(())
    }

    fn send(&mut self, mut socket: &TcpStream) -> io::Result<()> {
        let mut wire = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut wire)?;
        }
        // One write for all of it.
        socket.write_all(&wire)
    }
}

/// The name of the protocol in ALPN.
const PROTOCOL: &[u8] = b"greet/1";

/// The most bytes that one read takes.
const CHUNK_BYTES: usize = 4096;
