//! One run: the loop with a generator on it, and a look at the costs at both ends of the window.

use std::io;
use std::time::Duration;

use super::clock::Clock;
use super::generator::{Generator, Phase};
use super::meter::Meter;
use super::outcome::{Connections, Ending, Outcome};
use super::plan::{Pace, Plan};
use super::process::Process;
use super::timer::Timer;
use oneloop::Time;
use oneloop::net::Os;
use oneloop::{Limits, Reactor};

/// The progress of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The present stage, in a word or two.
    pub stage: &'static str,
    /// The time that the work will still take; zero once it is over.
    pub left: Duration,
    /// Connections that are open.
    pub open: u32,
    /// Exchanges, or conversations, measured so far.
    pub completed: u64,
    /// Faults so far.
    pub faults: u64,
    /// The 99th percentile of the latest interval.
    pub p99: Option<Duration>,
}

/// The decision whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// It does.
    On,
    /// It ends now, with the figures so far.
    Stop,
}

/// Makes one run against a server, whose process, if it is known, is looked at too. `watch` is
/// called some ten times a second; `os` must be new.
///
/// # Errors
/// If the operating system gives no timer, or the loop fails. Errors of the server are
/// part of the outcome.
pub fn run(
    plan: &Plan,
    mut os: Os,
    server: Option<Process>,
    mut watch: impl FnMut(&Progress) -> Go,
) -> io::Result<Outcome> {
    let clock = Clock::of(&mut os);
    let generator = Generator::new(plan.clone(), clock);
    let mut reactor = Reactor::with_net(generator, limits(plan), os)?;
    let timer = Timer::new(&reactor)?;
    let mut meter = Meter::new(server);
    let mut armed = Time::UNBOUNDED;
    let mut next_look = clock.now();
    let mut ending = Ending::Complete;

    let first = reactor.service_mut().begin();
    let connect = reactor.service().connection(first);
    reactor.connect(connect);
    while reactor.service().phase() != Phase::Over {
        reactor.turn()?;
        let (generator, now) = (reactor.service(), clock.now());
        meter.look(generator.phase(), generator.ended(), now);
        if generator.next_alarm() != armed {
            armed = generator.next_alarm();
            timer.set(armed.since(now))?;
        }
        if now >= next_look {
            next_look = now + LOOK_EVERY;
            if watch(&progress(generator, plan, now)) == Go::Stop {
                reactor.service_mut().interrupt();
                ending = Ending::Interrupted;
            }
        }
    }
    let generator = reactor.service();
    meter.look(Phase::Over, generator.ended(), clock.now());
    Ok(outcome(reactor.service_mut(), meter, ending))
}

fn outcome(generator: &mut Generator, meter: Meter, ending: Ending) -> Outcome {
    let plan = generator.plan().clone();
    let (recorder, tally) = generator.take_records();
    let stranger = generator.take_stranger();
    let scheduled = matches!(plan.pace(), Pace::Open { .. });
    let (costs, placement) = meter.result();
    Outcome {
        ending,
        measured: costs.wall,
        completed: recorder.completed(),
        latency: recorder.latency,
        service: scheduled.then_some(recorder.service),
        lateness: scheduled.then_some(recorder.lateness),
        held_back: recorder.held_back,
        connect: recorder.connect,
        faults: recorder.faults,
        oldest_missing: recorder.oldest_missing,
        stranger,
        series: recorder.series,
        connections: Connections {
            made: tally.connected,
            open_max: tally.open_max,
            held: tally.held,
            proved: tally.proved,
            opening: tally.opening,
        },
        costs,
        placement,
        plan,
    }
}

fn progress(generator: &Generator, plan: &Plan, now: Time) -> Progress {
    let (stage, left) = match generator.phase() {
        Phase::Opening => ("connecting", plan.warm_up.saturating_add(plan.duration)),
        Phase::WarmingUp { until } => {
            ("warming up", until.since(now).saturating_add(plan.duration))
        }
        Phase::Measuring { until } => ("measuring", until.since(now)),
        Phase::Settling { .. } => ("waiting for answers", Duration::ZERO),
        Phase::Proving { .. } => ("checking idle ones", Duration::ZERO),
        Phase::Leaving { .. } | Phase::Over => ("closing", Duration::ZERO),
    };
    Progress {
        stage,
        left,
        open: generator.tally().open,
        completed: generator.completed(),
        faults: generator.faults(),
        p99: generator.latest_p99(),
    }
}

/// Returns limits that never end a connection: the generator decides that, and counts it.
fn limits(plan: &Plan) -> Limits {
    Limits {
        // Far above, because waits become shorter as the loop fills up.
        outbound_max: plan.connections as usize * 10 + 100,
        connect_timeout: plan.grace,
        write_timeout: Duration::from_secs(3600),
        ..Limits::default()
    }
}

/// The time between two calls of `watch`.
const LOOK_EVERY: Duration = Duration::from_millis(100);
