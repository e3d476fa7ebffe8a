//! Clients, from polite to hostile: each is a script drawn from its own chance.

use std::time::Duration;

use oneloop::Time;
use oneloop_sim::{LinkProfile, RemotePeer, Rng, Script, Status};

use super::plan::Visitor;

/// The behaviour of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Character {
    /// Waits for each question, answers with a line, and sends `exit`.
    Polite,
    /// One `recv` is one message, and names have no line ending: the tutorial's client.
    Tutorial,
    /// Sends its names byte by byte, slowly.
    Dripping,
    /// Sends many lines at once, then `exit`.
    Pipelining,
    /// Sends much and reads nothing.
    NeverReading,
    /// Reads a few bytes now and then, while it sends lines.
    SlowReading,
    /// Sends some names, shuts down its side, and reads to the end.
    HalfClosing,
    /// Resets the connection at some point.
    Resetting,
    /// Falls silent for ever at some point, without closing.
    Vanishing,
    /// Sends as fast as the network takes it, and reads.
    Flooding,
    /// Sends nothing.
    Silent,
    /// Sends invalid names: broken text, control characters, nothing, far too much.
    Babbling,
    /// Closes without having read its input.
    Rude,
    /// Sends more after its `exit`, and reads to the end.
    Talkative,
}

/// A client that follows its script.
#[derive(Debug)]
pub struct Player {
    /// The client's data, until it is connected and its script is written: most connection attempts
    /// of a flood are never answered.
    visitor: Option<Box<Visitor>>,
    script: std::vec::IntoIter<Step>,
    current: Option<Step>,
    reading: Reading,
    /// End of the current pause.
    wakes: Time,
    reads_again: Time,
    heard: Vec<u8>,
    /// Number of bytes of `heard` that the script has consumed.
    understood: usize,
}

/// One action of a client.
#[derive(Clone, Debug)]
pub enum Step {
    Send(Vec<u8>),
    /// Sends so many bytes, with a line feed after every `line` bytes, or none.
    Flood {
        bytes: usize,
        line: usize,
    },
    /// Waits until these bytes have come.
    Expect(&'static [u8]),
    /// Waits for any bytes, and reads them in one call.
    Recv,
    Sleep(Duration),
    Read(Reading),
    /// Waits for the end of the stream.
    ExpectEnd,
    Finish,
    Close,
    Reset,
    Vanish,
}

/// The way in which a client reads outside its script's waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    All,
    Nothing,
    Slowly { bytes: usize, every: Duration },
}

impl Character {
    pub const ALL: [Self; 14] = [
        Self::Polite,
        Self::Tutorial,
        Self::Dripping,
        Self::Pipelining,
        Self::NeverReading,
        Self::SlowReading,
        Self::HalfClosing,
        Self::Resetting,
        Self::Vanishing,
        Self::Flooding,
        Self::Silent,
        Self::Babbling,
        Self::Rude,
        Self::Talkative,
    ];

    /// Returns the link to this client. The tutorial's client has good ones only.
    pub fn link(self, random: &mut Rng) -> LinkProfile {
        let link = LinkProfile::sample(random);
        match self {
            Self::Tutorial => {
                let latency = (*link.latency.start()).min(Duration::from_millis(20));
                LinkProfile {
                    latency: latency..=latency,
                    ..LinkProfile::ideal()
                }
            }
            // A client that sends much does so in larger segments, or a run would consist of it.
            Self::Flooding | Self::Pipelining | Self::NeverReading | Self::SlowReading => {
                let longest = (*link.segment_bytes.end()).max(512);
                LinkProfile {
                    segment_bytes: longest / 2..=longest,
                    receive_buffer_bytes: link.receive_buffer_bytes.max(2048),
                    ..link
                }
            }
            _ => link,
        }
    }

    fn script(self, random: &mut Rng) -> Vec<Step> {
        use Step as S;
        match self {
            Self::Polite => polite(random),
            Self::Tutorial => tutorial(random),
            Self::Dripping => dripping(random),
            Self::Pipelining => pipelining(random),
            Self::NeverReading => never_reading(random),
            Self::SlowReading => slow_reading(random),
            Self::HalfClosing => half_closing(random),
            Self::Resetting => interrupted(random, S::Reset),
            Self::Vanishing => interrupted(random, S::Vanish),
            Self::Flooding => flooding(random),
            Self::Silent => vec![
                S::Sleep(random.duration_up_to(Duration::from_secs(90))),
                S::Close,
            ],
            Self::Babbling => babbling(random),
            Self::Rude => rude(random),
            Self::Talkative => talkative(random),
        }
    }
}

impl Player {
    pub fn new(visitor: Visitor) -> Self {
        let visitor = Some(Box::new(visitor));
        Self {
            visitor,
            ..Self::of(Vec::new())
        }
    }

    pub fn of(script: Vec<Step>) -> Self {
        Self {
            visitor: None,
            script: script.into_iter(),
            current: None,
            reading: Reading::All,
            wakes: Time::UNBOUNDED,
            reads_again: Time::START,
            heard: Vec::new(),
            understood: 0,
        }
    }
}

impl Script for Player {
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
        match remote.status() {
            Status::Connecting => return None,
            Status::Open => {}
            Status::Failed(_) | Status::Closed => return self.leave(remote),
        }
        if let Some(mut visitor) = self.visitor.take() {
            let script = visitor.character.script(&mut visitor.random);
            self.script = script.into_iter();
        }
        loop {
            if self.listen(remote) == Heard::TheEnd {
                return self.leave(remote);
            }
            let Some(step) = self.current.take().or_else(|| self.script.next()) else {
                return self.leave(remote);
            };
            if let Some(waiting) = self.play(step, remote) {
                self.current = Some(waiting);
                return self.next_call(remote);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Something,
    TheEnd,
}

impl Player {
    /// Reads according to its `reading`.
    fn listen(&mut self, remote: &mut RemotePeer<'_>) -> Heard {
        match self.reading {
            Reading::All => {
                remote.read(usize::MAX, &mut self.heard);
            }
            Reading::Slowly { bytes, every } if self.reads_again <= remote.now() => {
                remote.read(bytes, &mut self.heard);
                self.reads_again = remote.now() + every;
            }
            _ => {}
        }
        if remote.at_end() {
            Heard::TheEnd
        } else {
            Heard::Something
        }
    }

    /// Does one step. Returns the step if it is not finished yet.
    fn play(&mut self, step: Step, remote: &mut RemotePeer<'_>) -> Option<Step> {
        match step {
            Step::Send(bytes) => remote.send(&bytes),
            Step::Flood { bytes, line } => {
                let mut flood = vec![b'x'; bytes];
                flood
                    .iter_mut()
                    .step_by(line)
                    .for_each(|byte| *byte = b'\n');
                remote.send(&flood);
            }
            Step::Expect(bytes) => return self.expect(bytes).then_some(Step::Expect(bytes)),
            Step::Recv => {
                if remote.read(1024, &mut self.heard) == 0 {
                    return Some(Step::Recv);
                }
            }
            Step::Sleep(duration) => return self.sleep(duration, remote.now()),
            Step::Read(reading) => self.reading = reading,
            Step::ExpectEnd => return Some(Step::ExpectEnd),
            Step::Finish => remote.finish(),
            Step::Close => remote.close(),
            Step::Reset => remote.reset(),
            Step::Vanish => remote.vanish(),
        }
        None
    }

    /// Returns true if the client must still wait for `bytes`.
    fn expect(&mut self, bytes: &[u8]) -> bool {
        let heard = &self.heard[self.understood..];
        match heard
            .windows(bytes.len())
            .position(|window| window == bytes)
        {
            Some(place) => {
                self.understood += place + bytes.len();
                false
            }
            None => true,
        }
    }

    fn sleep(&mut self, duration: Duration, now: Time) -> Option<Step> {
        if self.wakes == Time::UNBOUNDED {
            self.wakes = now + duration;
        }
        if now < self.wakes {
            return Some(Step::Sleep(duration));
        }
        self.wakes = Time::UNBOUNDED;
        None
    }

    fn next_call(&self, remote: &RemotePeer<'_>) -> Option<Time> {
        let reads = match self.reading {
            Reading::Slowly { .. } if remote.readable() > 0 => self.reads_again,
            _ => Time::UNBOUNDED,
        };
        let next = self.wakes.min(reads);
        (next != Time::UNBOUNDED).then_some(next)
    }

    fn leave(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
        if remote.status() == Status::Open {
            remote.close();
        }
        self.script = Vec::new().into_iter();
        None
    }
}

const QUESTION: &[u8] = b"What's your name?";

fn polite(random: &mut Rng) -> Vec<Step> {
    let mut script = Vec::new();
    for _ in 0..random.magnitude(1..=20) {
        script.push(Step::Expect(QUESTION));
        script.push(Step::Sleep(patience(random)));
        script.push(Step::Send(line(random)));
    }
    script.push(Step::Expect(QUESTION));
    script.push(Step::Send(b"exit\n".to_vec()));
    script.push(Step::ExpectEnd);
    script
}

fn tutorial(random: &mut Rng) -> Vec<Step> {
    let mut script = vec![Step::Read(Reading::Nothing), Step::Recv, Step::Recv];
    for _ in 0..random.range(0..=5) {
        script.extend([Step::Send(name(random)), Step::Recv, Step::Recv]);
    }
    script.extend([Step::Send(b"exit".to_vec()), Step::Recv, Step::Close]);
    script
}

fn dripping(random: &mut Rng) -> Vec<Step> {
    let mut script = Vec::new();
    let pause = Duration::from_millis(random.magnitude(1..=3_000));
    for _ in 0..random.range(1..=4) {
        let bytes = if random.random_bool(0.7) {
            line(random)
        } else {
            name(random)
        };
        for byte in bytes {
            script.push(Step::Send(vec![byte]));
            script.push(Step::Sleep(random.duration_up_to(pause)));
        }
    }
    script.push(Step::ExpectEnd);
    script
}

fn pipelining(random: &mut Rng) -> Vec<Step> {
    let mut bytes = lines(random, 1000);
    bytes.extend(b"exit\n");
    vec![Step::Send(bytes), Step::ExpectEnd]
}

fn never_reading(random: &mut Rng) -> Vec<Step> {
    let mut script = vec![Step::Read(Reading::Nothing)];
    for _ in 0..random.magnitude(1..=30) {
        script.push(Step::Send(lines(random, 100)));
        script.push(Step::Sleep(patience(random)));
    }
    script.push(Step::Sleep(Duration::from_secs(random.range(1..=100))));
    script
}

fn slow_reading(random: &mut Rng) -> Vec<Step> {
    let bytes = random.magnitude(1..=2000) as usize;
    let every = Duration::from_millis(random.magnitude(1..=500));
    vec![
        Step::Read(Reading::Slowly { bytes, every }),
        Step::Send(lines(random, 300)),
        Step::Sleep(patience(random)),
        Step::Read(random.choose(&[Reading::All, Reading::Nothing])),
        Step::Sleep(patience(random)),
        Step::Read(Reading::All),
        Step::Send(b"exit\n".to_vec()),
        Step::ExpectEnd,
    ]
}

fn half_closing(random: &mut Rng) -> Vec<Step> {
    let mut bytes = lines(random, 20);
    if random.random_bool(0.5) {
        bytes.extend(name(random));
    }
    let mut script = vec![Step::Send(bytes)];
    if random.random_bool(0.5) {
        script.push(Step::Sleep(patience(random)));
    }
    script.extend([Step::Finish, Step::ExpectEnd]);
    script
}

fn interrupted(random: &mut Rng, by: Step) -> Vec<Step> {
    let mut script = if random.random_bool(0.5) {
        polite(random)
    } else {
        slow_reading(random)
    };
    script.truncate(random.below(script.len() + 1));
    script.push(by);
    script
}

fn flooding(random: &mut Rng) -> Vec<Step> {
    let mut script = Vec::new();
    let newlines = random.random_bool(0.5);
    for _ in 0..random.magnitude(1..=50) {
        let bytes = random.magnitude(1..=20_000) as usize;
        let line = if newlines {
            1 + random.below(40)
        } else {
            bytes + 1
        };
        script.push(Step::Flood { bytes, line });
        script.push(Step::Sleep(
            random.duration_up_to(Duration::from_millis(20)),
        ));
    }
    script.push(Step::ExpectEnd);
    script
}

fn babbling(random: &mut Rng) -> Vec<Step> {
    let mut script = Vec::new();
    for _ in 0..random.range(1..=14) {
        let length = random.magnitude(1..=200) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
        bytes.extend(random.choose(&[&b"\n"[..], b"\r\n", b"", b"\n\n", b"\r\r\n", b"\xC3"]));
        script.push(Step::Send(bytes));
        script.push(Step::Sleep(patience(random)));
    }
    script.push(Step::Finish);
    script.push(Step::ExpectEnd);
    script
}

fn rude(random: &mut Rng) -> Vec<Step> {
    vec![
        Step::Read(random.choose(&[Reading::All, Reading::Nothing])),
        Step::Send(lines(random, 10)),
        Step::Sleep(patience(random)),
        Step::Close,
    ]
}

fn talkative(random: &mut Rng) -> Vec<Step> {
    let mut script = vec![Step::Expect(QUESTION), Step::Send(b"exit\n".to_vec())];
    for _ in 0..random.range(1..=5) {
        script.push(Step::Sleep(
            random.duration_up_to(Duration::from_millis(40)),
        ));
        script.push(Step::Send(b"And another thing:\n".to_vec()));
    }
    script.push(Step::ExpectEnd);
    script
}

fn patience(random: &mut Rng) -> Duration {
    if random.random_bool(0.3) {
        return Duration::ZERO;
    }
    Duration::from_micros(random.magnitude(1..=3_000_000))
}

fn lines(random: &mut Rng, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.magnitude(1..=most) {
        add_line(random, &mut bytes);
    }
    bytes
}

fn line(random: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    add_line(random, &mut bytes);
    bytes
}

fn name(random: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    add_name(random, &mut bytes);
    bytes
}

fn add_line(random: &mut Rng, bytes: &mut Vec<u8>) {
    if !random.random_bool(0.05) {
        add_name(random, bytes);
    }
    bytes.extend_from_slice(random.choose(&[&b"\n"[..], b"\n", b"\r\n"]));
}

/// Adds a name of any length, sometimes an invalid one.
fn add_name(random: &mut Rng, bytes: &mut Vec<u8>) {
    if random.random_bool(0.8) {
        // Mostly valid ones, and each different, so that a mix-up shows.
        bytes.extend_from_slice(random.choose(&NAMES[..6]));
        let mut tag = random.bits();
        for _ in 0..random.below(6) {
            bytes.push(b"0123456789abcdef"[(tag % 16) as usize]);
            tag /= 16;
        }
    } else if random.random_bool(0.1) {
        let length = random.magnitude(1..=1100) as usize;
        bytes.resize(bytes.len() + length, b'n');
    } else {
        bytes.extend_from_slice(random.choose(&NAMES));
    }
}

const NAMES: [&[u8]; 8] = [
    b"Al",
    b"Bob",
    b"Zo\xC3\xAB",
    b"\xE5\xBC\xA0\xE4\xBC\x9F",
    b"exit ",
    b"a!b",
    b"\x1B[2J",
    b"\xFF",
];
