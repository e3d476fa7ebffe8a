//! TLS, as a layer around a service. Requires the feature `tls`.
//!
//! [`Config`] holds the certificate and its private key, and makes the [`Layer`] that encrypts a
//! service's connections:
//!
//! ```no_run
//! use oneloop::layer::Compose;
//! use oneloop::tls::{Config, Settings};
//! use oneloop::{Limits, Reactor};
//! # use oneloop::{Context, Event, Next, Peer, Service, ServiceContext, Time};
//! # struct Echo;
//! # impl Service for Echo {
//! #     type Session = ();
//! #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
//! #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
//! #         Next::Read { until: Time::UNBOUNDED }
//! #     }
//! # }
//!
//! let config = Config::from_files("cert.pem", "key.pem", Settings::default())?;
//! let mut reactor = Reactor::new(Echo.with(config.layer()), Limits::default())?;
//! // Later, also from another thread, when the files have been renewed:
//! config.reload()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Handshakes
//!
//! A handshake costs as much time as hundreds of exchanges, so its cost is bounded. Once a whole
//! ClientHello has arrived, the connection queues for its turn, and its socket is not read
//! meanwhile. In each turn of the loop [`Settings::handshakes_per_turn`] connections take a step of
//! their handshake, so a flood of handshakes delays the other sessions by no more than these. A
//! connection whose peer has disconnected leaves the queue, and costs no signature.
//!
//! Handshakes that have begun and wait for their peer are in flight:
//! [`Settings::handshakes_max`] of them at most. If others wait for such a place, the oldest one
//! ends after a tenth of its [timeout](Settings::handshake_timeout).
//!
//! # Ends
//!
//! A handshake that fails ends its connection with [`EndReason::HandshakeFailed`], and the peer gets
//! an alert. A deadline is [`EndReason::Timeout`], and a peer that disconnects during the handshake,
//! as port scans and health checks do, is [`EndReason::Eof`].
//!
//! The end of a stream is the alert close_notify: the session gets [`Event::Eof`] for it, and its
//! peer gets one when the session closes or [finishes](crate::Context::finish). A peer that closes
//! its connection without one may have been cut off, so the session does not get the end as if it
//! were complete. The connection ends with [`EndReason::Truncated`].
//!
//! A connection that the loop refuses gets the alert internal_error instead of the service's message:
//! a message in TLS would cost a handshake, and a flood of connections would cost many.
//!
//! # Memory
//!
//! A connection costs some 8 KiB more than without TLS, and a record of up to 16 KiB while a part of
//! it has arrived. Unread input and pending output count as without TLS. A record adds up to 32
//! bytes, also to short output: write an answer in one step.
//!
//! # What is left out
//!
//! Certificates of clients, and early data.

mod config;
mod counters;
mod engine;
mod handshake;
mod queue;
mod record;
#[cfg(test)]
mod tests;

use log::debug;

use crate::layer::{Decoded, Handshake, Transform, Transformed};
use crate::service::{CloseReason, Context, EndReason, Event, Output, Peer, ServiceContext};

pub use config::{Config, ConfigError, Renewal, Settings, Versions};
pub use counters::Counters;
use handshake::{Ending, Progress};
use queue::Queue;

/// The [layer](crate::layer::Layer) of TLS: see [`Config::layer`].
pub type Layer = Transformed<Tls>;

/// A service inside TLS.
pub type Secured<S> = crate::layer::Layered<Layer, S>;

/// The [`Transform`] of TLS: see [`Config::layer`].
#[derive(Debug)]
pub struct Tls {
    config: Config,
    queue: Queue,
}

/// The state of one connection.
#[derive(Debug)]
pub struct TlsState(Stage);

#[derive(Debug)]
enum Stage {
    Handshake(Box<handshake::Connecting>),
    Open(Box<engine::Session>),
    /// The handshake has failed.
    Failed,
}

impl Tls {
    pub(crate) fn new(config: Config) -> Self {
        let queue = Queue::new(config.settings());
        Self { config, queue }
    }

    /// Ends a handshake that has not completed: frees its place, and counts it.
    fn fail(&mut self, state: &mut TlsState, ending: &Ending, cx: &mut ServiceContext) {
        let Stage::Handshake(connecting) = &state.0 else {
            return;
        };
        self.config.counted().ended(ending);
        connecting.leave(ending, &mut self.queue, cx);
        state.0 = Stage::Failed;
    }
}

impl Transform for Tls {
    type State = TlsState;

    fn open(&mut self, peer: &Peer, cx: &mut ServiceContext) -> TlsState {
        let until = cx.after(self.config.settings().handshake_timeout);
        let connecting = handshake::Connecting::new(peer, until);
        TlsState(Stage::Handshake(Box::new(connecting)))
    }

    fn handshake(
        &mut self,
        state: &mut TlsState,
        event: Event,
        cx: &mut Context<'_>,
    ) -> Result<Handshake, CloseReason> {
        let Stage::Handshake(connecting) = &mut state.0 else {
            return Ok(Handshake::Done);
        };
        match connecting.advance(event, (&self.config, &mut self.queue), cx) {
            Ok(Progress::Waits(wait)) => Ok(wait),
            Ok(Progress::Complete(session)) => {
                self.config.counted().completed(session.kind());
                state.0 = Stage::Open(session);
                Ok(Handshake::Done)
            }
            Err(ending) => {
                self.fail(state, &ending, cx);
                Err(ending.reason())
            }
        }
    }

    fn decode(
        &mut self,
        state: &mut TlsState,
        cx: &mut Context<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<Decoded, CloseReason> {
        let Stage::Open(session) = &mut state.0 else {
            return Ok(Decoded::All);
        };
        if cx.input().is_empty() {
            return Ok(Decoded::All);
        }
        match session.receive(cx.input().len(), cx, plain) {
            Ok(decoded) => Ok(decoded),
            Err(mistake) => {
                debug!("TLS: {} ends: {mistake}", cx.id());
                Err(CloseReason::ProtocolError)
            }
        }
    }

    fn encode(&mut self, state: &mut TlsState, plain: &Output, cx: &mut Context<'_>) {
        if let Stage::Open(session) = &mut state.0 {
            session.send(plain, cx);
        }
    }

    fn fit(&self, room: usize) -> usize {
        record::plain_in(room)
    }

    fn wire_ended(&mut self, _: &mut TlsState, _: &[u8]) -> Result<(), CloseReason> {
        // Without close_notify.
        Err(CloseReason::Truncated)
    }

    fn finish(&mut self, state: &mut TlsState, cx: &mut Context<'_>) {
        if let Stage::Open(session) = &mut state.0 {
            session.finish(cx);
        }
    }

    fn refusal_message(&self) -> &[u8] {
        record::INTERNAL_ERROR
    }

    fn closed(&mut self, mut state: TlsState, _: &Peer, _: EndReason, cx: &mut ServiceContext) {
        self.fail(&mut state, &Ending::Disconnected, cx);
    }
}

/// The layer's own timers, which it uses only during a handshake.
mod timer {
    /// The connection has its turn.
    pub(super) const TURN: u32 = u32::MAX;
    /// The connection gives its place to one that waits for it.
    pub(super) const HURRY: u32 = u32::MAX - 1;
}
