//! Whether a load balancer is to send new connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The readiness of a server, as `/ready` reports it. Clones share one state.
///
/// [`Admin`](super::Admin) sets it: ready at the loop's first turn, leaving when a drain begins. A
/// program sets it to [`Ready::Leaving`] some time before it drains, so that load balancers notice
/// while the server still accepts.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

/// A state of [`Readiness`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The loop has not turned yet.
    Starting,
    /// New connections are welcome. A full server stays ready: otherwise all servers of a group
    /// would leave together.
    Ready,
    /// New connections are to go elsewhere: the server is about to stop, or stops.
    Leaving,
}

impl Readiness {
    /// Returns the state.
    pub fn get(&self) -> Ready {
        match self.0.load(Ordering::Relaxed) {
            STARTING => Ready::Starting,
            READY => Ready::Ready,
            _ => Ready::Leaving,
        }
    }

    /// Sets the state.
    pub fn set(&self, ready: Ready) {
        let number = match ready {
            Ready::Starting => STARTING,
            Ready::Ready => READY,
            Ready::Leaving => LEAVING,
        };
        self.0.store(number, Ordering::Relaxed);
    }

    /// Notes the loop's first turn.
    pub(super) fn start(&self) {
        let (from, to) = (STARTING, READY);
        // It fails if the program has set another state.
        let _ = self
            .0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }
}

const STARTING: u8 = 0;
const READY: u8 = 1;
const LEAVING: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_state() {
        let (readiness, other) = (Readiness::default(), Readiness::default());
        assert_eq!(readiness.get(), Ready::Starting);
        let shared = readiness.clone();
        for ready in [Ready::Ready, Ready::Leaving, Ready::Starting] {
            shared.set(ready);
            assert_eq!(readiness.get(), ready);
        }
        assert_eq!(other.get(), Ready::Starting);
    }

    #[test]
    fn start_leaves_a_state_that_the_program_has_set() {
        let readiness = Readiness::default();
        readiness.start();
        assert_eq!(readiness.get(), Ready::Ready);
        readiness.set(Ready::Leaving);
        readiness.start();
        assert_eq!(readiness.get(), Ready::Leaving);
    }
}
