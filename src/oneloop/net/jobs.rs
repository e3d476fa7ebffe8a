//! Work for other threads: a queue of jobs.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A piece of work for another thread. It does not panic.
pub struct Job(Box<dyn FnOnce() + Send>);

/// The jobs of one [`Pool`](crate::Pool), in order. Cheap to clone.
///
/// The network's workers take jobs from it: threads with [`wait`](Self::wait), a simulation with
/// [`take`](Self::take). The pool bounds its length.
#[derive(Clone, Debug)]
pub struct Jobs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug)]
enum Queue {
    Open(VecDeque<Job>),
    Closed,
}

impl Jobs {
    pub(crate) fn new() -> Self {
        let queue = Mutex::new(Queue::Open(VecDeque::new()));
        let changed = Condvar::new();
        Self {
            shared: Arc::new(Shared { queue, changed }),
        }
    }

    /// Appends a job. It is dropped if the queue is closed.
    pub(crate) fn push(&self, job: impl FnOnce() + Send + 'static) {
        if let Queue::Open(jobs) = &mut *self.lock() {
            jobs.push_back(Job(Box::new(job)));
        }
        self.shared.changed.notify_one();
    }

    /// Drops all jobs in the queue, and ends all waits for one.
    pub(crate) fn close(&self) {
        let jobs = std::mem::replace(&mut *self.lock(), Queue::Closed);
        self.shared.changed.notify_all();
        // Not under the lock: what a job owns may do anything when it is dropped.
        drop(jobs);
    }

    /// Takes the next job, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<Job> {
        match &mut *self.lock() {
            Queue::Open(jobs) => jobs.pop_front(),
            Queue::Closed => None,
        }
    }

    /// Waits for a job and takes it. Returns `None` once the pool is dropped: the worker ends.
    #[must_use]
    pub fn wait(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            match &mut *queue {
                Queue::Open(jobs) => match jobs.pop_front() {
                    Some(job) => return Some(job),
                    None => {
                        let woken = self.shared.changed.wait(queue);
                        queue = woken.unwrap_or_else(PoisonError::into_inner);
                    }
                },
                Queue::Closed => return None,
            }
        }
    }

    /// Nothing panics under the lock.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        let queue = self.shared.queue.lock();
        queue.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    /// Carries out the job.
    pub fn run(self) {
        (self.0)();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}
