//! Stopping: a drain, and a second signal that stops at once.

use std::process::ExitCode;
use std::time::Duration;

use log::{info, warn};
use oneloop::admin::Ready;
use oneloop::{EndReason, Reactor, Service, Stopped};

use crate::chain::Controls;
use crate::counted;
use crate::signals::Signals;

/// How far stopping has come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shutdown {
    /// Not asked for.
    Serving,
    /// Asked for: the connections have time to finish.
    Draining {
        /// Whether SIGINT or SIGTERM asked for it, so that the next one stops at once.
        interrupted: bool,
        /// How many connections had been lost before.
        lost_before: u64,
    },
}

impl Shutdown {
    /// Takes notice of signals. Returns the exit code if the server must stop at once.
    pub(crate) fn look(
        &mut self,
        reactor: &Reactor<impl Service>,
        signals: &Signals,
        controls: &Controls,
        drain_timeout: Duration,
    ) -> Option<ExitCode> {
        let interrupt = signals.take_interrupt();
        match (*self, interrupt) {
            (Self::Serving, _) if signals.stop_requested() => {
                controls.readiness.set(Ready::Leaving);
                let interrupted = interrupt.is_some();
                let open = counted(reactor.open_connections(), "connection");
                let have = if reactor.open_connections() == 1 {
                    "has"
                } else {
                    "have"
                };
                let how = how_to_hurry(interrupted);
                info!("Stopping: {open} {have} {drain_timeout:?} to finish; {how} stops at once");
                *self = Self::Draining {
                    interrupted,
                    lost_before: lost(reactor),
                };
            }
            (
                Self::Draining {
                    interrupted: true, ..
                },
                Some(number),
            ) => {
                let open = counted(reactor.open_connections(), "connection");
                let signal = name(number);
                warn!("Stopped at once by a second signal ({signal}): {open} cut off");
                return Some(ExitCode::from(128 + number));
            }
            (
                Self::Draining {
                    interrupted: false,
                    lost_before,
                },
                Some(_),
            ) => {
                info!("Stopping already: {} stops at once", how_to_hurry(true));
                *self = Self::Draining {
                    interrupted: true,
                    lost_before,
                };
            }
            (Self::Serving | Self::Draining { .. }, _) => {}
        }
        None
    }

    /// Logs how the drain went, and returns the exit code.
    pub(crate) fn farewell(self, reactor: &Reactor<impl Service>, stopped: Stopped) -> ExitCode {
        let lost_before = match self {
            Self::Draining { lost_before, .. } => lost_before,
            Self::Serving => lost(reactor),
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
