//! Requests from sessions to the loop.

use std::collections::HashSet;

use super::inspect::Inspect;
use super::{Announced, Connect, SessionId};

/// Requests, collected while sessions are stepped and carried out after the batch.
///
/// So no session changes the set of connections while the loop iterates over it.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) wake: Vec<SessionId>,
    /// The length of `wake` at which duplicates are removed next.
    wake_checked_at: usize,
    pub(crate) wake_all: bool,
    pub(crate) controls: Vec<(SessionId, Control)>,
    pub(crate) connect: Vec<Connect>,
    pub(crate) inspect: Vec<Inspect>,
    pub(crate) drain: bool,
}

/// A change of one session's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Read and step it while its output waits, or not.
    Duplex(bool),
    /// Shut down its sending side once its output is flushed.
    Finish,
    /// Send it `Event::Flushed` once its output is flushed.
    Flushed,
    /// End it at once, with a reset.
    Abort,
    /// Give it the client's address, and open its session again.
    Readdress(Announced),
}

impl Requests {
    /// Returns true if there is no request.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            wake,
            wake_checked_at: _,
            wake_all,
            controls,
            connect,
            inspect,
            drain,
        } = self;
        let nothing_listed = wake.is_empty() && controls.is_empty() && connect.is_empty();
        nothing_listed && inspect.is_empty() && !wake_all && !drain
    }

    /// Requests that a session be woken. The list stays within twice the number of different
    /// sessions in it, even if a session is named many times.
    pub(crate) fn wake(&mut self, session: SessionId) {
        if self.wake.last() == Some(&session) {
            return;
        }
        if self.wake.len() >= self.wake_checked_at.max(WAKE_UNCHECKED) {
            let mut seen = HashSet::new();
            self.wake.retain(|&session| seen.insert(session));
            self.wake_checked_at = 2 * self.wake.len();
        }
        self.wake.push(session);
    }
}

/// Below this length, removing duplicates is not worth the cost.
const WAKE_UNCHECKED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32) -> SessionId {
        SessionId {
            index,
            generation: 1,
        }
    }

    #[test]
    fn repeated_wake_requests_stay_few_and_in_order() {
        let mut requests = Requests::default();
        for number in 0..100_000 {
            requests.wake(id(number % 3));
            assert!(requests.wake.len() <= WAKE_UNCHECKED + 3);
        }
        let order = std::mem::take(&mut requests).wake;
        assert_eq!(order[..3], [id(0), id(1), id(2)]);
        assert!(requests.is_empty());
    }

    #[test]
    fn wake_requests_of_many_sessions_are_all_kept() {
        let mut requests = Requests::default();
        for _ in 0..3 {
            (0..10_000).for_each(|number| requests.wake(id(number)));
        }
        let different: HashSet<_> = requests.wake.into_iter().collect();
        assert_eq!(different.len(), 10_000);
    }
}
