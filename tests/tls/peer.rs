//! A peer that speaks TLS with the engine of rustls, one step at a time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};

use crate::common::{PATIENCE, QUESTION};

/// Returns the configuration of a peer that trusts the tests' authority.
pub(crate) fn trusting() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(crate::file("ca.pem")).expect("a certificate");
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .expect("a version that the provider has")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// A conversation over TLS.
pub(crate) struct Conversation(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl Conversation {
    /// Connects. The handshake comes with the first read or write.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let name = "localhost".try_into().expect("a name");
        let connection = ClientConnection::new(Arc::clone(config), name).expect("it is usable");
        let socket = TcpStream::connect(address).expect("a server");
        socket.set_nodelay(true).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self(StreamOwned::new(connection, socket))
    }

    #[track_caller]
    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("a connection");
        self.0.flush().expect("a connection");
    }

    /// Reads up to this text.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let mut received = Vec::new();
        while !received.ends_with(text.as_bytes()) {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap_or_else(|error| {
                let received = String::from_utf8_lossy(&received);
                panic!("{error} behind {received:?}, before {text:?}")
            });
            received.extend(byte);
        }
        String::from_utf8(received).expect("text")
    }

    /// Reads the first question.
    #[track_caller]
    pub(crate) fn acquainted(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let mut conversation = Self::connect(address, config);
        conversation.expect(QUESTION);
        conversation
    }

    /// Exchanges a name for a greeting and the next question.
    #[track_caller]
    pub(crate) fn exchange(&mut self, name: &str) {
        self.send(&format!("{name}\n"));
        let answer = self.expect(QUESTION);
        assert_eq!(answer, format!("Hello {name}!\n{QUESTION}"));
    }

    /// Reads to the end of the stream, which must be marked.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0
            .read_to_string(&mut rest)
            .expect("an end that is marked");
        rest
    }

    /// Ends the stream of this side.
    #[track_caller]
    pub(crate) fn finish(&mut self) {
        self.0.conn.send_close_notify();
        self.0.flush().expect("a connection");
    }

    /// Returns the server's certificate.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().expect("a certificate")[0].to_vec()
    }
}

/// Sends a ClientHello over a new connection, and reads the server's answer if `answered`.
pub(crate) fn half_way(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    answered: bool,
) -> io::Result<TcpStream> {
    let name = "localhost".try_into().expect("a name");
    let mut connection = ClientConnection::new(Arc::clone(config), name).expect("it is usable");
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    connection.write_tls(&mut socket)?;
    if answered {
        socket.read_exact(&mut [0; 5])?;
    }
    Ok(socket)
}
