//! The handshake of one connection.

use std::fmt;

use log::debug;

use super::engine::{ClientHello, Hello, Refusal, Session};
use super::queue::{Number, Queue};
use super::{Config, record, timer};
use crate::layer::Handshake;
use crate::service::{
    CloseReason, Context, Event, Peer, PeerAddress, ServiceContext, SessionId, Time,
};

/// A connection whose handshake is not complete.
#[derive(Debug)]
pub(super) struct Connecting {
    id: SessionId,
    address: PeerAddress,
    until: Time,
    /// Its number in the queue, once it has one.
    number: Option<Number>,
    phase: Phase,
    wire: Wire,
}

#[derive(Debug)]
enum Phase {
    /// Nothing has arrived.
    Silent,
    /// A part of the ClientHello has arrived.
    Hello(Hello),
    /// The ClientHello waits in the queue.
    Queued(ClientHello),
    /// The handshake has begun.
    InFlight(Box<Session>),
    /// It has failed.
    Over,
}

/// The peer's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Open,
    /// It has ended; a last message may be unread.
    Ended,
}

/// The progress of a handshake.
#[derive(Debug)]
pub(super) enum Progress {
    Waits(Handshake),
    Complete(Box<Session>),
}

/// The end of a handshake that has not completed.
#[derive(Debug)]
pub(super) enum Ending {
    /// One of the sides has refused the other.
    Refused(Refusal),
    TimedOut,
    /// The server is stopping.
    Drained,
    Disconnected,
}

/// The kind of a complete handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Full,
    /// It has resumed an earlier session.
    Resumed,
}

impl Connecting {
    pub(super) fn new(peer: &Peer, until: Time) -> Self {
        Self {
            id: peer.id,
            address: peer.address,
            until,
            number: None,
            phase: Phase::Silent,
            wire: Wire::Open,
        }
    }

    /// Handles an event.
    pub(super) fn advance(
        &mut self,
        event: Event,
        (config, queue): (&Config, &mut Queue),
        cx: &mut Context<'_>,
    ) -> Result<Progress, Ending> {
        match (event, self.number) {
            (Event::Timeout, _) => return Err(Ending::TimedOut),
            (Event::Drain, _) => return Err(Ending::Drained),
            (Event::Eof, _) => self.wire = Wire::Ended,
            (Event::Timer(timer::HURRY), Some(number)) if queue.gives_way(number) => {
                return Err(Ending::TimedOut);
            }
            (Event::Timer(timer::TURN), Some(number)) if queue.has_turn(number) => {
                self.take_turn(config, cx).map_err(Ending::Refused)?;
                queue.end_turn(number, cx);
            }
            _ => {}
        }
        self.receive(queue, cx)
    }

    /// Takes a step that may cost a private-key operation.
    fn take_turn(&mut self, config: &Config, cx: &mut Context<'_>) -> Result<(), Refusal> {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Queued(hello) => {
                config.counted().begun();
                Phase::InFlight(hello.begin(config, cx)?)
            }
            Phase::InFlight(mut session) => {
                if let Some(bytes) = first_message(cx) {
                    session.receive_handshake(bytes, cx)?;
                }
                Phase::InFlight(session)
            }
            phase => phase,
        };
        Ok(())
    }

    /// Receives a ClientHello, or queues for the step that receives another message.
    fn receive(&mut self, queue: &mut Queue, cx: &mut Context<'_>) -> Result<Progress, Ending> {
        match &self.phase {
            Phase::Silent | Phase::Hello(_) => {
                self.receive_hello(cx).map_err(Ending::Refused)?;
                if let Phase::Queued(_) = self.phase {
                    self.number = Some(queue.join(self.id, cx));
                }
            }
            Phase::InFlight(session) if session.is_complete() => {
                queue.leave(self.id, self.number, cx);
                return Ok(self.complete());
            }
            Phase::InFlight(_) => {
                if first_message(cx).is_some() {
                    self.rejoin(queue, cx);
                }
            }
            Phase::Queued(_) | Phase::Over => {}
        }
        self.wait(queue)
    }

    fn rejoin(&self, queue: &mut Queue, cx: &mut Context<'_>) {
        if let Some(number) = self.number
            && !queue.is_queued(number)
        {
            queue.rejoin(self.id, number, cx);
        }
    }

    fn wait(&self, queue: &Queue) -> Result<Progress, Ending> {
        let until = self.until;
        let is_queued = self.number.is_some_and(|number| queue.is_queued(number));
        let may_complete = is_queued && matches!(self.phase, Phase::InFlight(_));
        if self.wire == Wire::Ended && !may_complete {
            return Err(Ending::Disconnected);
        }
        Ok(Progress::Waits(match is_queued {
            true => Handshake::Pause { until },
            false => Handshake::Read { until },
        }))
    }

    fn complete(&mut self) -> Progress {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::InFlight(session) => {
                debug!("TLS: {} with {}: {session}", self.id, self.address);
                Progress::Complete(session)
            }
            _ => unreachable!("only a handshake in flight completes"),
        }
    }

    /// Receives the messages that are whole, until the ClientHello is.
    fn receive_hello(&mut self, cx: &mut Context<'_>) -> Result<(), Refusal> {
        while let Some(bytes) = first_message(cx) {
            let mut hello = match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Silent => Hello::default(),
                Phase::Hello(hello) => hello,
                phase => {
                    self.phase = phase;
                    return Ok(());
                }
            };
            self.phase = match hello.receive(bytes, cx)? {
                None => Phase::Hello(hello),
                Some(hello) => Phase::Queued(hello),
            };
        }
        Ok(())
    }

    /// Removes a connection that has failed from the queue.
    pub(super) fn leave(&self, ending: &Ending, queue: &mut Queue, cx: &mut ServiceContext) {
        debug!("TLS: {} with {}: {ending}", self.id, self.address);
        queue.leave(self.id, self.number, cx);
    }
}

/// Returns how many bytes of the input are one step's. More than the loop holds are several steps'.
fn first_message(cx: &Context<'_>) -> Option<usize> {
    let input = cx.input();
    let is_full = input.len() >= cx.limits().input_bytes_max;
    record::first_message(input).or(is_full.then_some(input.len()))
}

impl Ending {
    pub(super) fn reason(&self) -> CloseReason {
        match self {
            Self::Refused(_) => CloseReason::HandshakeFailed,
            Self::TimedOut => CloseReason::Timeout,
            Self::Drained => CloseReason::Shutdown,
            Self::Disconnected => CloseReason::Eof,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "handshake failed: {refusal}"),
            Self::TimedOut => f.write_str("handshake timed out"),
            Self::Drained => f.write_str("server stops during the handshake"),
            Self::Disconnected => f.write_str("disconnected during the handshake"),
        }
    }
}
