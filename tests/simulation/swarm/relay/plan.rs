//! Derives a run of the relay from one seed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use oneloop::layer::Rate;
use oneloop::{Limits, Listen, WhenFull};
use oneloop_sim::{Faults, LinkProfile, Rng};

use crate::swarm::cipher::OVERHEAD;
use crate::swarm::plan::{Poller, with_budgets, with_gathering};

/// Everything about a run except its chances.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub poller: Poller,
    pub faults: Faults,
    pub limits: Limits,
    /// The listeners, by [`Door`].
    pub doors: [Places; 3],
    pub descriptors_max: Option<usize>,
    pub outbound_link: LinkProfile,
    pub habits: Habits,
    /// The longest frame of the cipher.
    pub frame_bytes_max: usize,
    /// The most bytes that wait in one direction of a pair, beside those of one read.
    pub pipe_bytes: usize,
    /// Bytes per second of one session of the sealed listener, and its burst.
    pub rate: Option<(u64, u64)>,
    /// The longest time between one client and the next.
    pub pause: Duration,
    /// The longest stream of a conversation.
    pub stream_bytes_max: u64,
    pub finale: Finale,
    /// The longest time between one call of another thread and the next; `None` for no calls.
    pub call_pause: Option<Duration>,
    /// The threads of the pool, and the most jobs under way; `None` for no pool.
    pub pool: Option<(usize, usize)>,
    /// The longest time that a job takes.
    pub job_time: Duration,
    /// Decides, if given, the conversations: each uses a part of it.
    pub conversations: Option<Vec<u8>>,
}

/// A listener of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Door {
    /// Its bytes are forwarded as they are.
    Open = 0,
    /// Its bytes, and those of its servers, are enciphered.
    Sealed = 1,
    /// It answers requests, and drains last.
    Admin = 2,
}

/// The places of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub most: usize,
    pub reserve: usize,
    pub when_full: WhenFull,
}

/// Probabilities of a session's actions in one step.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub panic: f64,
    /// Ends itself with a reset.
    pub abort: f64,
    /// Ends some other session.
    pub abort_other: f64,
    pub wake_all: f64,
    pub session_timer: f64,
    pub timer: f64,
    /// Lets a job inspect what has arrived, before it is sent on.
    pub job: f64,
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finale {
    /// No more clients come, and the service stops once all have gone.
    Farewell,
    /// By a signal, in the midst of it.
    Drain,
    /// By a handle, in the midst of it.
    Stop,
    Drop,
}

/// A client, its server, and the streams between them.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub door: Door,
    /// The addresses of the client and of its server.
    pub ends: [SocketAddr; 2],
    pub link: LinkProfile,
    /// The time between the previous client's connection and this one's.
    pub pause: Duration,
    /// Both sessions are in full duplex.
    pub duplex: bool,
    pub server: Server,
    /// The manners of the client and of its server.
    pub manners: [Manners; 2],
    /// Decides all their actions.
    pub random: Rng,
}

/// The address that the relay connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Serves,
    /// Nothing listens there.
    Absent,
    /// It does not answer.
    Silent,
}

/// The behaviour of one end.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// The length of its stream.
    pub bytes: usize,
    pub reads: Reads,
    pub leaves: Leaves,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    All,
    Slowly,
    /// Nothing until all is sent.
    AfterSending,
    Nothing,
}

/// The way in which an end leaves, once it has sent its stream or so many bytes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// It finishes, and reads the other stream to its end.
    Politely,
    /// It finishes only after the other stream has ended.
    Last,
    ByReset(usize),
    /// It closes without reading on.
    ByClosing(usize),
    Vanishes(usize),
    /// It neither sends nor finishes.
    Never(usize),
}

impl Door {
    pub const ALL: [Self; 3] = [Self::Open, Self::Sealed, Self::Admin];

    /// Returns the name of the listener.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Admin => "admin",
        }
    }

    /// Returns the address of the listener.
    pub fn address(self) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], 6000 + self as u16))
    }

    /// Returns the listener at an address.
    pub fn at(address: SocketAddr) -> Option<Self> {
        Self::ALL.into_iter().find(|door| door.address() == address)
    }

    /// Returns the message for a connection that is refused.
    pub fn refusal(self) -> &'static [u8] {
        match self {
            Self::Open => b"the open door is full\n",
            Self::Sealed => b"the sealed door is full\n",
            Self::Admin => b"there are enough administrators\n",
        }
    }
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        Self::drawn(seed, &mut Rng::new(seed ^ SALT))
    }

    pub fn drawn(seed: u64, random: &mut Rng) -> Self {
        let frame_bytes_max = random.magnitude(1..=2000) as usize;
        let limits = with_gathering(limits(random, frame_bytes_max), seed);
        Self {
            seed,
            poller: random.choose(&[Poller::Edge, Poller::Edge, Poller::Rearmed]),
            faults: match random.random_bool(0.3) {
                true => Faults::NONE,
                false => Faults::sample(random),
            },
            doors: doors(random, &limits),
            descriptors_max: random
                .random_bool(0.1)
                .then(|| random.magnitude(4..=60) as usize),
            outbound_link: link(random),
            habits: Habits::drawn(random),
            frame_bytes_max,
            pipe_bytes: random.magnitude(1..=20_000) as usize,
            rate: random.random_bool(0.5).then(|| {
                (
                    random.magnitude(5_000..=500_000),
                    random.magnitude(1..=20_000),
                )
            }),
            pause: Duration::from_micros(random.magnitude(5_000..=2_000_000)),
            stream_bytes_max: random.magnitude(100..=20_000),
            finale: random.choose(&[
                Finale::Farewell,
                Finale::Drain,
                Finale::Drain,
                Finale::Stop,
                Finale::Drop,
            ]),
            call_pause: random
                .random_bool(0.5)
                .then(|| Duration::from_micros(random.magnitude(1_000..=1_000_000))),
            pool: random
                .random_bool(0.5)
                .then(|| (random.range(1..=4) as usize, random.range(1..=16) as usize)),
            job_time: Duration::from_micros(random.magnitude(1..=200_000)),
            conversations: None,
            limits,
        }
    }

    /// Returns the client with this number, and its server. They do not depend on the others.
    pub fn conversation(&self, number: usize) -> Conversation {
        let mut random = match self.script_of(number) {
            Some(script) => Rng::scripted(script),
            None => Rng::new(self.seed.rotate_left(32) ^ SALT ^ (number as u64 + 1)),
        };
        let host = 1 + random.below(6) as u8;
        let client = SocketAddr::new(
            Ipv4Addr::new(10, 0, 1, host).into(),
            FIRST_PORT + number as u16,
        );
        let server = SocketAddr::from(([10, 9, (number >> 8) as u8, number as u8], SERVER_PORT));
        let duplex = random.random_bool(0.8);
        let most = self.stream_bytes_max;
        let mut manners = [
            Manners::drawn(&mut random, most),
            Manners::drawn(&mut random, most),
        ];
        let [client_manners, server_manners] = &mut manners;
        // Without these, both would wait for each other.
        if client_manners.leaves == Leaves::Last && server_manners.leaves == Leaves::Last {
            client_manners.leaves = Leaves::Politely;
        }
        for this in 0..2 {
            let waits = !duplex || manners[1 - this].waits_for_other();
            if manners[this].reads == Reads::AfterSending && waits {
                manners[this].reads = Reads::All;
            }
        }
        Conversation {
            door: random.choose(&[Door::Open, Door::Sealed]),
            ends: [client, server],
            link: link(&mut random),
            pause: random.duration_up_to(self.pause),
            duplex,
            server: match random.below(16) {
                0 => Server::Absent,
                1 => Server::Silent,
                _ => Server::Serves,
            },
            manners,
            random,
        }
    }

    fn script_of(&self, number: usize) -> Option<&[u8]> {
        let scripts = self.conversations.as_ref()?;
        scripts.chunks(BYTES_PER_CONVERSATION).nth(number)
    }

    /// Returns what is to be bound for a listener.
    pub fn listen(&self, door: Door) -> Listen {
        let places = self.doors[door as usize];
        let listen = Listen::tcp(door.address())
            .name(door.name())
            .connections_max(places.most)
            .reserve(places.reserve)
            .when_full(places.when_full);
        match door {
            Door::Admin => listen.drain_last(),
            _ => listen,
        }
    }

    /// Returns the rate that the sealed listener's sessions are limited to.
    pub fn session_rate(&self) -> Rate {
        let rate = |(units, burst)| Rate::per_second(units, burst);
        self.rate.map_or(Rate::UNLIMITED, rate)
    }

    /// Returns true if nothing but the loop decides whether a connection is accepted and kept.
    pub fn accepts_all(&self) -> bool {
        let Faults {
            read_resets,
            write_breaks,
            aborted_accepts,
            exhausted_accepts,
            failed_registrations,
            ..
        } = self.faults;
        let losses = read_resets + write_breaks + aborted_accepts;
        losses + exhausted_accepts + failed_registrations == 0.0 && self.descriptors_max.is_none()
    }
}

/// Returns the conversation of an address, and 0 for its client or 1 for its server.
pub fn number_of(address: SocketAddr) -> (usize, usize) {
    match address.ip() {
        IpAddr::V4(ip) if ip.octets()[1] == 9 => {
            let [_, _, high, low] = ip.octets();
            (usize::from(high) << 8 | usize::from(low), 1)
        }
        _ => (usize::from(address.port() - FIRST_PORT), 0),
    }
}

/// Returns the address of an administrator.
pub fn administrator(number: usize) -> SocketAddr {
    let port = FIRST_PORT + (ADMINISTRATORS + number) as u16;
    SocketAddr::from(([10, 0, 2, 1], port))
}

impl Manners {
    fn drawn(random: &mut Rng, most: u64) -> Self {
        let bytes = random.magnitude(1..=most) as usize;
        let some = random.below(bytes + 1);
        Self {
            bytes,
            reads: match random.below(32) {
                0..20 => Reads::All,
                20..26 => Reads::Slowly,
                26..31 => Reads::AfterSending,
                _ => Reads::Nothing,
            },
            leaves: match random.below(32) {
                0..20 => Leaves::Politely,
                20..27 => Leaves::Last,
                27..29 => Leaves::ByReset(some),
                29 => Leaves::ByClosing(some),
                30 => Leaves::Vanishes(some),
                _ => Leaves::Never(some),
            },
        }
    }

    /// Returns true if it may wait until the other end has read or sent everything.
    fn waits_for_other(self) -> bool {
        let reads = matches!(self.reads, Reads::All | Reads::Slowly);
        !reads || self.leaves == Leaves::Last
    }

    /// Returns the reason why its connection may end for want of progress, if there is one.
    pub fn dawdles(self) -> Option<&'static str> {
        match (self.reads, self.leaves) {
            (Reads::Nothing, _) => Some("it reads nothing"),
            (_, Leaves::Vanishes(_)) => Some("it vanishes"),
            (_, Leaves::Never(_)) => Some("it never finishes"),
            _ => None,
        }
    }
}

impl Habits {
    fn drawn(random: &mut Rng) -> Self {
        let mut at_times = |most: f64| match random.random_bool(0.4) {
            true => most * random.magnitude(1..=100) as f64 / 100.0,
            false => 0.0,
        };
        Self {
            panic: at_times(0.02),
            abort: at_times(0.02),
            abort_other: at_times(0.02),
            wake_all: at_times(0.1),
            session_timer: at_times(0.5),
            timer: at_times(0.3),
            job: at_times(0.5),
        }
    }
}

fn doors(random: &mut Rng, limits: &Limits) -> [Places; 3] {
    let mut when_full = || random.choose(&[WhenFull::Refuse, WhenFull::Queue]);
    let kinds = [when_full(), when_full(), when_full()];
    let most = limits.connections_max as u64;
    let places = |most, reserve, when_full| Places {
        most,
        reserve,
        when_full,
    };
    let open = random.magnitude(1..=most) as usize;
    let sealed = random.magnitude(1..=most) as usize;
    let some = random.below(sealed.min(limits.connections_max - ADMIN_RESERVE) + 1);
    let reserve = random.choose(&[0, some]);
    [
        places(open, 0, kinds[0]),
        places(sealed, reserve, kinds[1]),
        places(ADMIN_RESERVE + 1, ADMIN_RESERVE, kinds[2]),
    ]
}

/// Draws a link on which an honest peer takes all output in time.
fn link(random: &mut Rng) -> LinkProfile {
    let link = LinkProfile::sample(random);
    LinkProfile {
        bytes_per_second: link.bytes_per_second.max(20_000),
        receive_buffer_bytes: link.receive_buffer_bytes.max(1000),
        send_buffer_bytes: link.send_buffer_bytes.max(500),
        segment_bytes: 1..=(*link.segment_bytes.end()).max(100),
        ..link
    }
}

fn limits(random: &mut Rng, frame: usize) -> Limits {
    let input = frame + OVERHEAD + random.magnitude(8..=8192) as usize;
    let mark = random.magnitude(1..=8192) as usize;
    let mut millis = |from, to| Duration::from_millis(random.magnitude(from..=to));
    let (linger, connect) = (millis(10, 2_000), millis(2_000, 20_000));
    let (retry, drain) = (millis(1, 500), millis(100, 10_000));
    let (write, longest) = (millis(60_000, 200_000), millis(60_000, 200_000));
    let sizes = Limits {
        connections_max: random.magnitude(ADMIN_RESERVE as u64 + 1..=48) as usize,
        when_full: WhenFull::Refuse,
        refusals_max: random.range(0..=8) as usize,
        backlog: random.magnitude(1..=64) as u32,
        receive_buffer_bytes: random.magnitude(1000..=65_536) as u32,
        send_buffer_bytes: random.magnitude(500..=65_536) as u32,
        input_bytes_max: input,
        output_bytes_mark: mark,
        // A step ends with one piece above the mark: one read, or unread plaintext and a frame.
        // In frames of a byte it is four times as long.
        output_bytes_max: (mark + input + frame) * (1 + OVERHEAD) + 64,
        ..Limits::default()
    };
    let limits = with_budgets(sizes, random);
    Limits {
        write_timeout: write,
        write_progress_bytes: random.magnitude(1..=2000) as usize,
        linger_timeout: linger,
        linger_bytes_max: random.magnitude(1..=65_536) as usize,
        outbound_max: random.magnitude(1..=64) as usize,
        connect_timeout: connect,
        accept_retry: retry,
        drain_timeout: match random.random_bool(0.6) {
            true => LONG_DRAIN,
            false => drain,
        },
        // Peers that make progress are never idle for so long.
        timeout_min_under_load: WAIT_LEAST,
        wait_max: longest,
        ..limits
    }
}

/// The shortest wait that the loop may grant when it is nearly full.
pub const WAIT_LEAST: Duration = Duration::from_secs(45);
/// The time without a byte after which a pair ends.
pub const IDLE: Duration = Duration::from_secs(60);
/// A drain in which every conversation ends by itself.
pub const LONG_DRAIN: Duration = Duration::from_secs(24 * 3600);
/// The places of administrators that no client can take.
pub const ADMIN_RESERVE: usize = 3;
/// The number of the first administrator.
pub const ADMINISTRATORS: usize = 30_000;
/// Decides a conversation and its first actions.
const BYTES_PER_CONVERSATION: usize = 40;
const SALT: u64 = 0x4E1A_7ED0_0BED_F00D;
const FIRST_PORT: u16 = 1024;
const SERVER_PORT: u16 = 7000;
