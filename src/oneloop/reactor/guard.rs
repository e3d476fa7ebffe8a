//! Every call into the service outside of a step, and the panics of all its calls.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use log::error;

use super::Reactor;
use super::core::{Core, Slot};
use crate::net::Net;
use crate::service::{EndReason, Service, ServiceContext, SessionId};

impl<S: Service, N: Net> Reactor<S, N> {
    /// Does `work`, which steps sessions, and survives their panics: the session that panicked
    /// ends, then the work goes on where it was. Each kind of work notes what it does next as done
    /// before it does it, so nothing is done twice.
    ///
    /// The seam is where a panic stops: what it may leave half-done is the session and the
    /// service's own fields. The loop's are in order at that point, but for the output of the step.
    pub(crate) fn catch_session_panics<T>(&mut self, work: impl Fn(&mut Self) -> T) -> T {
        loop {
            let panic = match catch_unwind(AssertUnwindSafe(|| work(self))) {
                Ok(done) => return done,
                Err(panic) => panic,
            };
            let user = std::mem::replace(&mut self.core.scratch.user, SessionId::NONE);
            if user == SessionId::NONE {
                resume_unwind(panic); // our own bug
            }
            self.core.panicked(&mut self.slots[user.index]);
            self.slots.rearm_or_retire(user.index, self.core.now());
        }
    }
}

impl<S: Service, N: Net> Core<S, N> {
    /// Calls the service outside of any step. `None` if it panicked.
    pub(crate) fn call<T>(
        &mut self,
        what: &str,
        body: impl FnOnce(&mut S, &mut ServiceContext) -> T,
    ) -> Option<T> {
        let (service, cx) = (&mut self.service, &mut self.scratch.service);
        catch_unwind(AssertUnwindSafe(|| body(service, cx)))
            .inspect_err(|_| {
                error!("the service panicked in `{what}`");
                self.counters.service_panics += 1;
            })
            .ok()
    }

    /// The step of this connection's session panicked: ends it, and it alone.
    pub(crate) fn panicked(&mut self, connection: &mut Slot<S, N>) {
        error!("the session with {} panicked", connection.address());
        self.scratch.output.reset();
        connection.end(EndReason::Panicked);
    }
}

/// What the service says to those who are turned away; nothing if it panics over it.
pub(crate) fn refusal_message<S: Service>(service: &S, why: EndReason) -> &[u8] {
    catch_unwind(AssertUnwindSafe(|| service.refusal_message(why))).unwrap_or_else(|_| {
        error!("the service panicked in `refusal_message`");
        b""
    })
}
