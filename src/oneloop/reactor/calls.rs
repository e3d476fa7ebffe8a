//! Calls of other threads: the queue between handles, pools and the loop.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::handle::{CallError, Handle};
use super::{Counters, Reactor};
use crate::net::{Net, WakeFn};
use crate::service::{Service, ServiceContext};

/// A call that the loop carries out with the service.
pub(crate) type Call<S> = Box<dyn FnOnce(&mut S, &mut ServiceContext, &Counters) + Send>;

/// The calls that wait for the loop.
pub(crate) struct Calls<S> {
    queue: Mutex<Queue<S>>,
    /// True from the first call, or request to stop, until the loop looks.
    signalled: AtomicBool,
    stop: AtomicBool,
    waker: WakeFn,
    calls_max: usize,
    pub(crate) loop_thread: LoopThread,
}

enum Queue<S> {
    Open(VecDeque<Call<S>>),
    Closed,
}

/// The thread that runs the loop, once it runs. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoopThread(Arc<Mutex<Option<ThreadId>>>);

/// The loop's end of the queue.
pub(crate) struct Receiver<S> {
    pub(crate) calls: Arc<Calls<S>>,
    /// Calls taken from the queue, but not carried out yet.
    taken: VecDeque<Call<S>>,
    /// The thread noted in `calls`.
    thread: Option<ThreadId>,
}

impl<S: Service, N: Net> Reactor<S, N> {
    /// Returns a handle, with which other threads reach the loop and its service.
    ///
    /// The first call makes the queue between them; without one there is none. Keep a copy in the
    /// service to hand it to the threads that the service starts.
    pub fn handle(&mut self) -> Handle<S> {
        Handle::new(self.calls())
    }

    pub(crate) fn calls(&mut self) -> Arc<Calls<S>> {
        let receiver = self.receiver.get_or_insert_with(|| {
            let calls = Calls::new(self.core.net.waker(), self.core.limits.calls_max);
            Box::new(Receiver::new(calls))
        });
        Arc::clone(&receiver.calls)
    }

    /// Carries out calls of other threads, within the budget of a turn.
    #[cold]
    pub(crate) fn run_calls(&mut self) {
        let Some(mut receiver) = self.receiver.take() else {
            return;
        };
        receiver.note_thread();
        receiver.refill();
        for _ in 0..self.core.limits.turn_calls_max {
            let Some(call) = receiver.taken.pop_front() else {
                break;
            };
            self.core.carry_out(call);
        }
        let stop = receiver.calls.stop.load(Ordering::Acquire);
        self.receiver = Some(receiver);
        if stop {
            self.drain();
        }
    }

    /// Refuses further calls, and drops those that wait: their replies report it.
    pub(crate) fn close_calls(&mut self) {
        if let Some(receiver) = self.receiver.take() {
            receiver.calls.close();
        }
    }
}

impl<S> Calls<S> {
    fn new(waker: WakeFn, calls_max: usize) -> Self {
        Self {
            queue: Mutex::new(Queue::Open(VecDeque::new())),
            signalled: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            waker,
            calls_max,
            loop_thread: LoopThread::default(),
        }
    }

    /// Appends a call of a handle.
    pub(crate) fn push(&self, call: Call<S>) -> Result<(), CallError> {
        self.append(call, self.calls_max)
    }

    /// Appends the result of a job. Its pool bounds their number.
    pub(crate) fn push_result(&self, call: Call<S>) -> Result<(), CallError> {
        self.append(call, usize::MAX)
    }

    /// Returns an error if the loop has stopped.
    pub(crate) fn check_open(&self) -> Result<(), CallError> {
        match *self.lock() {
            Queue::Open(_) => Ok(()),
            Queue::Closed => Err(CallError::Stopped),
        }
    }

    /// Requests a drain.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.signal();
    }

    fn append(&self, call: Call<S>, most: usize) -> Result<(), CallError> {
        match &mut *self.lock() {
            Queue::Open(queue) if queue.len() < most => queue.push_back(call),
            Queue::Open(_) => return Err(CallError::Busy),
            Queue::Closed => return Err(CallError::Stopped),
        }
        self.signal();
        Ok(())
    }

    /// Wakes the loop, once until it looks.
    fn signal(&self) {
        if !self.signalled.swap(true, Ordering::AcqRel) {
            (self.waker)();
        }
    }

    fn close(&self) {
        let queue = std::mem::replace(&mut *self.lock(), Queue::Closed);
        // Not under the lock: what a call owns may do anything when it is dropped.
        drop(queue);
    }

    /// Nothing panics under the lock, and it is held for no longer than a push or a swap.
    fn lock(&self) -> MutexGuard<'_, Queue<S>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Receiver<S> {
    fn new(calls: Calls<S>) -> Self {
        Self {
            calls: Arc::new(calls),
            taken: VecDeque::new(),
            thread: None,
        }
    }

    /// Returns true if there are calls that are not carried out yet.
    ///
    /// The event of a wake-up may have come while calls taken before were carried out, so it does
    /// not report those in the queue.
    pub(crate) fn has_calls(&self) -> bool {
        !self.taken.is_empty() || self.calls.signalled.load(Ordering::Acquire)
    }

    /// Takes all calls from the queue, once those taken before are carried out.
    fn refill(&mut self) {
        // The signal is reset first: a call that is appended after this look signals again.
        if self.taken.is_empty()
            && self.calls.signalled.swap(false, Ordering::AcqRel)
            && let Queue::Open(queue) = &mut *self.calls.lock()
        {
            // Both buffers stay allocated.
            std::mem::swap(queue, &mut self.taken);
        }
    }

    /// Notes which thread runs the loop.
    fn note_thread(&mut self) {
        let current = Some(thread::current().id());
        if self.thread != current {
            self.thread = current;
            self.calls.loop_thread.set(current);
        }
    }
}

impl LoopThread {
    /// Returns true on the thread that runs the loop.
    pub(crate) fn is_current(&self) -> bool {
        *self.lock() == Some(thread::current().id())
    }

    fn set(&self, thread: Option<ThreadId>) {
        *self.lock() = thread;
    }

    fn lock(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> fmt::Debug for Calls<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("calls_max", &self.calls_max)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Receiver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("taken", &self.taken.len())
            .finish_non_exhaustive()
    }
}
