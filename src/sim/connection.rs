//! A connection: two endpoints, and a pipe in each direction.

use std::io;
use std::net::SocketAddr;

use super::LinkProfile;
use super::pipe::Pipe;
use super::poller::{ReadySet, Registration};
use oneloop::Time;

/// Identifies one endpoint of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndpointId {
    pub(super) connection: usize,
    pub(super) side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The endpoint that connects (RFC 9293: active open).
    Active,
    /// The endpoint that listens (passive open).
    Passive,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) to: SocketAddr,
    active: Endpoint,
    passive: Endpoint,
}

/// One endpoint, with its outgoing pipe.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) owner: Owner,
    pub(super) state: TcpState,
    pub(super) registration: Option<Registration>,
    pub(super) outgoing: Pipe,
    pub(super) starvation: Starvation,
}

/// The times since which the loop has neglected an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Starvation {
    /// Input is readable since then, or since the last attempt to read it.
    pub(super) read: Option<Time>,
    /// The last write was short.
    pub(super) write_blocked: bool,
    /// The rest could be written since then.
    pub(super) write: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The loop under test, which also owns connections in a listener's queue.
    Loop,
    Client(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TcpState {
    Connecting,
    Open,
    /// Failed. The next call returns the error, unless it was reported.
    Broken {
        error: io::ErrorKind,
        reported: bool,
    },
    Closed,
    /// Sends and acknowledges nothing. Its peer times out once it has unacknowledged data.
    Unreachable {
        retransmitting: bool,
    },
}

impl EndpointId {
    pub(super) fn new(connection: usize, side: Side) -> Self {
        Self { connection, side }
    }

    pub(super) fn other(self) -> Self {
        let side = match self.side {
            Side::Active => Side::Passive,
            Side::Passive => Side::Active,
        };
        Self { side, ..self }
    }
}

impl Connection {
    pub(super) fn new(active: Endpoint, passive: Endpoint) -> Self {
        Self {
            to: passive.address,
            active,
            passive,
        }
    }

    pub(super) fn end_mut(&mut self, side: Side) -> &mut Endpoint {
        match side {
            Side::Active => &mut self.active,
            Side::Passive => &mut self.passive,
        }
    }

    pub(super) fn end(&self, side: Side) -> &Endpoint {
        match side {
            Side::Active => &self.active,
            Side::Passive => &self.passive,
        }
    }
}

impl Endpoint {
    pub(super) fn new(
        address: SocketAddr,
        owner: Owner,
        link: LinkProfile,
        send_buffer: usize,
    ) -> Self {
        Self {
            address,
            owner,
            state: TcpState::Connecting,
            registration: None,
            outgoing: Pipe::new(link, send_buffer),
            starvation: Starvation::default(),
        }
    }

    /// Notes that the endpoint became ready at `now`.
    pub(super) fn note_ready(&mut self, ready: ReadySet, now: Time) {
        if ready.any_of(ReadySet::EOF) {
            self.starvation.read.get_or_insert(now);
        }
        if ready.any_of(ReadySet::WRITE) && self.starvation.write_blocked {
            self.starvation.write.get_or_insert(now);
        }
    }

    /// Returns since when the loop has neglected its next operation: the write if one is blocked,
    /// because input may wait for it, else the read.
    pub(super) fn starved_since(&self) -> Option<Time> {
        if self.starvation.write_blocked {
            self.starvation.write
        } else {
            self.starvation.read
        }
    }

    /// Returns the error that broke the connection, once.
    pub(super) fn take_error(&mut self) -> Option<io::ErrorKind> {
        match &mut self.state {
            TcpState::Broken { error, reported } if !*reported => {
                *reported = true;
                Some(*error)
            }
            _ => None,
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        matches!(self.state, TcpState::Broken { .. })
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, TcpState::Open | TcpState::Unreachable { .. })
    }

    /// Returns the operations that are possible, given the incoming pipe.
    pub(super) fn present(&self, incoming: &Pipe) -> ReadySet {
        let mut ready = ReadySet::NONE;
        if self.is_broken() {
            ready |= ReadySet::ERROR;
        }
        if incoming.arrived() > 0 {
            ready |= ReadySet::READ;
        }
        if incoming.has_finished() {
            ready |= ReadySet::EOF;
        }
        if self.is_connected() && self.outgoing.is_roomy() {
            ready |= ReadySet::WRITE;
        }
        ready
    }
}
