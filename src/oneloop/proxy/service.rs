//! The service that awaits a header before each session.

use std::time::Duration;

use log::{debug, warn};

use super::{Header, Network, Versions, Violation};
use crate::log_limiter::LogLimiter;
use crate::service::inspect::{Description, Inspection};
use crate::service::{
    CloseReason, ConnectError, Context, EndReason, Event, ListenerId, Next, Peer, Route, Service,
    ServiceContext, Tag, Time,
};

/// The configuration of a [`Proxied`] service.
#[derive(Clone, Debug)]
pub struct ProxyProtocol {
    versions: Versions,
    from: Vec<Network>,
    others: Others,
    timeout: Duration,
    header_bytes_max: usize,
}

/// The treatment of connections from other networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Closed,
    /// There are no proxies.
    Served,
}

/// A service behind proxies. See [the module](super).
#[derive(Debug)]
pub struct Proxied<S> {
    protocol: ProxyProtocol,
    inner: S,
    log: LogLimiter,
}

/// The session of a [`Proxied`] service.
#[derive(Debug)]
pub struct ProxiedSession<S>(Stage<S>);

#[derive(Debug)]
enum Stage<S> {
    Unopened(Unopened),
    /// The inner session is served.
    Open(S),
}

/// The stage of a connection before its inner session.
#[derive(Clone, Copy, Debug)]
enum Unopened {
    /// The header is not whole yet.
    Header { until: Time },
    /// The loop is to accept the client that was announced.
    Announced { until: Time },
    /// It closes: its header is wrong.
    Wrong(Violation),
    /// It closes: its peer is no proxy.
    Foreign,
}

impl ProxyProtocol {
    /// Accepts headers of these versions, from peers in these networks alone.
    #[must_use]
    pub fn new(versions: Versions, from: impl IntoIterator<Item = Network>) -> Self {
        Self {
            versions,
            from: from.into_iter().collect(),
            others: Others::Closed,
            timeout: Duration::from_secs(5),
            header_bytes_max: Header::BYTES_MAX,
        }
    }

    /// Sets the time in which a header must arrive. Default: 5 s. The specification wants 3 s or
    /// more, so that one lost segment can be sent again.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the length of the longest header of version 2. Default: [`Header::BYTES_MAX`]. The least
    /// is 232, the longest one without records. A proxy that sends clients' certificates needs some
    /// 4 KiB; `Limits::input_bytes_hard_max` must allow that.
    #[must_use]
    pub const fn header_bytes_max(mut self, bytes: usize) -> Self {
        self.header_bytes_max = bytes;
        self
    }

    /// Puts the layer before `service`.
    pub fn before<S: Service>(self, service: S) -> Proxied<S> {
        Proxied::new(Some(self), service)
    }
}

impl<S> Proxied<S> {
    /// Puts the layer before `service`. Without a protocol all clients connect directly, for a
    /// program in which that is an option.
    pub fn new(protocol: Option<ProxyProtocol>, service: S) -> Self {
        let none = || ProxyProtocol {
            others: Others::Served,
            ..ProxyProtocol::new(Versions::Any, [])
        };
        Self {
            protocol: protocol.unwrap_or_else(none),
            inner: service,
            log: LogLimiter::default(),
        }
    }

    /// Returns the service behind the layer.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// Returns the service behind the layer, mutably.
    pub const fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<S> ProxiedSession<S> {
    /// Returns the session of the service, once the header is whole.
    pub const fn inner(&self) -> Option<&S> {
        match &self.0 {
            Stage::Open(session) => Some(session),
            _ => None,
        }
    }
}

impl<S: Service> Service for Proxied<S> {
    type Session = ProxiedSession<S::Session>;

    fn started(&mut self, cx: &mut ServiceContext) {
        self.inner.started(cx);
    }

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> Self::Session {
        let is_outbound = peer.listener.is_none();
        ProxiedSession(match (peer.route, self.protocol.others) {
            (Route::Probe, _) => Stage::Unopened(Unopened::Header {
                until: cx.after(self.protocol.timeout),
            }),
            (_, Others::Closed) if !is_outbound => Stage::Unopened(Unopened::Foreign),
            _ => Stage::Open(self.inner.open(peer, cx)),
        })
    }

    #[inline(always)]
    fn step(&mut self, session: &mut Self::Session, event: Event, cx: &mut Context<'_>) -> Next {
        match &mut session.0 {
            Stage::Open(session) => self.inner.step(session, event, cx),
            Stage::Unopened(stage) => self.step_unopened(stage, event, cx),
        }
    }

    fn closed(
        &mut self,
        session: Self::Session,
        peer: Peer,
        reason: EndReason,
        cx: &mut ServiceContext,
    ) {
        match session.0 {
            Stage::Open(session) => self.inner.closed(session, peer, reason, cx),
            Stage::Unopened(stage) => self.report(stage, &peer, reason, cx),
        }
    }

    fn refusal_message(&self, listener: ListenerId, reason: EndReason) -> &[u8] {
        self.inner.refusal_message(listener, reason)
    }

    fn is_proxy(&self, peer: &Peer) -> bool {
        let mut networks = self.protocol.from.iter();
        networks.any(|network| network.contains_peer(peer.address))
    }

    fn readdressed(&mut self, session: &mut Self::Session, peer: Peer, cx: &mut ServiceContext) {
        match &mut session.0 {
            Stage::Open(session) => self.inner.readdressed(session, peer, cx),
            stage @ Stage::Unopened(_) => *stage = Stage::Open(self.inner.open(peer, cx)),
        }
    }

    fn connect_failed(&mut self, tag: Tag, error: &ConnectError, cx: &mut ServiceContext) {
        self.inner.connect_failed(tag, error, cx);
    }

    fn on_timer(&mut self, key: u64, cx: &mut ServiceContext) {
        self.inner.on_timer(key, cx);
    }

    fn draining(&mut self, open: usize, grace: Duration, cx: &mut ServiceContext) {
        self.inner.draining(open, grace, cx);
    }

    fn describe(&self, session: &Self::Session, description: &mut Description) {
        match &session.0 {
            Stage::Open(session) => self.inner.describe(session, description),
            Stage::Unopened(_) => description.state = Some("header"),
        }
    }

    fn inspected(&mut self, key: u64, report: &Inspection<'_>, cx: &mut ServiceContext) {
        self.inner.inspected(key, report, cx);
    }
}

impl<S: Service> Proxied<S> {
    /// Steps a session whose inner session is not open.
    #[cold]
    fn step_unopened(&self, stage: &mut Unopened, event: Event, cx: &mut Context<'_>) -> Next {
        match *stage {
            Unopened::Foreign => Next::Close(CloseReason::Refused),
            Unopened::Wrong(_) => Next::Close(CloseReason::ProtocolError),
            _ if event == Event::Timeout => Next::Close(CloseReason::Timeout),
            Unopened::Announced { until } => Next::Pause { until },
            Unopened::Header { until } => match self.take_header(cx) {
                Ok(true) => {
                    *stage = Unopened::Announced { until };
                    Next::Pause { until }
                }
                Ok(false) if event != Event::Eof => Next::Read { until },
                Ok(false) if cx.input().is_empty() => Next::Close(CloseReason::Eof),
                Ok(false) => Next::Close(CloseReason::ProtocolError),
                Err(violation) => {
                    *stage = Unopened::Wrong(violation);
                    Next::Close(CloseReason::ProtocolError)
                }
            },
        }
    }

    /// Consumes the header and announces its client, if it is whole. Returns whether it is.
    fn take_header(&self, cx: &mut Context<'_>) -> Result<bool, Violation> {
        let (versions, bytes_max) = (self.protocol.versions, self.protocol.header_bytes_max);
        let Some(header) = Header::parse(cx.input(), versions, bytes_max)? else {
            // If that fails, the loop ends the session at its own limit.
            let _ = cx.raise_input_max(bytes_max);
            return Ok(false);
        };
        cx.consume(header.bytes);
        cx.readdress(header.announced);
        Ok(true)
    }

    /// Logs the end of a connection whose inner session was not opened.
    fn report(&mut self, stage: Unopened, peer: &Peer, reason: EndReason, cx: &mut ServiceContext) {
        let address = peer.address;
        let cause = match (stage, reason) {
            (Unopened::Foreign, _) => "it is not in the networks of the proxies".into(),
            (Unopened::Wrong(violation), _) => violation.to_string(),
            (_, EndReason::Timeout) => "no PROXY header has arrived in time".into(),
            (_, EndReason::ProtocolError) => "it ended within the PROXY header".into(),
            _ => return debug!("Connection from {address} is closed ({reason})"),
        };
        if let Some(suppressed) = self.log.permit(cx.now()) {
            warn!(
                "closed a connection from {address}: {cause} ({suppressed} similar messages \
                 suppressed)"
            );
        }
    }
}
