//! Checks the loop's accepts against the limits alone.
//!
//! The door sees every attempt to accept and every socket that is closed. From the limits it
//! derives which connections must be admitted, when the loop must not accept from a listener, and
//! when it must try again.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use oneloop::net::AcceptError;
use oneloop::{Limits, Time, WhenFull};

use super::oracle::Verdict;

/// All listeners, and the sockets accepted from them.
#[derive(Debug)]
pub struct Door {
    limits: Limits,
    listeners: HashMap<SocketAddr, Listening>,
    admitted: HashMap<SocketAddr, ()>,
    by_address: HashMap<IpAddr, usize>,
    /// Time at which a place last became free after the server had been full.
    room_since: Time,
    /// Connections that are being refused; true from the turn after the refusal on.
    refused: HashMap<SocketAddr, bool>,
}

/// The state of one listener.
#[derive(Clone, Copy, Debug, Default)]
struct Listening {
    /// Number of accepts in this turn.
    asked: usize,
    /// Failed accepts since one succeeded, the queue was empty, or the listener began to back off.
    failures: usize,
    /// End of its back-off; the loop must not accept from it before.
    rests_until: Time,
}

/// The decision about a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    Refused,
}

impl Door {
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            listeners: HashMap::new(),
            admitted: HashMap::new(),
            by_address: HashMap::new(),
            room_since: Time::START,
            refused: HashMap::new(),
        }
    }

    /// Notes the end of a turn.
    ///
    /// # Errors
    /// If more refused connections linger than `refusals_max`.
    pub fn turn_ends(&mut self) -> Verdict {
        for listening in self.listeners.values_mut() {
            listening.asked = 0;
        }
        // A connection that is in the ready queue is closed in its turn.
        let linger = self.refused.values().filter(|&&lingers| lingers).count();
        self.refused
            .values_mut()
            .for_each(|lingers| *lingers = true);
        let most = self.limits.refusals_max;
        if linger > most {
            return Err(format!("{linger} linger at the door, {most} may"));
        }
        Ok(())
    }

    /// Checks an accept on a listener.
    ///
    /// # Errors
    /// If the listener was backing off or had used its accepts of the turn, or if a full server
    /// must let connections queue.
    pub fn asked(
        &mut self,
        now: Time,
        address: SocketAddr,
        result: Result<SocketAddr, &io::Error>,
    ) -> Verdict {
        let verdict = self.check_asking(now, address);
        let retry = now + self.limits.accept_retry;
        let failures_max = self.limits.turn_accepts_max;
        let listening = self.listeners.entry(address).or_default();
        listening.asked += 1;
        match result.map_err(AcceptError::of) {
            Ok(_) | Err(AcceptError::WouldBlock) => listening.failures = 0,
            Err(AcceptError::Transient) => {
                listening.failures += 1;
                if listening.failures >= failures_max {
                    listening.failures = 0;
                    listening.rests_until = retry;
                }
            }
            // Unless a connection can be refused instead.
            Err(AcceptError::Exhausted) => {
                if self.limits.when_full == WhenFull::Queue {
                    listening.failures = 0;
                }
                listening.rests_until = retry;
            }
            Err(_) => {} // the listener is broken
        }
        verdict
    }

    /// Notes an attempt to refuse a connection for which no descriptor is free.
    pub fn shed(&mut self, address: SocketAddr, result: Result<SocketAddr, &io::Error>) {
        let listening = self.listeners.entry(address).or_default();
        let failure = result.err().map(AcceptError::of);
        if failure.is_some() {
            listening.failures = 0;
        }
        if failure.is_none() || failure == Some(AcceptError::WouldBlock) {
            listening.rests_until = Time::START;
        }
    }

    /// Notes an accepted connection, and returns the decision about it.
    pub fn accepted(&mut self, peer: SocketAddr) -> Admission {
        let from_there = self.by_address.entry(peer.ip()).or_default();
        let per_address = self.limits.connections_per_address_max;
        let is_full = self.admitted.len() >= self.limits.connections_max;
        if is_full || per_address.is_some_and(|most| *from_there >= most) {
            self.refused.insert(peer, false);
            return Admission::Refused;
        }
        *from_there += 1;
        self.admitted.insert(peer, ());
        Admission::Admitted
    }

    /// Notes a closed socket: a descriptor is free, so no listener backs off any longer.
    pub fn closed(&mut self, now: Time, peer: SocketAddr) {
        if self.is_shut() {
            self.room_since = now;
        }
        self.refused.remove(&peer);
        if self.admitted.remove(&peer).is_some() {
            let from_there = self.by_address.get_mut(&peer.ip());
            *from_there.expect("it was counted") -= 1;
        }
        for listening in self.listeners.values_mut() {
            listening.rests_until = listening.rests_until.min(now);
        }
    }

    /// Returns the number of admitted connections.
    pub fn inside(&self) -> usize {
        self.admitted.len()
    }

    /// Returns the time since which an accept is due, if a connection has waited since `since`.
    pub fn overdue_since(&self, address: SocketAddr, since: Time) -> Option<Time> {
        if self.is_shut() {
            return None;
        }
        let listening = self.listeners.get(&address).copied().unwrap_or_default();
        Some(since.max(listening.rests_until).max(self.room_since))
    }

    /// Returns true while the server is full and new connections must wait.
    fn is_shut(&self) -> bool {
        let Limits {
            when_full,
            connections_max,
            ..
        } = self.limits;
        when_full == WhenFull::Queue && self.inside() >= connections_max
    }

    fn check_asking(&self, now: Time, address: SocketAddr) -> Verdict {
        let listening = self.listeners.get(&address).copied().unwrap_or_default();
        let most = self.limits.turn_accepts_max;
        if listening.asked >= most {
            return Err(format!("{address} was asked more than {most} times a turn"));
        }
        if now < listening.rests_until {
            let left = listening.rests_until - now;
            return Err(format!("{address} was asked {left:?} before its rest ends"));
        }
        if self.is_shut() {
            return Err(format!("{address} was asked although the server is full"));
        }
        Ok(())
    }
}
