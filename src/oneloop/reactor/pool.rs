//! Blocking work beside the loop.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use log::error;

use super::Reactor;
use super::calls::Calls;
use super::handle::CallError;
use crate::net::{Jobs, Net};
use crate::service::{Service, ServiceContext};

/// Threads for work that would block the loop: files, name lookups, password hashes. See
/// [`Reactor::pool`].
///
/// It is usually a field of the service. Dropping it drops the jobs that wait, and ends its threads
/// after the jobs under way; nothing waits for them. Their results still reach the loop. When the
/// loop has stopped, or is dropped, results are dropped.
///
/// Under simulation there are no threads: a job runs at the moment when it completes, after a
/// virtual time that the network draws.
///
/// ```
/// use oneloop::{
///     CloseReason, Context, Event, Limits, Next, Peer, Pool, Reactor, Service, ServiceContext,
/// };
///
/// /// Reads a file for each connection.
/// #[derive(Default)]
/// struct Motd {
///     pool: Option<Pool<Motd>>,
///     text: Vec<u8>,
/// }
///
/// impl Service for Motd {
///     type Session = ();
///     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
///     fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
///         match (event, &self.pool) {
///             (Event::Open, Some(pool)) => {
///                 let id = cx.id();
///                 let started = pool.run(
///                     || std::fs::read("/etc/motd").unwrap_or_default(),
///                     move |motd, text, cx| {
///                         motd.text = text.unwrap_or_default();
///                         cx.wake(id); // does nothing if the session has ended
///                     },
///                 );
///                 if started.is_err() {
///                     return Next::Close(CloseReason::Refused);
///                 }
///             }
///             (Event::Wake, _) => {
///                 cx.write(&self.text);
///                 return Next::Close(CloseReason::Completed);
///             }
///             (Event::Timeout, _) => return Next::Close(CloseReason::Timeout),
///             _ => {}
///         }
///         Next::Pause { until: cx.after(std::time::Duration::from_secs(10)) }
///     }
/// }
///
/// let mut reactor = Reactor::new(Motd::default(), Limits::default())?;
/// let pool = reactor.pool("files", 2, 100)?;
/// reactor.service_mut().pool = Some(pool);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Pool<S> {
    jobs: Jobs,
    calls: Arc<Calls<S>>,
    under_way: Arc<AtomicUsize>,
    jobs_max: usize,
}

/// The error of a job that panicked: it has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPanicked;

/// A job's place among the jobs under way. Dropping it frees the place.
struct Place(Arc<AtomicUsize>);

impl<S: Service, N: Net> Reactor<S, N> {
    /// Starts a pool of `threads` threads called `name-0`, `name-1` and so on.
    ///
    /// At most `jobs_max` jobs are under way at once: those that wait, those that run, and those
    /// whose result the loop has not got yet.
    ///
    /// # Errors
    /// Returns the error of starting a thread, and `InvalidInput` for no threads or no jobs.
    pub fn pool(&mut self, name: &str, threads: usize, jobs_max: usize) -> io::Result<Pool<S>> {
        if threads == 0 || jobs_max == 0 {
            let rule = "a pool needs a thread and a place for a job";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, rule));
        }
        let pool = Pool {
            jobs: Jobs::new(),
            calls: self.calls(),
            under_way: Arc::default(),
            jobs_max,
        };
        // If this fails, dropping the pool ends the threads that were started.
        self.core.net.start_workers(&pool.jobs, name, threads)?;
        Ok(pool)
    }
}

impl<S: Service> Pool<S> {
    /// Runs `job` on a thread of the pool, then `then` on the loop with its result, the service and
    /// a context.
    ///
    /// `then` is a call like that of [`Handle::run`](super::Handle::run), except that
    /// `Limits::calls_max` does not concern it. It gets [`JobPanicked`] if the job panicked. A
    /// session that waits for the result is best woken from it; one that has ended is skipped.
    ///
    /// # Errors
    /// Returns [`CallError::Busy`] if as many jobs as the pool allows are under way, and
    /// [`CallError::Stopped`] if the loop has stopped. Both closures are then dropped.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(&mut S, Result<T, JobPanicked>, &mut ServiceContext) + Send + 'static,
    ) -> Result<(), CallError>
    where
        S: 'static,
    {
        self.calls.check_open()?;
        let place = Place::take(&self.under_way, self.jobs_max)?;
        let calls = Arc::clone(&self.calls);
        self.jobs.push(move || {
            let result = catch_unwind(AssertUnwindSafe(job)).map_err(|_| {
                error!("a job panicked");
                JobPanicked
            });
            // Fails only when the loop has stopped.
            let _ = calls.push_result(Box::new(move |service, cx, _| {
                drop(place);
                then(service, result, cx);
            }));
        });
        Ok(())
    }

    /// Returns the number of jobs under way: waiting, running, or with a result that the loop has
    /// not got yet.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Acquire)
    }
}

impl Place {
    fn take(under_way: &Arc<AtomicUsize>, most: usize) -> Result<Self, CallError> {
        let place = Self(Arc::clone(under_way));
        // On failure dropping the place takes the count back.
        match under_way.fetch_add(1, Ordering::AcqRel) < most {
            true => Ok(place),
            false => Err(CallError::Busy),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<S> Drop for Pool<S> {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

impl<S> fmt::Debug for Pool<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("under_way", &self.under_way)
            .field("jobs_max", &self.jobs_max)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for JobPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the job panicked")
    }
}

impl std::error::Error for JobPanicked {}
