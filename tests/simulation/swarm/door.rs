//! Who may come in, and how often the loop may ask: the rules of the door, kept on their own.
//!
//! The door sees every attempt to accept and every socket that is closed. It knows from the limits
//! alone who must be let in, when a listener must be left in peace, and when it must be asked again.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use oneloop::net::AcceptError;
use oneloop::{Limits, Time, WhenFull};

use super::oracle::Verdict;

/// All listeners, and the sockets that came in through them.
#[derive(Debug)]
pub struct Door {
    limits: Limits,
    listeners: HashMap<SocketAddr, Listening>,
    admitted: HashMap<SocketAddr, ()>,
    by_address: HashMap<IpAddr, usize>,
    /// When a place became free, the last time that none was.
    room_since: Time,
    /// Those that are being turned away; true for one that is so for longer than this turn.
    refused: HashMap<SocketAddr, bool>,
}

/// What is known of one listener.
#[derive(Clone, Copy, Debug, Default)]
struct Listening {
    /// How often it was asked in this turn.
    asked: usize,
    /// Accepts that have failed since one succeeded, the queue was empty, or it began to rest.
    failures: usize,
    /// It is to be left in peace until then.
    rests_until: Time,
}

/// Whether a connection must be let in.
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

    /// A turn is over.
    ///
    /// # Errors
    /// If more linger at the door than may.
    pub fn turn_ends(&mut self) -> Verdict {
        for listening in self.listeners.values_mut() {
            listening.asked = 0;
        }
        // One that stands in line is closed when its turn comes.
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

    /// The loop has asked a listener for a connection.
    ///
    /// # Errors
    /// If it had no right to.
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
            // Unless one can be turned away instead.
            Err(AcceptError::Exhausted) => {
                if self.limits.when_full == WhenFull::Queue {
                    listening.failures = 0;
                }
                listening.rests_until = retry;
            }
            Err(AcceptError::Fatal) => {}
        }
        verdict
    }

    /// The loop has tried to turn away one that it has no descriptor for.
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

    /// A connection has been accepted: says what must become of it.
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

    /// A socket of the loop's is closed: a descriptor is free, and there is no reason to rest.
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

    /// How many are inside.
    pub fn inside(&self) -> usize {
        self.admitted.len()
    }

    /// Since when a listener ought to have been asked, if somebody has waited there since `since`.
    pub fn overdue_since(&self, address: SocketAddr, since: Time) -> Option<Time> {
        if self.is_shut() {
            return None;
        }
        let listening = self.listeners.get(&address).copied().unwrap_or_default();
        Some(since.max(listening.rests_until).max(self.room_since))
    }

    /// True while the server is full and those who come are to wait.
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
