//! Stopping: a drain, and a second signal that stops at once.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use log::{info, warn};
use oneloop::admin::Ready;
use oneloop::{EndReason, Reactor, Service, Stopped};

use crate::chain::Controls;
use crate::counted;
use crate::signals::Signals;
use crate::upkeep::Upkeep;

/// How far stopping has come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shutdown {
    /// Not asked for.
    Serving,
    /// Asked for: the server is not ready any more, and goes on until this time.
    Leaving {
        /// Whether SIGINT or SIGTERM asked for it, so that the next one stops at once.
        interrupted: bool,
        until: Instant,
    },
    /// The connections have time to finish.
    Draining {
        /// As above.
        interrupted: bool,
        /// How many connections had been lost before.
        lost_before: u64,
    },
}

impl Shutdown {
    /// Takes notice of signals and of the time. Returns the exit code if the server must stop at
    /// once.
    pub(crate) fn look(
        &mut self,
        reactor: &mut Reactor<impl Service>,
        signals: &Signals,
        controls: &Controls,
        upkeep: &Upkeep,
    ) -> Option<ExitCode> {
        if !upkeep.is_stopping() {
            // The signals are left for the next time: upkeep must see them first.
            return None;
        }
        let interrupt = signals.take_interrupt();
        match *self {
            Self::Serving => {
                controls.readiness.set(Ready::Leaving);
                self.leave(interrupt.is_some(), upkeep);
            }
            Self::Leaving { interrupted, .. } | Self::Draining { interrupted, .. } => {
                if let Some(number) = interrupt
                    && interrupted
                {
                    let open = counted(reactor.open_connections(), "connection");
                    let signal = name(number);
                    warn!("Stopped at once by a second signal ({signal}): {open} cut off");
                    return Some(ExitCode::from(128 + number));
                }
                if interrupt.is_some() {
                    self.note_interrupt();
                }
            }
        }
        if let Self::Leaving { interrupted, until } = *self
            && (until <= Instant::now() || upkeep.is_succeeded() && is_empty(reactor))
        {
            self.drain(reactor, interrupted);
        }
        None
    }

    /// Returns how long the loop may wait until [`look`](Self::look) has something to do.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        match self {
            Self::Leaving { until, .. } => Some(until.saturating_duration_since(Instant::now())),
            Self::Serving | Self::Draining { .. } => None,
        }
    }

    /// Begins the grace, which may be over at once.
    fn leave(&mut self, interrupted: bool, upkeep: &Upkeep) {
        let grace = upkeep.grace();
        *self = Self::Leaving {
            interrupted,
            until: crate::after(grace),
        };
        let what = match upkeep.is_succeeded() {
            _ if grace.is_zero() => return,
            true => "the connections go on, and the successor accepts new ones",
            false => "the server still accepts",
        };
        let how = how_to_hurry(interrupted);
        info!("Leaving: for {grace:?} {what}; {how} stops at once");
    }

    fn drain(&mut self, reactor: &mut Reactor<impl Service>, interrupted: bool) {
        let number = reactor.open_connections();
        let (open, have) = (
            counted(number, "connection"),
            if number == 1 { "has" } else { "have" },
        );
        let (drain, how) = (reactor.limits().drain_timeout, how_to_hurry(interrupted));
        info!("Stopping: {open} {have} {drain:?} to finish; {how} stops at once");
        *self = Self::Draining {
            interrupted,
            lost_before: lost(reactor),
        };
        reactor.drain();
    }

    /// Remembers that the next signal stops at once.
    fn note_interrupt(&mut self) {
        let (Self::Leaving { interrupted, .. } | Self::Draining { interrupted, .. }) = self else {
            return;
        };
        *interrupted = true;
        info!("Stopping already: {} stops at once", how_to_hurry(true));
    }

    /// Logs how the drain went, and returns the exit code.
    pub(crate) fn farewell(self, reactor: &Reactor<impl Service>, stopped: Stopped) -> ExitCode {
        let lost_before = match self {
            Self::Draining { lost_before, .. } => lost_before,
            Self::Serving | Self::Leaving { .. } => lost(reactor),
        };
        let lost = lost(reactor) - lost_before;
        if stopped.aborted > 0 {
            let cut = counted(stopped.aborted, "connection");
            let were = if stopped.aborted == 1 { "was" } else { "were" };
            warn!("Stopped: {cut} had not finished in time and {were} cut off");
            return ExitCode::from(EXIT_CUT);
        }
        if lost > 0 {
            let lost = counted(usize::try_from(lost).unwrap_or(usize::MAX), "connection");
            warn!("Stopped: every session has ended, but {lost} broke before the goodbye");
        } else {
            info!("Stopped: every session has ended");
        }
        ExitCode::SUCCESS
    }
}

fn is_empty(reactor: &Reactor<impl Service>) -> bool {
    reactor.open_connections() == 0
}

const fn how_to_hurry(interrupted: bool) -> &'static str {
    if interrupted {
        "a second signal"
    } else {
        "SIGINT or SIGTERM, twice,"
    }
}

const fn name(signal: u8) -> &'static str {
    match signal {
        2 => "SIGINT",
        15 => "SIGTERM",
        _ => "another",
    }
}

/// Returns how many connections ended because of the peer or the network.
fn lost(reactor: &Reactor<impl Service>) -> u64 {
    let counters = reactor.counters();
    [
        EndReason::Reset,
        EndReason::WriteTimeout,
        EndReason::Panicked,
        EndReason::RegisterFailed,
    ]
    .into_iter()
    .map(|reason| counters.ended(reason))
    .sum()
}

/// The drain was over before every connection had finished.
const EXIT_CUT: u8 = 3;
