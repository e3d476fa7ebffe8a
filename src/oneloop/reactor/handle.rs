//! The loop, as other threads see it.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use super::Counters;
use super::calls::{Call, Calls, LoopThread};
use crate::service::{Service, ServiceContext};

/// Reaches a loop and its service from any thread. See [`Reactor::handle`](super::Reactor::handle).
///
/// It can be sent and shared although the service can not: the service stays on its thread, and
/// closures are sent to it. No method waits for the loop.
///
/// Calls are carried out in the order in which they were made, in the last phase of a turn, at most
/// `Limits::turn_calls_max` in one turn. At most `Limits::calls_max` wait. Calls are carried out
/// while the loop drains, too. When it has stopped, or is dropped, the calls that wait are dropped
/// and further ones refused.
///
/// ```
/// use std::thread;
/// use std::time::Duration;
///
/// use oneloop::{Context, Event, Limits, Next, Peer, Reactor, Service, ServiceContext, Time};
///
/// #[derive(Default)]
/// struct Board {
///     notice: String,
/// }
///
/// impl Service for Board {
///     type Session = ();
///     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
///     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
///         cx.write(self.notice.as_bytes());
///         Next::Read { until: Time::UNBOUNDED }
///     }
/// }
///
/// let mut reactor = Reactor::new(Board::default(), Limits::default())?;
/// let handle = reactor.handle();
/// let other = thread::spawn(move || {
///     handle.run(|board, _| board.notice = "out of order".into()).expect("room for a call");
///     let mut length = handle.ask(|board, _| board.notice.len()).expect("room for a call");
///     let length = length.wait(Duration::from_secs(10));
///     handle.stop();
///     length
/// });
/// reactor.run()?;
/// assert_eq!(other.join().expect("no panic"), Ok(12));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Handle<S> {
    calls: Arc<Calls<S>>,
}

/// The answer to [`Handle::ask`], now or later.
#[derive(Debug)]
pub struct Reply<T> {
    receiver: Receiver<T>,
    loop_thread: LoopThread,
}

/// The error of a call that the loop does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// As many calls, or jobs, as may wait do so. A later attempt may succeed.
    Busy,
    /// The loop has stopped.
    Stopped,
}

/// The error of waiting for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyError {
    /// There is no answer yet.
    TimedOut,
    /// There will be no answer: the call panicked, or the loop has stopped, or the answer was
    /// taken.
    Abandoned,
    /// It is the loop's own thread that would wait, so the answer could not come.
    OnLoopThread,
}

impl<S: Service> Handle<S> {
    pub(crate) fn new(calls: Arc<Calls<S>>) -> Self {
        Self { calls }
    }

    /// Runs `task` on the loop, with the service and a context.
    ///
    /// The context can wake and connect sessions, set timers of the service and stop it. A panic of
    /// `task` is counted (`Counters::service_panics`), and affects nothing else of the loop.
    ///
    /// # Errors
    /// Returns [`CallError`] if the task is not taken; it is then dropped.
    pub fn run(
        &self,
        task: impl FnOnce(&mut S, &mut ServiceContext) + Send + 'static,
    ) -> Result<(), CallError> {
        self.push(Box::new(|service, cx, _| task(service, cx)))
    }

    /// Runs `task` on the loop as [`run`](Self::run) does, and sends its result back.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn ask<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut S, &mut ServiceContext) -> T + Send + 'static,
    ) -> Result<Reply<T>, CallError> {
        self.ask_with(|service, cx, _| task(service, cx))
    }

    /// Asks for the loop's counters.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn counters(&self) -> Result<Reply<Counters>, CallError> {
        self.ask_with(|_, _, counters| counters.clone())
    }

    /// Stops the loop as a signal does: it drains. Takes no place in the queue.
    pub fn stop(&self) {
        self.calls.stop();
    }

    fn ask_with<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut S, &mut ServiceContext, &Counters) -> T + Send + 'static,
    ) -> Result<Reply<T>, CallError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.push(Box::new(move |service, cx, counters| {
            // Fails only if the reply is not wanted any more.
            let _ = sender.try_send(task(service, cx, counters));
        }))?;
        let loop_thread = self.calls.loop_thread.clone();
        Ok(Reply {
            receiver,
            loop_thread,
        })
    }

    fn push(&self, call: Call<S>) -> Result<(), CallError> {
        self.calls.push(call)
    }
}

impl<T> Reply<T> {
    /// Waits for the answer, at most for `timeout`.
    ///
    /// # Errors
    /// Returns [`ReplyError::OnLoopThread`] at once on the thread that runs the loop, which is that
    /// of its last turn. After [`ReplyError::TimedOut`] it may be called again.
    pub fn wait(&mut self, timeout: Duration) -> Result<T, ReplyError> {
        match self.try_take() {
            Err(ReplyError::TimedOut) if self.loop_thread.is_current() => {
                Err(ReplyError::OnLoopThread)
            }
            Err(ReplyError::TimedOut) => {
                let answer = self.receiver.recv_timeout(timeout);
                answer.map_err(|error| match error {
                    RecvTimeoutError::Timeout => ReplyError::TimedOut,
                    RecvTimeoutError::Disconnected => ReplyError::Abandoned,
                })
            }
            answer => answer,
        }
    }

    /// Takes the answer if it is there, without waiting.
    ///
    /// # Errors
    /// Returns [`ReplyError::TimedOut`] if there is no answer yet, [`ReplyError::Abandoned`] if
    /// there will be none.
    pub fn try_take(&mut self) -> Result<T, ReplyError> {
        self.receiver.try_recv().map_err(|error| match error {
            TryRecvError::Empty => ReplyError::TimedOut,
            TryRecvError::Disconnected => ReplyError::Abandoned,
        })
    }
}

impl<S> Clone for Handle<S> {
    /// Returns another handle of the same loop.
    fn clone(&self) -> Self {
        let calls = Arc::clone(&self.calls);
        Self { calls }
    }
}

impl<S> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "as many calls, or jobs, as may wait do so",
            Self::Stopped => "the loop has stopped",
        })
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "there is no answer yet",
            Self::Abandoned => "there will be no answer: the call panicked or the loop stopped",
            Self::OnLoopThread => "the loop's own thread cannot wait for the loop",
        })
    }
}

impl std::error::Error for CallError {}

impl std::error::Error for ReplyError {}
