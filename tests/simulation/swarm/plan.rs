//! Derives a whole run from one seed: the weather, the limits and the clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use oneloop::{Limits, WhenFull};
use oneloop_greeting::{Config, Framing};
use oneloop_sim::{Faults, LinkProfile, Rng};

use super::population::Character;

/// Everything about a run except its chances.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub poller: Poller,
    pub faults: Faults,
    pub limits: Limits,
    pub config: Config,
    pub descriptors_max: Option<usize>,
    /// Number of the server's listeners.
    pub listeners: u16,
    pub finale: Finale,
    crowd: Crowd,
    /// Decides, if given, the clients and their actions: each client uses a part of it.
    pub clients: Option<Vec<u8>>,
    /// Probability that a session panics in a step.
    pub panics: f64,
}

/// The kind of poller that the network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poller {
    Edge,
    Rearmed,
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finale {
    /// The server drains in the middle of the run.
    Drain,
    /// No more clients connect; the server drains once all have disconnected.
    Farewell,
}

/// The kinds of clients, and their rate.
#[derive(Clone, Debug)]
struct Crowd {
    characters: Vec<Character>,
    pause: Duration,
    addresses: u64,
}

/// One client.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub character: Character,
    pub address: SocketAddr,
    /// Number of the listener that it connects to.
    pub listener: u16,
    pub link: LinkProfile,
    /// Time between the previous client's connection and this one's.
    pub pause: Duration,
    /// Decides all its actions.
    pub random: Rng,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        Self::drawn(seed, &mut Rng::new(seed))
    }

    /// Draws a plan from another source of chance; `seed` still decides the clients.
    pub fn drawn(seed: u64, random: &mut Rng) -> Self {
        let config = config(random);
        Self {
            seed,
            poller: random.choose(&[Poller::Edge, Poller::Edge, Poller::Rearmed]),
            faults: faults(random),
            limits: with_gathering(limits(random, &config), seed),
            config,
            descriptors_max: random
                .random_bool(0.2)
                .then(|| random.magnitude(1..=40) as usize),
            listeners: random.choose(&[1, 1, 2, 3]),
            finale: random.choose(&[Finale::Drain, Finale::Farewell]),
            crowd: Crowd::drawn(random),
            clients: None,
            panics: if random.random_bool(0.25) { 0.05 } else { 0.0 },
        }
    }

    /// Returns the client with this number. It does not depend on the other clients.
    pub fn visitor(&self, number: usize) -> Visitor {
        let mut random = match self.script_of(number) {
            Some(script) => Rng::scripted(script),
            None => Rng::new(self.seed.rotate_left(32) ^ (number as u64 + 1)),
        };
        let character = random.choose(&self.crowd.characters);
        let host = 1 + random.range(1..=self.crowd.addresses) as u8;
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 1, host));
        Visitor {
            character,
            address: SocketAddr::new(ip, FIRST_PORT + number as u16),
            listener: random.below(self.listeners.into()) as u16,
            link: character.link(&mut random),
            pause: random.duration_up_to(self.crowd.pause),
            random,
        }
    }

    fn script_of(&self, number: usize) -> Option<&[u8]> {
        self.clients.as_ref()?.chunks(BYTES_PER_CLIENT).nth(number)
    }

    /// Returns true if no fault or limit of this run can merge two writes into one arrival.
    pub fn keeps_messages_apart(&self) -> bool {
        let Faults {
            short_writes,
            needless_blocks,
            interruptions,
            ..
        } = self.faults;
        short_writes + needless_blocks + interruptions == 0.0
            && self.limits.send_buffer_bytes >= 4096
    }

    /// Returns true if all bytes in flight when the server closes arrive while it lingers.
    pub fn lingers_long_enough_for(&self, visitor: &Visitor) -> bool {
        let bytes = match visitor.character {
            Character::Polite => LONGEST_NAME,
            Character::Pipelining => LONGEST_PIPELINE,
            Character::Talkative => LONGEST_TALK,
            _ => return false,
        };
        let (link, limits) = (&visitor.link, &self.limits);
        let sending = Duration::from_secs(bytes) / link.bytes_per_second as u32;
        let round = *link.latency.end() * 2 + link.hold + sending + Duration::from_millis(300);
        let window = link
            .receive_buffer_bytes
            .min(limits.receive_buffer_bytes as usize);
        let room = limits.linger_bytes_max.min(window) as u64;
        room > bytes && limits.linger_timeout > round
    }

    /// Returns true if a connection breaks only by its client's own action.
    pub fn breaks_nothing(&self) -> bool {
        let Faults {
            read_resets,
            write_breaks,
            ..
        } = self.faults;
        read_resets + write_breaks == 0.0
    }
}

/// Returns the number of the client at an address.
pub fn number_of(address: SocketAddr) -> usize {
    usize::from(address.port() - FIRST_PORT)
}

impl Crowd {
    fn drawn(random: &mut Rng) -> Self {
        let mut characters: Vec<_> = Character::ALL
            .into_iter()
            .filter(|_| random.random_bool(0.4))
            .collect();
        if characters.is_empty() {
            characters.push(random.choose(&Character::ALL));
        }
        Self {
            characters,
            pause: Duration::from_micros(random.magnitude(100..=3_000_000)),
            addresses: random.range(1..=8),
        }
    }
}

fn faults(random: &mut Rng) -> Faults {
    if random.random_bool(0.1) {
        Faults::NONE
    } else {
        Faults::sample(random)
    }
}

fn config(random: &mut Rng) -> Config {
    Config {
        framing: random.choose(&[
            Framing::Auto,
            Framing::Auto,
            Framing::Line,
            Framing::Silence,
        ]),
        quiet_gap: millis(random, 5..=100),
        name_timeout: millis(random, 1_000..=60_000),
        name_bytes_max: random.magnitude(4..=1024) as usize,
        mistakes_max: random.range(0..=10) as u8,
    }
}

fn limits(random: &mut Rng, config: &Config) -> Limits {
    let name = config.name_bytes_max as u64;
    let mark = random.magnitude(1..=8192);
    let input = name + 2 + random.magnitude(1..=8192);
    Limits {
        connections_max: random.magnitude(1..=128) as usize,
        connections_per_address_max: random
            .random_bool(0.3)
            .then(|| random.magnitude(1..=16) as usize),
        when_full: random.choose(&[WhenFull::Refuse, WhenFull::Queue]),
        refusals_max: random.range(0..=16) as usize,
        backlog: random.magnitude(1..=128) as u32,
        receive_buffer_bytes: random.magnitude(64..=65_536) as u32,
        send_buffer_bytes: random.magnitude(16..=65_536) as u32,
        input_bytes_max: input as usize,
        input_bytes_hard_max: None,
        output_bytes_mark: mark as usize,
        output_bytes_max: (mark + input.max(longest_answer(config))) as usize,
        turn_bytes_max: random.magnitude(1..=65_536) as usize,
        turn_accepts_max: random.magnitude(1..=64) as usize,
        turn_deadlines_max: random.magnitude(1..=256) as usize,
        write_timeout: millis(random, 1_000..=30_000),
        write_progress_bytes: random.magnitude(1..=8192) as usize,
        outbound_max: 16,
        linger_timeout: millis(random, 10..=2_000),
        linger_bytes_max: random.magnitude(1..=65_536) as usize,
        connect_timeout: Duration::from_secs(10),
        accept_retry: millis(random, 1..=20_000),
        drain_timeout: millis(random, 100..=10_000),
        timeout_min_under_load: millis(random, 500..=2_000),
        wait_max: Duration::from_secs(3600),
        ..Limits::default()
    }
}

/// Lets events gather, for some seeds. From chance of its own, so that the rest of a plan is the same
/// with and without.
pub(super) fn with_gathering(limits: Limits, seed: u64) -> Limits {
    let mut random = Rng::new(seed ^ GATHERING);
    if random.random_bool(0.8) {
        return limits;
    }
    Limits {
        gather_time: Duration::from_micros(random.magnitude(1..=10_000)),
        gather_events: random.magnitude(1..=16) as usize,
        ..limits
    }
}

/// Draws the budgets of a turn, and the calls that may wait.
pub(super) fn with_budgets(limits: Limits, random: &mut Rng) -> Limits {
    Limits {
        turn_bytes_max: random.magnitude(1..=65_536) as usize,
        turn_accepts_max: random.magnitude(1..=32) as usize,
        turn_deadlines_max: random.magnitude(1..=32) as usize,
        turn_calls_max: random.magnitude(1..=32) as usize,
        calls_max: random.magnitude(1..=64) as usize,
        ..limits
    }
}

/// Returns the longest output for one name, in bytes. It is the greeting or a complaint, and the
/// question or last message.
pub fn longest_answer(config: &Config) -> u64 {
    config.name_bytes_max as u64 + 128
}

fn millis(random: &mut Rng, range: std::ops::RangeInclusive<u64>) -> Duration {
    Duration::from_millis(random.magnitude(range))
}

const GATHERING: u64 = 0x6A74_4E52_0000_0001;
/// In bytes: the longest name that a client sends at once.
const LONGEST_NAME: u64 = 1200;
/// In bytes: the most that a client sends after its `exit`.
const LONGEST_TALK: u64 = 100;
/// In bytes: the most that a client sends as names in a row.
const LONGEST_PIPELINE: u64 = 30_000;

const FIRST_PORT: u16 = 1024;
/// Decides a client's link and its first actions.
const BYTES_PER_CLIENT: usize = 24;
