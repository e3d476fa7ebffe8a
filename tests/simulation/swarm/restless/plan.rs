//! Derives a run of the restless service from one seed.

use std::time::Duration;

use oneloop::{Limits, WhenFull};
use oneloop_sim::{Faults, LinkProfile, Rng};

use crate::swarm::plan::{Poller, with_budgets, with_gathering};

/// Everything about a run except its chances.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub poller: Poller,
    pub faults: Faults,
    pub limits: Limits,
    pub listeners: u16,
    pub descriptors_max: Option<usize>,
    pub outbound_link: LinkProfile,
    /// Longest time between one client and the next.
    pub pause: Duration,
    pub habits: Habits,
    pub finale: Finale,
    /// Longest time between one call of another thread and the next; `None` for no calls.
    pub call_pause: Option<Duration>,
    /// The threads of the pool, and the most jobs under way; `None` for no pool.
    pub pool: Option<(usize, usize)>,
    /// Longest time that a job takes.
    pub job_time: Duration,
}

/// Probabilities of a session's actions in one step.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub panic: f64,
    pub wake: f64,
    pub timer: f64,
    pub session_timer: f64,
    pub connect: f64,
    pub job: f64,
    pub past: f64,
    pub pause: f64,
    pub flush: f64,
    pub close: f64,
    /// Aborts itself; aborts another session.
    pub abort: f64,
    pub abort_other: f64,
    /// Changes between half and full duplex.
    pub duplex: f64,
    pub overflow: f64,
    /// Raises its input maximum, if it leaves input.
    pub raise: f64,
    pub deaf_to_drain: f64,
    /// Most bytes written in one step, as a rule.
    pub write_max: u64,
    /// The longest wait.
    pub wait_max: Duration,
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finale {
    /// By a signal.
    Drain,
    /// By a handle.
    Stop,
    Drop,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        Self::drawn(seed, &mut Rng::new(seed ^ SALT))
    }

    pub fn drawn(seed: u64, random: &mut Rng) -> Self {
        let limits = with_gathering(limits(random), seed);
        Self {
            seed,
            poller: random.choose(&[Poller::Edge, Poller::Edge, Poller::Rearmed]),
            faults: match random.random_bool(0.2) {
                true => Faults::NONE,
                false => Faults::sample(random),
            },
            listeners: random.choose(&[1, 2, 3]),
            descriptors_max: random
                .random_bool(0.2)
                .then(|| random.magnitude(2..=60) as usize),
            outbound_link: LinkProfile::sample(random),
            pause: Duration::from_micros(random.magnitude(500..=1_000_000)),
            habits: Habits::drawn(random, &limits),
            finale: random.choose(&[Finale::Drain, Finale::Stop, Finale::Drop]),
            call_pause: random
                .random_bool(0.5)
                .then(|| Duration::from_micros(random.magnitude(20..=1_000_000))),
            pool: random
                .random_bool(0.5)
                .then(|| (random.range(1..=4) as usize, random.range(1..=16) as usize)),
            job_time: Duration::from_micros(random.magnitude(1..=200_000)),
            limits,
        }
    }
}

impl Habits {
    fn drawn(random: &mut Rng, limits: &Limits) -> Self {
        let mut at_times = |most: f64| match random.random_bool(0.5) {
            true => most * random.magnitude(1..=100) as f64 / 100.0,
            false => 0.0,
        };
        Self {
            panic: at_times(0.1),
            wake: at_times(0.8),
            timer: at_times(0.3),
            session_timer: at_times(0.6),
            connect: at_times(0.2),
            job: at_times(0.3),
            past: at_times(0.5),
            pause: at_times(0.5),
            flush: at_times(0.4),
            close: at_times(0.2),
            abort: at_times(0.05),
            abort_other: at_times(0.1),
            // Off until it is known why seed 5890 stalls with 0.5: the model or the loop is wrong.
            duplex: at_times(0.0),
            overflow: at_times(0.02),
            raise: at_times(1.0),
            deaf_to_drain: at_times(1.0),
            write_max: random.magnitude(1..=limits.output_bytes_max as u64),
            wait_max: Duration::from_millis(random.magnitude(10..=30_000)),
        }
    }
}

fn limits(random: &mut Rng) -> Limits {
    let input = random.magnitude(8..=8192) as usize;
    let raised = random
        .random_bool(0.5)
        .then(|| input * random.range(1..=8) as usize);
    let mark = random.magnitude(1..=8192) as usize;
    let mut millis = |from, to| Duration::from_millis(random.magnitude(from..=to));
    let (write, linger, connect) = (millis(500, 20_000), millis(10, 2_000), millis(500, 20_000));
    let (retry, drain, least) = (millis(1, 5_000), millis(100, 10_000), millis(200, 2_000));
    let longest = millis(1_000, 60_000);
    let sizes = Limits {
        connections_max: random.magnitude(1..=64) as usize,
        connections_per_address_max: random
            .random_bool(0.3)
            .then(|| random.magnitude(1..=16) as usize),
        when_full: random.choose(&[WhenFull::Refuse, WhenFull::Queue]),
        refusals_max: random.range(0..=8) as usize,
        backlog: random.magnitude(1..=64) as u32,
        receive_buffer_bytes: random.magnitude(64..=65_536) as u32,
        send_buffer_bytes: random.magnitude(16..=65_536) as u32,
        input_bytes_max: input,
        input_bytes_hard_max: raised,
        output_bytes_mark: mark,
        output_bytes_max: mark + raised.unwrap_or(input) + random.magnitude(1..=65_536) as usize,
        ..Limits::default()
    };
    let limits = with_budgets(sizes, random);
    Limits {
        write_timeout: write,
        write_progress_bytes: random.magnitude(1..=8192) as usize,
        linger_timeout: linger,
        linger_bytes_max: random.magnitude(1..=65_536) as usize,
        outbound_max: random.range(0..=16) as usize,
        connect_timeout: connect,
        accept_retry: retry,
        drain_timeout: drain,
        timeout_min_under_load: least,
        wait_max: longest,
        ..limits
    }
}

const SALT: u64 = 0x5EED_0F4E_571E_5500;
