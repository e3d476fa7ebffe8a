//! Many clients on one thread, whose work a benchmark hands out by the piece.
//!
//! A [`Fleet`] is our own reactor used the other way round: every session is an outbound
//! connection. It opens connections, and only then, when told, exchanges so many names over so
//! many of them, and returns. So what is timed is exchanges and nothing else, and every byte that
//! comes is compared with what must come: a server that answers wrongly is an error, not a result.

#![allow(
    dead_code,
    unused_imports,
    reason = "included by path; each benchmark and test uses a part of it"
)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use oneloop::{EndReason, Limits, Reactor};

mod callers;
mod machine;
mod wire;

use callers::{Callers, Conduct};
pub use machine::{descriptors, pin_to};

/// Connections to one server, all of them greeted.
pub struct Fleet {
    reactor: Reactor<Callers>,
    server: SocketAddr,
    tags: u32,
}

/// Exchanges to be had.
#[derive(Clone, Debug)]
pub struct Work {
    /// Which connections take part, by the order in which they were greeted.
    pub active: Range<usize>,
    /// How many names go out in one write.
    pub depth: u32,
    /// How many exchanges there are in all.
    pub exchanges: u64,
}

impl Work {
    /// So many times all of so many connections.
    pub fn rounds(active: usize, depth: u32, rounds: u64) -> Self {
        Self {
            active: 0..active,
            depth,
            exchanges: active as u64 * u64::from(depth) * rounds,
        }
    }
}

impl Fleet {
    /// No connections yet; they will be to `server`.
    ///
    /// # Errors
    /// If there is no poller.
    pub fn to(server: SocketAddr) -> io::Result<Self> {
        let limits = Limits {
            outbound_max: 100_000,
            connect_timeout: PATIENCE,
            ..Limits::default()
        };
        Ok(Self {
            reactor: Reactor::new(Callers::new(PATIENCE), limits)?,
            server,
            tags: 0,
        })
    }

    /// Open connections to `server`: see [`grow_to`](Self::grow_to).
    ///
    /// # Errors
    /// As there.
    pub fn open(server: SocketAddr, connections: usize) -> io::Result<Self> {
        let mut fleet = Self::to(server)?;
        fleet.grow_to(connections)?;
        Ok(fleet)
    }

    /// Opens what is missing to so many connections, in small groups so that no backlog overflows.
    ///
    /// # Errors
    /// If one of them is not greeted within a minute, or not as it should be.
    pub fn grow_to(&mut self, connections: usize) -> io::Result<()> {
        while self.greeted() < connections {
            let group = (connections - self.greeted()).min(GROUP);
            self.open_at_once(group)?;
        }
        Ok(())
    }

    /// As [`grow_to`](Self::grow_to), with one exchange on each new connection.
    ///
    /// # Errors
    /// As there.
    pub fn grow_and_exchange(&mut self, connections: usize) -> io::Result<()> {
        while self.greeted() < connections {
            let before = self.greeted();
            self.grow_to(connections.min(before + GROUP))?;
            let active = before..self.greeted();
            let exchanges = active.len() as u64;
            self.exchange(Work {
                active,
                depth: 1,
                exchanges,
            })?;
        }
        Ok(())
    }

    /// Begins so many more connections in one go, and waits until each is greeted.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_at_once(&mut self, connections: usize) -> io::Result<Duration> {
        let wanted = self.greeted() + connections;
        let started = Instant::now();
        for _ in 0..connections {
            self.connect();
        }
        self.turn_until(|callers| callers.greeted() >= wanted)?;
        Ok(started.elapsed())
    }

    /// Exchanges names: each connection asks as soon as it is answered. Says how long it took.
    ///
    /// # Errors
    /// If an answer is wrong, or does not come within a minute.
    pub fn exchange(&mut self, work: Work) -> io::Result<Duration> {
        let started = Instant::now();
        self.reactor.service_mut().hand_out(work);
        self.turn_until(Callers::has_finished)?;
        Ok(started.elapsed())
    }

    /// Has whole conversations, from the connect to the goodbye, `at_once` of them at a time. Says
    /// how long it took.
    ///
    /// # Errors
    /// If one does not go as it should, within a minute.
    pub fn converse(&mut self, conversations: u64, at_once: u64) -> io::Result<Duration> {
        self.have_conversations(Conduct::Converse, conversations, at_once)
    }

    /// The same in a hurry: a name and `exit` leave in one write.
    ///
    /// # Errors
    /// As [`converse`](Self::converse).
    pub fn blurt(&mut self, conversations: u64, at_once: u64) -> io::Result<Duration> {
        self.have_conversations(Conduct::Blurt, conversations, at_once)
    }

    fn have_conversations(
        &mut self,
        conduct: Conduct,
        conversations: u64,
        at_once: u64,
    ) -> io::Result<Duration> {
        let started = Instant::now();
        let callers = self.reactor.service_mut();
        callers.conduct = conduct;
        callers.hand_out(Work {
            active: 0..0,
            depth: 1,
            exchanges: conversations,
        });
        let before = self.finished();
        let mut begun = 0;
        while self.finished() - before < conversations {
            while begun < conversations && begun - (self.finished() - before) < at_once {
                begun += 1;
                self.connect();
            }
            self.turn()?;
        }
        self.reactor.service_mut().conduct = Conduct::Stay;
        Ok(started.elapsed())
    }

    /// Connections that are open and were greeted.
    pub fn greeted(&self) -> usize {
        self.reactor.service().greeted()
    }

    fn finished(&self) -> u64 {
        self.reactor.counters().ended(EndReason::Completed)
    }

    fn connect(&mut self) {
        let from = self.next_source();
        self.reactor.connect(self.server, from, self.tags);
        self.tags = self.tags.wrapping_add(1);
    }

    /// The addresses of the loopback network in turn, where it has more than one. A pair of ports
    /// rests for a while when its connection has ended, so one address would soon have too few.
    fn next_source(&self) -> Option<IpAddr> {
        let is_loopback = self.server.ip().is_loopback() && self.server.is_ipv4();
        let host = 2 + (self.tags % 250) as u8;
        (cfg!(target_os = "linux") && is_loopback).then(|| Ipv4Addr::new(127, 0, 0, host).into())
    }

    fn turn_until(&mut self, done: impl Fn(&Callers) -> bool) -> io::Result<()> {
        while !done(self.reactor.service()) {
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        self.reactor.turn()?;
        match self.reactor.service_mut().fault.take() {
            Some(fault) => Err(io::Error::other(fault)),
            None => Ok(()),
        }
    }
}

/// Longer than any server takes for anything, unless it has lost us.
const PATIENCE: Duration = Duration::from_secs(60);

/// Below the backlog of every server.
const GROUP: usize = 100;
