//! Many clients on one thread, for measured batches of work.
//!
//! A [`Fleet`] is our own reactor whose sessions are outbound connections. It opens them first, and
//! then exchanges a given number of names on some of them, so that only exchanges are timed. It
//! verifies every byte of the answers: a wrong answer is an error.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use oneloop::{Connect, EndReason, Limits, Reactor, Tag};

mod clients;

use clients::{Clients, Conduct};

/// Connections to one server, all of them greeted.
pub struct Fleet {
    reactor: Reactor<Clients>,
    server: SocketAddr,
    tags: u32,
}

/// A batch of exchanges.
#[derive(Clone, Debug)]
pub struct Work {
    /// The connections that take part, in the order of their greetings.
    pub active: Range<usize>,
    /// The number of names in one write.
    pub depth: u32,
    /// The total number of exchanges.
    pub exchanges: u64,
}

impl Work {
    /// Creates a batch of `rounds` rounds on `active` connections.
    pub fn rounds(active: usize, depth: u32, rounds: u64) -> Self {
        Self {
            active: 0..active,
            depth,
            exchanges: active as u64 * u64::from(depth) * rounds,
        }
    }
}

impl Fleet {
    /// Creates a fleet for `server`, without connections.
    ///
    /// # Errors
    /// If no poller can be created.
    pub fn to(server: SocketAddr) -> io::Result<Self> {
        let limits = Limits {
            outbound_max: 100_000,
            connect_timeout: PATIENCE,
            ..Limits::default()
        };
        Ok(Self {
            reactor: Reactor::new(Clients::new(PATIENCE), limits)?,
            server,
            tags: 0,
        })
    }

    /// Opens connections to `server`: see [`grow_to`](Self::grow_to).
    ///
    /// # Errors
    /// As for [`grow_to`](Self::grow_to).
    pub fn open(server: SocketAddr, connections: usize) -> io::Result<Self> {
        let mut fleet = Self::to(server)?;
        fleet.grow_to(connections)?;
        Ok(fleet)
    }

    /// Opens connections up to a total of `connections`, in small groups so that no backlog
    /// overflows.
    ///
    /// # Errors
    /// If a connection is not greeted correctly within a minute.
    pub fn grow_to(&mut self, connections: usize) -> io::Result<()> {
        while self.greeted() < connections {
            let group = (connections - self.greeted()).min(GROUP);
            self.open_at_once(group)?;
        }
        Ok(())
    }

    /// Opens connections as [`grow_to`](Self::grow_to) does, with one exchange on each new one.
    ///
    /// # Errors
    /// As for [`grow_to`](Self::grow_to) and [`exchange`](Self::exchange).
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

    /// Opens that many more connections at once, and waits until each is greeted. Returns the time
    /// taken.
    ///
    /// # Errors
    /// As for [`grow_to`](Self::grow_to).
    pub fn open_at_once(&mut self, connections: usize) -> io::Result<Duration> {
        let wanted = self.greeted() + connections;
        let started = Instant::now();
        for _ in 0..connections {
            self.connect();
        }
        self.turn_until(|clients| clients.greeted() >= wanted)?;
        Ok(started.elapsed())
    }

    /// Exchanges names, each connection as fast as it is answered. Returns the time taken.
    ///
    /// # Errors
    /// If an answer is wrong, or does not arrive within a minute.
    pub fn exchange(&mut self, work: Work) -> io::Result<Duration> {
        let started = Instant::now();
        self.reactor.service_mut().hand_out(work);
        self.turn_until(Clients::has_finished)?;
        Ok(started.elapsed())
    }

    /// Runs whole conversations, from the connect to the goodbye, `at_once` of them at a time.
    /// Returns the time taken.
    ///
    /// # Errors
    /// If an answer is wrong, or does not arrive within a minute.
    pub fn converse(&mut self, conversations: u64, at_once: u64) -> io::Result<Duration> {
        self.have_conversations(Conduct::Converse, conversations, at_once)
    }

    /// Runs conversations as [`converse`](Self::converse) does, with a name and `exit` in one
    /// write.
    ///
    /// # Errors
    /// As for [`converse`](Self::converse).
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
        let clients = self.reactor.service_mut();
        clients.conduct = conduct;
        clients.hand_out(Work {
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

    /// Returns the number of open, greeted connections.
    pub fn greeted(&self) -> usize {
        self.reactor.service().greeted()
    }

    fn finished(&self) -> u64 {
        self.reactor.counters().ended(EndReason::Completed)
    }

    fn connect(&mut self) {
        let from = self.next_source();
        let connect = Connect::tcp(self.server).tag(Tag::new(self.tags.into()));
        self.reactor.connect(match from {
            Some(from) => connect.from(from),
            None => connect,
        });
        self.tags = self.tags.wrapping_add(1);
    }

    /// Returns the addresses of the loopback network in turn, where it has more than one. A pair of
    /// ports stays in TIME_WAIT for a while, so one address would run out of ports.
    fn next_source(&self) -> Option<IpAddr> {
        let is_loopback = self.server.ip().is_loopback() && self.server.is_ipv4();
        let host = 2 + (self.tags % 250) as u8;
        (cfg!(target_os = "linux") && is_loopback).then(|| Ipv4Addr::new(127, 0, 0, host).into())
    }

    fn turn_until(&mut self, done: impl Fn(&Clients) -> bool) -> io::Result<()> {
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

/// Longer than any working server takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Below the backlog of every server.
const GROUP: usize = 100;
