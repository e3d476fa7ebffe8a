//! A client of TLS at the remote end of a simulated connection.
//!
//! The engine draws its random numbers from the operating system, so a run is not determined by its
//! seed: the tests compare no digests.

use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use oneloop::Time;
use oneloop_sim::{RemotePeer, Script, Status};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, version,
};

/// The behaviour of a client.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// Sent in pieces of at most `piece` bytes, with pauses of up to `pause`.
    pub(crate) sends: Vec<u8>,
    pub(crate) piece: usize,
    pub(crate) pause: Duration,
    pub(crate) ends: Ends,
    /// The bytes that it reads at once, and the pause behind them.
    pub(crate) reads: (usize, Duration),
    /// It stops for good once it has sent so many bytes of the wire.
    pub(crate) stalls_after: Option<usize>,
}

/// How a client ends its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// With close_notify, and then the end of the connection's stream.
    Properly,
    /// With close_notify alone.
    WithNotify,
    /// Without close_notify.
    Abruptly,
    /// Not at all.
    Never,
}

/// The client's view of the conversation.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) plain: Vec<u8>,
    /// The server has sent close_notify.
    pub(crate) ended: bool,
    pub(crate) failure: Option<String>,
    pub(crate) version: Option<ProtocolVersion>,
    pub(crate) kind: Option<HandshakeKind>,
    /// The server's certificate.
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) wire_sent: usize,
}

pub(crate) struct TlsClient {
    connection: ClientConnection,
    manner: Manner,
    sent: usize,
    sends_at: Time,
    reads_at: Time,
    stream: Stream,
    seen: Rc<RefCell<Seen>>,
}

/// The client's own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Open,
    /// All is sent, and the end, if there is one.
    Ended,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            sends: Vec::new(),
            piece: usize::MAX,
            pause: Duration::ZERO,
            ends: Ends::Properly,
            reads: (usize::MAX, Duration::ZERO),
            stalls_after: None,
        }
    }
}

/// Returns the configuration of clients that trust the tests' authority.
pub(crate) fn client_config(tls12: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(AUTHORITY).expect("a certificate");
    roots.add(authority).expect("an authority");
    let versions = match tls12 {
        true => &[&version::TLS12],
        false => &[&version::TLS13],
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("a version that the provider has")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

impl TlsClient {
    pub(crate) fn new(config: &Arc<ClientConfig>, manner: Manner) -> (Self, Rc<RefCell<Seen>>) {
        let name = "localhost".try_into().expect("a name");
        let mut connection =
            ClientConnection::new(Arc::clone(config), name).expect("a configuration that works");
        connection.set_buffer_limit(None);
        let seen = Rc::<RefCell<Seen>>::default();
        let client = Self {
            connection,
            manner,
            sent: 0,
            sends_at: Time::START,
            reads_at: Time::START,
            stream: Stream::Open,
            seen: Rc::clone(&seen),
        };
        (client, seen)
    }

    fn receive(&mut self, remote: &mut RemotePeer<'_>) {
        let mut wire = Vec::new();
        remote.read(self.manner.reads.0, &mut wire);
        let mut wire = &wire[..];
        let mut seen = self.seen.borrow_mut();
        while !wire.is_empty() && seen.failure.is_none() {
            let taken = self.connection.read_tls(&mut wire).expect("room");
            match self.connection.process_new_packets() {
                Ok(state) => seen.ended |= state.peer_has_closed(),
                Err(error) => seen.failure = Some(error.to_string()),
            }
            let mut reader = self.connection.reader();
            while let Ok(chunk) = reader.fill_buf()
                && !chunk.is_empty()
            {
                seen.plain.extend_from_slice(chunk);
                let bytes = chunk.len();
                reader.consume(bytes);
            }
            assert!(taken > 0 || seen.ended, "the client takes no more");
            if taken == 0 {
                assert!(wire.is_empty(), "bytes behind the end of the stream");
            }
        }
        seen.version = self.connection.protocol_version();
        seen.kind = self.connection.handshake_kind();
        let chain = self.connection.peer_certificates();
        seen.certificate = chain.map(|chain| chain[0].to_vec());
    }

    fn send(&mut self, remote: &mut RemotePeer<'_>) {
        if !self.connection.is_handshaking() && remote.now() >= self.sends_at {
            self.send_piece(remote);
        }
        let ends = self.sent == self.manner.sends.len() && !self.connection.is_handshaking();
        if ends && self.manner.ends.notifies() && self.stream == Stream::Open {
            self.connection.send_close_notify();
        }
        self.send_wire(remote);
        if ends && std::mem::replace(&mut self.stream, Stream::Ended) == Stream::Open {
            match self.manner.ends {
                Ends::Properly | Ends::Abruptly => remote.finish(),
                Ends::WithNotify | Ends::Never => {}
            }
        }
    }

    fn send_piece(&mut self, remote: &mut RemotePeer<'_>) {
        let left = &self.manner.sends[self.sent..];
        if left.is_empty() {
            return;
        }
        let most = left.len().min(self.manner.piece) as u64;
        let piece = remote.rng().magnitude(1..=most) as usize;
        let mut writer = self.connection.writer();
        writer.write_all(&left[..piece]).expect("room");
        self.sent += piece;
        self.sends_at = remote.now() + remote.rng().duration_up_to(self.manner.pause);
    }

    fn send_wire(&mut self, remote: &mut RemotePeer<'_>) {
        let mut wire = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut wire).expect("a vector");
        }
        let mut seen = self.seen.borrow_mut();
        if let Some(most) = self.manner.stalls_after {
            wire.truncate(most.saturating_sub(seen.wire_sent));
        }
        seen.wire_sent += wire.len();
        remote.send(&wire);
    }
}

impl Script for TlsClient {
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
        if remote.status() != Status::Open {
            return None;
        }
        let now = remote.now();
        if now >= self.reads_at && remote.readable() > 0 {
            self.receive(remote);
            self.reads_at = now + self.manner.reads.1;
        }
        self.send(remote);
        if self.seen.borrow().failure.is_some() {
            remote.close();
            return None;
        }
        let has_more = self.stream == Stream::Open && !self.connection.is_handshaking();
        let sends_at = has_more.then_some(self.sends_at);
        let reads_at = (remote.readable() > 0).then_some(self.reads_at);
        let due = [sends_at, reads_at].into_iter().flatten();
        due.filter(|&when| when > now).min()
    }
}

impl Ends {
    fn notifies(self) -> bool {
        matches!(self, Self::Properly | Self::WithNotify)
    }
}

pub(crate) const AUTHORITY: &[u8] = include_bytes!("../../../../src/oneloop/tls/testdata/ca.pem");
