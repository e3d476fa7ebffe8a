//! The program's own work between the turns of the loop: its successor and its service manager.

use std::io;
use std::time::Duration;

use log::warn;
use oneloop::{Reactor, Service, Turn};

use crate::args::Args;
use crate::counted;
#[cfg(unix)]
use crate::notify::Manager;
use crate::signals::Signals;
use crate::sockets::Sockets;
#[cfg(unix)]
use crate::successor::Successor;

/// The parties that this process keeps informed.
pub(crate) struct Upkeep {
    sockets: Sockets,
    #[cfg(unix)]
    manager: Manager,
    #[cfg(unix)]
    successor: Successor,
    stage: Stage,
}

/// How far this process has come, as the others know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    Stopping,
}

#[cfg(unix)]
impl Upkeep {
    /// Finds the service manager and the predecessor, if there are such.
    pub(crate) fn new(sockets: Sockets, args: &Args) -> Self {
        let is_successor = sockets.predecessor().is_some();
        Self {
            sockets,
            manager: Manager::from_environment(is_successor),
            successor: Successor::new(args.successor_timeout),
            stage: Stage::Serving,
        }
    }

    /// Reports that every socket is bound and served from now on.
    pub(crate) fn report_ready(&mut self) {
        if let Some(predecessor) = self.sockets.predecessor()
            && let Err(error) = predecessor.report_ready()
        {
            warn!("the predecessor has ended ({error}); this process serves alone");
        }
        self.manager.ready();
    }

    /// Runs a turn of the loop, which waits until there is something to do here at the longest.
    ///
    /// # Errors
    /// As [`Reactor::turn`].
    pub(crate) fn turn(&self, reactor: &mut Reactor<impl Service>) -> io::Result<Turn> {
        let due = [self.manager.due_in(), self.successor.due_in()];
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
        drain_timeout: Duration,
    ) {
        if self.stage == Stage::Serving && signals.stop_requested() {
            self.stage = Stage::Stopping;
            self.successor.abandon();
            self.manager.stopping(drain_timeout);
        }
        if signals.take_restart() {
            match self.stage {
                Stage::Serving => self.successor.start(reactor, &self.sockets),
                Stage::Stopping => warn!("no successor is started: this process stops already"),
            }
        }
        if let Some(successor) = self.successor.look() {
            self.stage = Stage::Stopping;
            reactor.hand_over();
            self.manager.hand_over(successor);
            signals.request_stop();
            reactor.drain();
        }
        self.manager.tick(|| status(reactor, self.stage));
    }

    /// Returns how many notifications the service manager did not take, if there is one.
    pub(crate) fn notify_failures(&self) -> Option<u64> {
        self.manager.is_present().then(|| self.manager.failures())
    }
}

/// Elsewhere there is neither a service manager nor a successor.
#[cfg(not(unix))]
impl Upkeep {
    pub(crate) fn new(sockets: Sockets, _: &Args) -> Self {
        let stage = Stage::Serving;
        Self { sockets, stage }
    }

    pub(crate) fn report_ready(&mut self) {}

    pub(crate) fn turn(&self, reactor: &mut Reactor<impl Service>) -> io::Result<Turn> {
        reactor.turn()
    }

    pub(crate) fn look(&mut self, _: &mut Reactor<impl Service>, _: &Signals, _: Duration) {}

    pub(crate) fn notify_failures(&self) -> Option<u64> {
        None
    }
}

impl Upkeep {
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
        Stage::Stopping => "Stopping",
    };
    let accepted = reactor.counters().accepted;
    format!("{stage}: {open} open, {accepted} accepted")
}
