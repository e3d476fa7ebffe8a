//! A connection: two ends and a pipe each way.

use std::io;
use std::net::SocketAddr;

use super::LinkProfile;
use super::pipe::Pipe;
use super::poller::{ReadySet, Registration};
use oneloop::Time;

/// One end of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndpointId {
    pub(super) connection: usize,
    pub(super) side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Who connected.
    Active,
    /// Who was connected to.
    Passive,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) to: SocketAddr,
    active: Endpoint,
    passive: Endpoint,
}

/// One end, with the pipe that leads away from it.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) owner: Owner,
    pub(super) state: TcpState,
    pub(super) registration: Option<Registration>,
    pub(super) outgoing: Pipe,
    pub(super) starvation: Starvation,
}

/// Since when the loop could have done something at its end, and has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Starvation {
    /// There has been something to read, since it came or since the last attempt.
    pub(super) read: Option<Time>,
    /// The last write was not taken whole.
    pub(super) write_blocked: bool,
    /// There has been room for the rest of it.
    pub(super) write: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The loop under test; in a listener's queue, too.
    Loop,
    Client(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TcpState {
    Connecting,
    Open,
    /// Failed; until the error has been reported it is the answer to the next call.
    Broken {
        error: io::ErrorKind,
        reported: bool,
    },
    Closed,
    /// Hears nothing, says nothing. Its peer gives up sometime, once it has sent something.
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

    /// Something has become possible at `now`.
    pub(super) fn note_ready(&mut self, ready: ReadySet, now: Time) {
        if ready.any_of(ReadySet::EOF) {
            self.starvation.read.get_or_insert(now);
        }
        if ready.any_of(ReadySet::WRITE) && self.starvation.write_blocked {
            self.starvation.write.get_or_insert(now);
        }
    }

    /// Since when the loop has left undone what it could do first: while output is owed, that is
    /// to write, and input may wait.
    pub(super) fn starved_since(&self) -> Option<Time> {
        if self.starvation.write_blocked {
            self.starvation.write
        } else {
            self.starvation.read
        }
    }

    /// The error that the next call meets, if the connection is broken: first what broke it, then
    /// that it is broken.
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

    /// What would be possible at this end, given what comes in.
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
