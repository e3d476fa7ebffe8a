//! What is to be done in one run.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The server.
    pub target: SocketAddr,
    /// The local addresses to connect from, in turn. Empty: the system chooses.
    pub sources: Vec<IpAddr>,
    /// What the connections do.
    pub scenario: Scenario,
    /// How many there are. At least 1.
    pub connections: u32,
    /// How many were asked for; more than there are if descriptors did not suffice.
    pub asked: u32,
    /// What ends a name.
    pub framing: Framing,
    /// How long is measured.
    pub duration: Duration,
    /// How long the connections work before that, unmeasured.
    pub warm_up: Duration,
    /// Over how long the connections are opened. Zero: as fast as the server takes them.
    pub ramp: Duration,
    /// An answer that takes longer than this is late, and so is a connection.
    pub timeout: Duration,
    /// How long answers are waited for at the end; those that have not come by then are missing.
    pub grace: Duration,
}

/// What the connections do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scenario {
    /// All exchange names for greetings.
    Exchange(Pace),
    /// All hold whole conversations, one after the other: connect, say this many names, `exit`.
    Churn {
        /// Names in each conversation.
        names: u32,
    },
    /// All are held open in silence, and then proved to be alive by an exchange each.
    Idle,
    /// Some exchange names among others that are idle.
    Mixed {
        /// How many do.
        active: u32,
        /// How they do.
        pace: Pace,
    },
}

/// When a name is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As soon as an answer has come, so that each connection always waits for this many.
    Closed {
        /// Names that a connection waits for.
        in_flight: u32,
    },
    /// When it is due, by a fixed schedule, whatever the server does.
    Open {
        /// Names per second, of all connections together.
        rate: f64,
        /// The most names a connection waits for; those due beyond that wait for their turn, and
        /// their time counts.
        in_flight: u32,
    },
}

/// What ends a name that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A line feed.
    Line,
    /// Silence: nothing is sent behind the name, and nothing until it is answered.
    Silence,
}

impl Plan {
    /// The connections that work; the others are idle. Those that work come first.
    #[must_use]
    pub fn active(&self) -> u32 {
        match self.scenario {
            Scenario::Exchange(_) | Scenario::Churn { .. } => self.connections,
            Scenario::Idle => 0,
            Scenario::Mixed { active, .. } => active.min(self.connections),
        }
    }

    /// When names are sent. Conversations and proofs of life wait for each answer.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match self.scenario {
            Scenario::Exchange(pace) | Scenario::Mixed { pace, .. } => pace,
            Scenario::Churn { .. } | Scenario::Idle => Pace::Closed { in_flight: 1 },
        }
    }
}

impl Scenario {
    /// The scenario's name, as the command line has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exchange(_) => "exchange",
            Self::Churn { .. } => "churn",
            Self::Idle => "idle",
            Self::Mixed { .. } => "mixed",
        }
    }

    /// What is counted and timed.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Churn { .. } => "conversation",
            Self::Exchange(_) | Self::Idle | Self::Mixed { .. } => "exchange",
        }
    }
}

impl Pace {
    /// The most names that a connection waits for. At least 1.
    #[must_use]
    pub const fn in_flight(self) -> u32 {
        let (Self::Closed { in_flight } | Self::Open { in_flight, .. }) = self;
        if in_flight == 0 { 1 } else { in_flight }
    }
}

impl Framing {
    /// The framing's name, as the command line has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Silence => "silence",
        }
    }

    /// What is sent behind a name.
    pub(crate) const fn ending(self) -> &'static [u8] {
        match self {
            Self::Line => b"\n",
            Self::Silence => b"",
        }
    }
}
