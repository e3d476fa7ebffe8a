//! The plan of a run.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The plan of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The server.
    pub target: SocketAddr,
    /// The local addresses to connect from, in turn. Empty: the system chooses.
    pub sources: Vec<IpAddr>,
    /// The work of the connections.
    pub scenario: Scenario,
    /// The number of connections. At least 1.
    pub connections: u32,
    /// The number of connections wanted; more if descriptors did not suffice.
    pub asked: u32,
    /// The end of each name.
    pub framing: Framing,
    /// The length of the measured part.
    pub duration: Duration,
    /// The time for which the connections work before that, unmeasured.
    pub warm_up: Duration,
    /// The time over which the connections are opened. Zero: as fast as the server takes them.
    pub ramp: Duration,
    /// An answer that takes longer than this is late, and so is a connection.
    pub timeout: Duration,
    /// The wait for a greeting, and for answers at the end; then they are missing.
    pub grace: Duration,
}

/// The work of the connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scenario {
    /// All exchange names for greetings.
    Exchange(Pace),
    /// All hold whole conversations, one after the other: connect, send this many names, `exit`.
    Churn {
        /// Names in each conversation.
        names: u32,
    },
    /// All are held open in silence, and then proved to be alive by an exchange each.
    Idle,
    /// Some exchange names among others that are idle.
    Mixed {
        /// The number of those that work.
        active: u32,
        /// Their pace.
        pace: Pace,
    },
}

/// The times at which names are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As soon as an answer has come, so that each connection always waits for this many.
    Closed {
        /// Names that a connection waits for.
        in_flight: u32,
    },
    /// A name is sent when it is due, by a fixed schedule, whatever the server does.
    Open {
        /// Names per second, of all connections together.
        rate: f64,
        /// The most names a connection waits for; those due beyond that wait for their turn, and
        /// their time counts.
        in_flight: u32,
    },
}

/// The end of each name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A line feed.
    Line,
    /// Silence: nothing is sent behind the name, and nothing until it is answered.
    Silence,
}

impl Plan {
    /// Returns the number of connections that work; the others are idle. Those that work come
    /// first.
    #[must_use]
    pub fn active(&self) -> u32 {
        match self.scenario {
            Scenario::Exchange(_) | Scenario::Churn { .. } => self.connections,
            Scenario::Idle => 0,
            Scenario::Mixed { active, .. } => active.min(self.connections),
        }
    }

    /// Returns the pace. Conversations and proofs of life wait for each answer.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match self.scenario {
            Scenario::Exchange(pace) | Scenario::Mixed { pace, .. } => pace,
            Scenario::Churn { .. } | Scenario::Idle => Pace::Closed { in_flight: 1 },
        }
    }
}

impl Scenario {
    /// Returns the scenario's name, as the command line has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exchange(_) => "exchange",
            Self::Churn { .. } => "churn",
            Self::Idle => "idle",
            Self::Mixed { .. } => "mixed",
        }
    }

    /// Returns the name of the unit that is counted and timed.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Churn { .. } => "conversation",
            Self::Exchange(_) | Self::Idle | Self::Mixed { .. } => "exchange",
        }
    }
}

impl Pace {
    /// Returns the most names that a connection waits for. At least 1.
    #[must_use]
    pub const fn in_flight(self) -> u32 {
        let (Self::Closed { in_flight } | Self::Open { in_flight, .. }) = self;
        if in_flight == 0 { 1 } else { in_flight }
    }
}

impl Framing {
    /// Returns the framing's name, as the command line has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Silence => "silence",
        }
    }

    /// Returns the bytes behind a name.
    pub(crate) const fn ending(self) -> &'static [u8] {
        match self {
            Self::Line => b"\n",
            Self::Silence => b"",
        }
    }
}
