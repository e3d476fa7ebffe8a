//! Restarting without a gap: SIGUSR2 starts a successor with the same sockets.
//!
//! When the successor reports that it serves, this process closes its listeners, without looking
//! into their queues, and drains. A successor that ends or is silent leaves this process serving.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use log::{error, warn};
use oneloop::{Reactor, Service};

use crate::logging::note;
use crate::sockets::{Answer, Predecessor, Sockets, Transfer};

/// The successor of this process, if there is one.
pub(crate) struct Successor {
    /// The program, found when this process started: it may be replaced or removed meanwhile.
    program: io::Result<PathBuf>,
    /// How long it has to be ready.
    timeout: Duration,
    state: State,
}

enum State {
    Absent,
    /// It was started, and is not ready.
    Starting {
        process: Child,
        transfer: Transfer,
        until: Instant,
    },
    /// It serves.
    Serving,
}

impl Successor {
    /// Prepares for a successor, which has `timeout` to be ready.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            program: program(),
            timeout,
            state: State::Absent,
        }
    }

    /// Sets how long a successor has to be ready, from the next one on.
    pub(crate) const fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Starts a successor, unless there is one.
    pub(crate) fn start(&mut self, reactor: &mut Reactor<impl Service>, sockets: &Sockets) {
        match &self.state {
            State::Absent => {}
            State::Starting { process, .. } => {
                return warn!("a successor is starting already (pid {})", process.id());
            }
            State::Serving => return warn!("a successor serves already"),
        }
        match self.spawn(reactor, sockets) {
            Ok((process, transfer)) => {
                note(&format!("starting a successor (pid {})", process.id()));
                let until = crate::after(self.timeout);
                self.state = State::Starting {
                    process,
                    transfer,
                    until,
                };
            }
            Err(error) => error!("cannot start a successor, and go on serving: {error}"),
        }
    }

    fn spawn(
        &self,
        reactor: &mut Reactor<impl Service>,
        sockets: &Sockets,
    ) -> io::Result<(Child, Transfer)> {
        let program = self.program.as_ref().map_err(|error| error.kind())?;
        let (transfer, standard_input) = Transfer::begin(reactor, sockets)?;
        reactor.watch_descriptors()?.readable(&transfer)?;
        let process = Command::new(program)
            .args(env::args_os().skip(1))
            .env(Predecessor::VARIABLE, std::process::id().to_string())
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_FDNAMES")
            .stdin(standard_input)
            .spawn()?;
        Ok((process, transfer))
    }

    /// Takes notice of the successor. Returns its process id when it has become ready.
    pub(crate) fn look(&mut self) -> Option<u32> {
        let State::Starting {
            process,
            transfer,
            until,
        } = &mut self.state
        else {
            return None;
        };
        let pid = process.id();
        match transfer.answer() {
            Answer::Ready => {
                note(&format!("the successor (pid {pid}) serves from now on"));
                self.state = State::Serving;
                return Some(pid);
            }
            Answer::Pending if Instant::now() < *until => return None,
            Answer::Pending => {
                let timeout = self.timeout;
                end(process);
                error!(
                    "the successor (pid {pid}) was not ready in {timeout:?} and was killed; this process goes on serving"
                );
            }
            Answer::Ended => {
                let how = end(process);
                error!(
                    "the successor (pid {pid}) ended before it was ready ({how}); this process goes on serving"
                );
            }
        }
        self.state = State::Absent;
        None
    }

    /// Kills a successor that is not ready, because this process stops.
    pub(crate) fn abandon(&mut self) {
        if let State::Starting { process, .. } = &mut self.state {
            let pid = process.id();
            end(process);
            warn!(
                "the successor (pid {pid}) was not ready and was killed, because this process stops"
            );
            self.state = State::Absent;
        }
    }

    /// Returns how long the loop may wait until [`look`](Self::look) has something to do.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        match &self.state {
            State::Starting { until, .. } => Some(until.saturating_duration_since(Instant::now())),
            State::Absent | State::Serving => None,
        }
    }
}

/// Kills a process, unless it has ended, and returns how it ended.
fn end(process: &mut Child) -> String {
    // It fails only if the process has ended.
    let _ = process.kill();
    match process.wait() {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Returns the path of this program, by which a successor is started.
///
/// The path by which it was called comes first, because it may be a link that will lead to another
/// version.
fn program() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let called = env::args_os().next().map(PathBuf::from);
    let called = called
        .filter(|called| called.components().count() > 1)
        .and_then(|called| std::path::absolute(called).ok())
        // The caller can choose any name.
        .filter(|called| called.canonicalize().is_ok_and(|file| file == program));
    Ok(called.unwrap_or(program))
}
