//! Calls into the service outside of a step, and the panics of all its calls.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use log::error;

use super::Reactor;
use super::calls::Call;
use super::core::{Core, Slot};
use crate::net::Net;
use crate::service::{EndReason, ListenerId, Peer, Service, ServiceContext};

impl<S: Service, N: Net> Reactor<S, N> {
    /// Runs `work`, which steps sessions, and contains their panics.
    ///
    /// The session that panicked ends, then the work resumes. Each kind of work records its
    /// progress before each step, so it repeats none.
    ///
    /// After a panic, the session and the service's own fields may be inconsistent. The loop's
    /// state is consistent then, except for the output of the step.
    pub(crate) fn catch_session_panics<T>(&mut self, work: impl Fn(&mut Self) -> T) -> T {
        loop {
            let panic = match catch_unwind(AssertUnwindSafe(|| work(self))) {
                Ok(done) => return done,
                Err(panic) => panic,
            };
            if !self.core.scratch.is_stepping() {
                resume_unwind(panic); // our own bug
            }
            let current = self.core.scratch.current;
            self.core.scratch.end_step();
            self.core.panicked(&mut self.slots[current.index]);
            self.slots.rearm_or_retire(current.index, self.core.now());
        }
    }
}

impl<S: Service, N: Net> Core<S, N> {
    /// Calls the service outside of a step. Returns `None` if it panicked.
    pub(crate) fn call<T>(
        &mut self,
        callback: &str,
        body: impl FnOnce(&mut S, &mut ServiceContext) -> T,
    ) -> Option<T> {
        let (service, cx) = (&mut self.service, &mut self.scratch.service);
        catch_unwind(AssertUnwindSafe(|| body(service, cx)))
            .inspect_err(|_| {
                error!("the service panicked in `{callback}`");
                self.counters.service_panics += 1;
            })
            .ok()
    }

    /// Carries out a call of another thread.
    pub(crate) fn carry_out(&mut self, call: Call<S>) {
        let (service, cx, counters) = (
            &mut self.service,
            &mut self.scratch.service,
            &mut self.counters,
        );
        counters.calls += 1;
        if catch_unwind(AssertUnwindSafe(|| call(service, cx, counters))).is_err() {
            error!("a call of another thread panicked");
            counters.service_panics += 1;
        }
    }

    /// Ends the connection whose session panicked in its step.
    pub(crate) fn panicked(&mut self, connection: &mut Slot<S, N>) {
        error!("the session with {} panicked", connection.ends.remote());
        self.scratch.reset();
        connection.abort(EndReason::Panicked);
    }
}

/// Returns true if the service takes a connection for a proxy's; false if it panics.
pub(crate) fn is_proxy<S: Service>(service: &S, peer: &Peer) -> bool {
    catch_unwind(AssertUnwindSafe(|| service.is_proxy(peer))).unwrap_or_else(|_| {
        error!("the service panicked in `is_proxy`");
        false
    })
}

/// Returns the service's message for a refused connection; empty if the service panics.
pub(crate) fn refusal_message<S: Service>(
    service: &S,
    listener: ListenerId,
    reason: EndReason,
) -> &[u8] {
    let message = AssertUnwindSafe(|| service.refusal_message(listener, reason));
    catch_unwind(message).unwrap_or_else(|_| {
        error!("the service panicked in `refusal_message`");
        b""
    })
}
