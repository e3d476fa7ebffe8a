//! The program's own work between the turns of the loop: its successor and its service manager.

use std::time::Duration;

use log::{error, warn};
use oneloop::{Reactor, RunError, Service, Turn};

use crate::args::Args;
use crate::chain::Controls;
use crate::counted;
#[cfg(unix)]
use crate::notify::Manager;
#[cfg(unix)]
use crate::reload::Reload;
use crate::signals::Signals;
use crate::sockets::Sockets;
#[cfg(unix)]
use crate::successor::Successor;
use greet_support::descriptors::Allowance;

/// The parties that this process keeps informed.
pub(crate) struct Upkeep {
    sockets: Sockets,
    #[cfg(unix)]
    manager: Manager,
    #[cfg(unix)]
    successor: Successor,
    #[cfg(unix)]
    reload: Reload,
    grace: Duration,
    stage: Stage,
}

/// How far this process has come, as the others know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    Stopping,
    /// A successor has taken over the sockets.
    Succeeded,
}

#[cfg(unix)]
impl Upkeep {
    /// Finds the service manager and the predecessor, if there are such.
    pub(crate) fn new(sockets: Sockets, args: &Args, allowance: Allowance) -> Self {
        let is_successor = sockets.is_inherited();
        Self {
            sockets,
            manager: Manager::from_environment(is_successor),
            successor: Successor::new(args.successor_timeout),
            reload: Reload::new(args, allowance),
            grace: args.grace,
            stage: Stage::Serving,
        }
    }

    /// Reports that every socket is bound and served from now on.
    pub(crate) fn report_ready(&mut self) {
        if let Some(predecessor) = self.sockets.take_predecessor()
            && let Err(error) = predecessor.report_ready()
        {
            warn!("the predecessor has ended ({error}); this process serves alone");
        }
        self.manager.ready();
    }

    /// Runs a turn of the loop, which waits until there is something to do here at the longest, or
    /// elsewhere in the program, which is due in `due_in`.
    ///
    /// # Errors
    /// As [`Reactor::turn`].
    pub(crate) fn turn(
        &self,
        reactor: &mut Reactor<impl Service>,
        due_in: Option<Duration>,
    ) -> Result<Turn, RunError> {
        let due = [due_in, self.manager.due_in(), self.successor.due_in()];
        match due.into_iter().flatten().min() {
            Some(most) => reactor.turn_within(most),
            None => reactor.turn(),
        }
    }

    /// Takes notice of signals and of the successor, and notifies the service manager.
    pub(crate) fn look(
        &mut self,
        reactor: &mut Reactor<impl Service>,
        signals: &Signals,
        controls: &Controls,
    ) {
        if self.stage == Stage::Serving && signals.stop_requested() {
            self.stage = Stage::Stopping;
            self.successor.abandon();
            let most = self.grace.saturating_add(reactor.limits().drain_timeout);
            self.manager.stopping(most);
        }
        if signals.take_reload() && self.stage == Stage::Serving {
            self.reload(reactor, controls);
        }
        if signals.take_restart() {
            match self.stage {
                Stage::Serving => self.successor.start(reactor, &self.sockets),
                Stage::Stopping | Stage::Succeeded => {
                    warn!("no successor is started: this process stops already")
                }
            }
        }
        if let Some(successor) = self.successor.look() {
            self.stage = Stage::Succeeded;
            reactor.hand_over();
            self.manager.hand_over(successor);
        }
        self.manager.tick(|| status(reactor, self.stage));
    }

    fn reload(&mut self, reactor: &mut Reactor<impl Service>, controls: &Controls) {
        self.manager.reloading();
        match self.reload.run(reactor, controls) {
            Ok(args) => {
                self.grace = args.grace;
                self.successor.set_timeout(args.successor_timeout);
            }
            Err(problem) => error!("the configuration stays as it was: {problem}"),
        }
        self.manager.ready();
    }

    /// Returns how many notifications the service manager did not take, if there is one.
    pub(crate) fn notify_failures(&self) -> Option<u64> {
        self.manager.is_present().then(|| self.manager.failures())
    }
}

/// Elsewhere there is neither a service manager nor a successor.
#[cfg(not(unix))]
impl Upkeep {
    pub(crate) fn new(sockets: Sockets, args: &Args, _: Allowance) -> Self {
        Self {
            sockets,
            grace: args.grace,
            stage: Stage::Serving,
        }
    }

    pub(crate) fn report_ready(&mut self) {}

    pub(crate) fn turn(
        &self,
        reactor: &mut Reactor<impl Service>,
        due_in: Option<Duration>,
    ) -> Result<Turn, RunError> {
        match due_in {
            Some(most) => reactor.turn_within(most),
            None => reactor.turn(),
        }
    }

    pub(crate) fn look(&mut self, _: &mut Reactor<impl Service>, signals: &Signals, _: &Controls) {
        if signals.stop_requested() {
            self.stage = Stage::Stopping;
        }
    }

    pub(crate) fn notify_failures(&self) -> Option<u64> {
        None
    }
}

impl Upkeep {
    /// Returns how long this process goes on when it is to stop, before it drains.
    pub(crate) const fn grace(&self) -> Duration {
        self.grace
    }

    /// Returns `true` once this process is to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stage != Stage::Serving
    }

    /// Returns `true` once a successor has taken over the sockets.
    pub(crate) fn is_succeeded(&self) -> bool {
        self.stage == Stage::Succeeded
    }

    /// Returns the sockets, to which the listeners are to be added.
    pub(crate) fn sockets(&mut self) -> &mut Sockets {
        &mut self.sockets
    }
}

/// Returns the state in words, for operators who ask the service manager.
fn status(reactor: &Reactor<impl Service>, stage: Stage) -> String {
    let open = counted(reactor.open_connections(), "connection");
    let stage = match stage {
        Stage::Serving => "Serving",
        Stage::Stopping | Stage::Succeeded => "Stopping",
    };
    let accepted = reactor.counters().accepted();
    format!("{stage}: {open} open, {accepted} accepted")
}
