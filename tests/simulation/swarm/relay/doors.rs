//! Checks the accepts of each listener against its own limits and those of all.

use std::collections::HashMap;
use std::net::SocketAddr;

use oneloop::{Time, WhenFull};

use super::plan::{Door, Plan};
use crate::swarm::oracle::Verdict;

/// The listeners, and the sockets accepted from them.
#[derive(Debug)]
pub struct Doors {
    connections_max: usize,
    doors: [State; 3],
    sockets: HashMap<SocketAddr, Socket>,
    /// The time at which a place last became free.
    room_since: Time,
}

#[derive(Debug)]
struct State {
    most: usize,
    reserve: usize,
    when_full: WhenFull,
    admitted: usize,
    /// Connections accepted, and those of them that have ended.
    accepted: u64,
    ended: u64,
}

/// An accepted connection.
#[derive(Clone, Copy, Debug)]
struct Socket {
    door: Door,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There was a place for it; its session is to be opened once it is registered.
    Admitted,
    Registered,
    Open,
    /// Its session is closed.
    Closed,
    /// There was no place for it.
    Refused,
}

impl Doors {
    pub fn new(plan: &Plan) -> Self {
        let state = |door: Door| {
            let places = plan.doors[door as usize];
            State {
                most: places.most,
                reserve: places.reserve,
                when_full: places.when_full,
                admitted: 0,
                accepted: 0,
                ended: 0,
            }
        };
        Self {
            connections_max: plan.limits.connections_max,
            doors: Door::ALL.map(state),
            sockets: HashMap::new(),
            room_since: Time::START,
        }
    }

    /// Returns true if one more connection of this listener is to be served.
    pub fn has_place(&self, door: Door) -> bool {
        let state = &self.doors[door as usize];
        let others = Door::ALL.iter().filter(|&&other| other != door);
        let taken = others.map(|&other| {
            let other = &self.doors[other as usize];
            other.admitted.max(other.reserve)
        });
        state.admitted < state.most && state.admitted + taken.sum::<usize>() < self.connections_max
    }

    /// Checks an attempt to accept.
    ///
    /// # Errors
    /// If new connections of this listener are to wait.
    pub fn asked(&self, door: Door) -> Verdict {
        if self.is_shut(door) {
            return Err(format!("{door:?} was asked although it has no place"));
        }
        Ok(())
    }

    /// Notes an accepted connection.
    pub fn accepted(&mut self, door: Door, peer: SocketAddr) {
        let has_place = self.has_place(door);
        let state = &mut self.doors[door as usize];
        state.accepted += 1;
        let stage = match has_place {
            true => Stage::Admitted,
            false => Stage::Refused,
        };
        state.admitted += usize::from(has_place);
        self.sockets.insert(peer, Socket { door, stage });
    }

    /// Notes that a connection is known to the poller.
    pub fn registered(&mut self, peer: SocketAddr) {
        if let Some(socket) = self.sockets.get_mut(&peer)
            && socket.stage == Stage::Admitted
        {
            socket.stage = Stage::Registered;
        }
    }

    /// Checks that a connection may have a session, and is of this listener.
    ///
    /// # Errors
    /// If it is refused, or of another listener.
    pub fn opened(&mut self, peer: SocketAddr, name: &str) -> Verdict {
        let socket = self.sockets.get_mut(&peer);
        match socket {
            Some(socket) if socket.stage == Stage::Registered && socket.door.name() == name => {
                socket.stage = Stage::Open;
                Ok(())
            }
            other => Err(format!("a session of {name} opens for {other:?}")),
        }
    }

    /// Notes that a session is closed; its socket was closed before.
    pub fn session_closed(&mut self, peer: SocketAddr) -> Verdict {
        match self.sockets.remove(&peer) {
            Some(socket) if socket.stage == Stage::Closed => Ok(()),
            other => Err(format!("its session is closed before it: {other:?}")),
        }
    }

    /// Notes a closed socket.
    ///
    /// # Errors
    /// If it was to have a session and had none.
    pub fn closed(&mut self, now: Time, peer: SocketAddr) -> Verdict {
        let Some(socket) = self.sockets.get_mut(&peer) else {
            return Ok(()); // not accepted
        };
        let stage = socket.stage;
        let state = &mut self.doors[socket.door as usize];
        state.ended += 1;
        if stage != Stage::Refused {
            state.admitted -= 1;
            self.room_since = now;
        }
        match stage {
            Stage::Open => socket.stage = Stage::Closed,
            _ => drop(self.sockets.remove(&peer)),
        }
        match stage {
            Stage::Registered => Err(format!("{peer} had a place, but got no session")),
            Stage::Closed => Err(format!("{peer} is closed twice")),
            _ => Ok(()),
        }
    }

    /// Checks that each accepted connection is open or ended.
    ///
    /// # Errors
    /// If one is not.
    pub fn check(&self) -> Verdict {
        for (door, state) in Door::ALL.iter().zip(&self.doors) {
            let of_it = |socket: &&Socket| socket.door == *door && socket.stage != Stage::Closed;
            let open = self.sockets.values().filter(of_it).count() as u64;
            if state.accepted != state.ended + open {
                return Err(format!("{door:?}: {state:?}, but {open} are open"));
            }
        }
        Ok(())
    }

    /// Returns the connections of a listener that are open, and those of them that are served.
    pub fn open(&self, door: Door) -> (u64, usize) {
        let state = &self.doors[door as usize];
        (state.accepted - state.ended, state.admitted)
    }

    /// Returns the number of connections accepted and ended, of all listeners.
    pub fn accounts(&self) -> (u64, u64) {
        let add = |sum: (u64, u64), state: &State| (sum.0 + state.accepted, sum.1 + state.ended);
        self.doors.iter().fold((0, 0), add)
    }

    /// Returns the time since which an accept is due, if a connection has waited since `since`.
    pub fn overdue_since(&self, door: Door, since: Time) -> Option<Time> {
        (!self.is_shut(door)).then(|| since.max(self.room_since))
    }

    fn is_shut(&self, door: Door) -> bool {
        self.doors[door as usize].when_full == WhenFull::Queue && !self.has_place(door)
    }
}
