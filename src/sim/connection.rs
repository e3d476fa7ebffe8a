//! A connection: two ends and a pipe each way.

use std::io;
use std::net::SocketAddr;

use super::Link;
use super::pipe::Pipe;
use super::poller::{Hints, Registration};
use oneloop::Time;

/// One end of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) connection: usize,
    pub(super) side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Who connected.
    Caller,
    /// Who was connected to.
    Called,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) to: SocketAddr,
    caller: End,
    called: End,
}

/// One end, with the pipe that leads away from it.
#[derive(Debug)]
pub(super) struct End {
    pub(super) address: SocketAddr,
    pub(super) owner: Owner,
    pub(super) presence: Presence,
    pub(super) registration: Option<Registration>,
    pub(super) outgoing: Pipe,
    pub(super) care: Care,
}

/// Since when the loop could have done something at its end, and has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Care {
    /// There has been something to read, since it came or since the last attempt.
    pub(super) read: Option<Time>,
    /// The last write was not taken whole.
    pub(super) owes: bool,
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
pub(super) enum Presence {
    Connecting,
    Open,
    /// Failed; until the error has been reported it is the answer to the next call.
    Broken {
        why: io::ErrorKind,
        reported: bool,
    },
    Closed,
    /// Hears nothing, says nothing. Its peer gives up sometime, once it has sent something.
    Vanished {
        missed: bool,
    },
}

impl At {
    pub(super) fn new(connection: usize, side: Side) -> Self {
        Self { connection, side }
    }

    pub(super) fn other(self) -> Self {
        let side = match self.side {
            Side::Caller => Side::Called,
            Side::Called => Side::Caller,
        };
        Self { side, ..self }
    }
}

impl Connection {
    pub(super) fn new(caller: End, called: End) -> Self {
        Self {
            to: called.address,
            caller,
            called,
        }
    }

    pub(super) fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Caller => &mut self.caller,
            Side::Called => &mut self.called,
        }
    }

    pub(super) fn end(&self, side: Side) -> &End {
        match side {
            Side::Caller => &self.caller,
            Side::Called => &self.called,
        }
    }
}

impl End {
    pub(super) fn new(address: SocketAddr, owner: Owner, link: Link, send_buffer: usize) -> Self {
        Self {
            address,
            owner,
            presence: Presence::Connecting,
            registration: None,
            outgoing: Pipe::new(link, send_buffer),
            care: Care::default(),
        }
    }

    /// Something has become possible at `now`.
    pub(super) fn note_possible(&mut self, hints: Hints, now: Time) {
        if hints.any_of(Hints::FINISHED) {
            self.care.read.get_or_insert(now);
        }
        if hints.any_of(Hints::WRITE) && self.care.owes {
            self.care.write.get_or_insert(now);
        }
    }

    /// Since when the loop has left undone what it could do first: while output is owed, that is
    /// to write, and input may wait.
    pub(super) fn neglected_since(&self) -> Option<Time> {
        if self.care.owes {
            self.care.write
        } else {
            self.care.read
        }
    }

    /// The error that the next call meets, if the connection is broken: first what broke it, then
    /// that it is broken.
    pub(super) fn take_error(&mut self) -> Option<io::ErrorKind> {
        match &mut self.presence {
            Presence::Broken { why, reported } if !*reported => {
                *reported = true;
                Some(*why)
            }
            _ => None,
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        matches!(self.presence, Presence::Broken { .. })
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.presence, Presence::Open | Presence::Vanished { .. })
    }

    /// What would be possible at this end, given what comes in.
    pub(super) fn present(&self, incoming: &Pipe) -> Hints {
        let mut hints = Hints::NONE;
        if self.is_broken() {
            hints |= Hints::BROKEN;
        }
        if incoming.arrived() > 0 {
            hints |= Hints::READ;
        }
        if incoming.has_finished() {
            hints |= Hints::FINISHED;
        }
        if self.is_connected() && self.outgoing.is_roomy() {
            hints |= Hints::WRITE;
        }
        hints
    }
}
