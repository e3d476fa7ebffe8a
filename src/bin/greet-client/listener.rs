//! The connection, and the thread that reads it.
//!
//! The thread shows messages as they arrive. Only while a line is edited the editing thread shows
//! them, because the terminal is its own; then the listener interrupts it.

use std::io::ErrorKind;
use std::process;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::channel::Channel;
use crate::failure::{Awaiting, Failure, ProtocolViolation};
use crate::screen::Screen;
use crate::wire::{self, EXIT, Framing, GOOD_BYE, Message, QUESTION};
use greet_support::address::Address;

/// A connection to a greeting server.
#[derive(Debug)]
pub(crate) struct Listener {
    channel: Arc<Channel>,
    shared: Arc<Shared>,
}

/// The activity of the main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attention {
    /// It waits for the server, or is about to.
    Waiting,
    /// It waits for standard input, and cannot be interrupted.
    Reading,
    /// It edits a line, until it is interrupted.
    Editing,
}

#[derive(Debug)]
struct Shared {
    server: Address,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    screen: Screen,
    attention: Attention,
    /// Messages that the editing thread has to show.
    news: Vec<Vec<u8>>,
    /// Received, and not yet a whole message.
    unfinished: Vec<u8>,
    /// How many bytes the server may still send before it must be sent a name.
    allowance: usize,
    /// The answer that the server owes, if any.
    awaiting: Option<Awaiting>,
    /// The reason why the conversation has ended, if it has.
    end: Option<Failure>,
}

impl Listener {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the operating system gives no thread.
    pub(crate) fn start(
        channel: Channel,
        server: Address,
        screen: Screen,
    ) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            server,
            state: Mutex::new(State {
                screen,
                attention: Attention::Waiting,
                news: Vec::new(),
                unfinished: Vec::new(),
                allowance: ANSWER_BYTES_MAX,
                awaiting: Some(Awaiting::FirstQuestion),
                end: None,
            }),
            changed: Condvar::new(),
        });
        let channel = Arc::new(channel);
        let (channel_too, shared_too) = (Arc::clone(&channel), Arc::clone(&shared));
        thread::Builder::new()
            .spawn(move || shared_too.listen(&channel_too))
            .map_err(|error| shared.broken(error))?;
        Ok(Self { channel, shared })
    }

    /// Sends a name, after which the server owes a reply and the next question; after [`EXIT`] it
    /// owes [`GOOD_BYE`].
    ///
    /// A connection that the server has closed is not an error here: its last message may still be
    /// under way, and the end of the connection comes after it.
    ///
    /// # Errors
    ///
    /// If the name cannot be sent, or if the conversation has ended.
    pub(crate) fn send(
        &self,
        name: &[u8],
        framing: Framing,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let awaiting = if name == EXIT {
            Awaiting::GoodBye
        } else {
            Awaiting::NextQuestion
        };
        let mut state = self.shared.hold();
        if let Some(end) = state.end.take() {
            return Err(end);
        }
        state.awaiting = Some(awaiting);
        state.allowance = ANSWER_BYTES_MAX;
        drop(state);
        let mut bytes = name.to_vec();
        if framing == Framing::Line {
            bytes.push(b'\n');
        }
        // One write for all of it: a server may take one read for one name.
        match self.channel.write_all(&bytes) {
            Ok(()) => Ok(()),
            Err(error) if wire::has_peer_left(&error) => Ok(()),
            Err(error) if wire::has_timed_out(&error) => {
                Err(self.shared.stalled(awaiting, framing, timeout))
            }
            Err(error) => Err(self.shared.broken(error)),
        }
    }

    /// Waits for the answer that the server owes.
    ///
    /// # Errors
    ///
    /// If it is not complete in time, or if the conversation has ended.
    pub(crate) fn wait_for(
        &self,
        awaiting: Awaiting,
        framing: Framing,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.hold();
        loop {
            if state.awaiting.is_none() {
                return Ok(());
            }
            if let Some(end) = state.end.take() {
                return Err(end);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.show_unfinished()?;
                return Err(self.shared.stalled(awaiting, framing, timeout));
            }
            state = self.shared.wait(state, left);
        }
    }

    /// Notes the next activity of the main thread.
    ///
    /// # Errors
    ///
    /// If the conversation has ended.
    pub(crate) fn turn_to(&self, attention: Attention) -> Result<(), Failure> {
        let mut state = self.shared.hold();
        if let Some(end) = state.end.take() {
            return Err(end);
        }
        state.attention = attention;
        Ok(())
    }

    /// Notes that the main thread is back. Returns `true` if there are messages to show, or if the
    /// conversation has ended.
    pub(crate) fn turn_back(&self) -> bool {
        let mut state = self.shared.hold();
        state.attention = Attention::Waiting;
        self.shared.changed.notify_all();
        state.has_news()
    }

    /// Shows the messages that came while a line was edited.
    ///
    /// # Errors
    ///
    /// If the conversation has ended.
    pub(crate) fn show_news(&self) -> Result<(), Failure> {
        let mut state = self.shared.hold();
        for message in std::mem::take(&mut state.news) {
            state.screen.show(&message)?;
        }
        match state.end.take() {
            Some(end) => Err(end),
            None => Ok(()),
        }
    }
}

impl Shared {
    /// Reads the connection to its end.
    fn listen(&self, channel: &Channel) {
        block_interrupts();
        let mut chunk = [0; CHUNK_BYTES];
        let end = loop {
            match channel.read(&mut chunk) {
                Ok(0) => break self.closed(),
                Ok(count) => {
                    if let Err(failure) = self.receive(&chunk[..count]) {
                        break failure;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break self.broken(error),
            }
        };
        self.end(end);
    }

    /// Takes in some bytes, and shows the messages that they complete.
    fn receive(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut state = self.hold();
        if bytes.len() > state.allowance {
            // There is no use in showing it.
            state.unfinished.clear();
            return Err(self.violated(ProtocolViolation::TooMuch(ANSWER_BYTES_MAX)));
        }
        state.allowance -= bytes.len();
        state.unfinished.extend_from_slice(bytes);
        while let Some(message) = wire::take_message(&mut state.unfinished) {
            state.take_note(&message);
            match message {
                Message::Question => state.show(QUESTION)?,
                Message::Line(line) => {
                    state.show(&line)?;
                    if str::from_utf8(&line).is_err() {
                        state.unfinished.clear();
                        return Err(self.violated(ProtocolViolation::NotUtf8));
                    }
                }
            }
        }
        self.changed.notify_all();
        if !state.news.is_empty() {
            self.interrupt_editing(state);
        }
        Ok(())
    }

    /// Ends the conversation: wakes the main thread or, if it cannot be woken, ends the program.
    fn end(&self, end: Failure) {
        let mut state = self.hold();
        let end = match state.show_unfinished() {
            Ok(()) => end,
            Err(failure) => failure,
        };
        match state.attention {
            Attention::Reading => process::exit(crate::exit_code(Err(end)).into()),
            Attention::Editing => {
                state.end = Some(end);
                self.interrupt_editing(state);
            }
            Attention::Waiting => {
                state.end = Some(end);
                self.changed.notify_all();
            }
        }
    }

    /// Sends this process SIGINT until the main thread has taken notice. Once can be too early:
    /// before the editor is ready for it.
    #[cfg(unix)]
    fn interrupt_editing<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        use nix::sys::signal::{Signal, kill};
        use nix::unistd::Pid;

        while state.attention == Attention::Editing && state.has_news() {
            let _ = kill(Pid::this(), Signal::SIGINT);
            state = self.wait(state, INTERRUPT_AGAIN);
        }
    }

    /// Does nothing: there is no editor elsewhere.
    #[cfg(not(unix))]
    fn interrupt_editing<'a>(&'a self, _: MutexGuard<'a, State>) {}

    fn hold(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn closed(&self) -> Failure {
        Failure::Closed {
            server: self.server.clone(),
            awaiting: self.hold().awaiting,
        }
    }

    fn broken(&self, error: std::io::Error) -> Failure {
        Failure::Broken {
            server: self.server.clone(),
            error,
        }
    }

    fn violated(&self, violation: ProtocolViolation) -> Failure {
        Failure::Violated {
            server: self.server.clone(),
            violation,
        }
    }

    fn stalled(&self, awaiting: Awaiting, framing: Framing, timeout: Duration) -> Failure {
        Failure::Stalled {
            server: self.server.clone(),
            timeout,
            awaiting,
            framing,
        }
    }
}

impl State {
    /// Returns `true` if the main thread has something to show or to react to.
    fn has_news(&self) -> bool {
        !self.news.is_empty() || self.end.is_some()
    }

    /// Shows a message, or leaves it to the editing thread, behind those that it has to show.
    fn show(&mut self, message: &[u8]) -> Result<(), Failure> {
        if self.attention == Attention::Editing || !self.news.is_empty() {
            self.news.push(message.to_vec());
            return Ok(());
        }
        self.screen.show(message)
    }

    /// Shows a message that is not complete.
    fn show_unfinished(&mut self) -> Result<(), Failure> {
        let unfinished = std::mem::take(&mut self.unfinished);
        if unfinished.is_empty() {
            return Ok(());
        }
        self.show(&unfinished)
    }

    /// Notes whether a message is the answer that the server owes.
    fn take_note(&mut self, message: &Message) {
        let is_answer = match self.awaiting {
            Some(Awaiting::FirstQuestion | Awaiting::NextQuestion) => *message == Message::Question,
            Some(Awaiting::GoodBye) => {
                matches!(message, Message::Line(line) if line == GOOD_BYE)
            }
            None => false,
        };
        if is_answer {
            self.awaiting = None;
        }
    }
}

/// Has SIGINT interrupt the main thread, which reads the terminal, and not this one.
#[cfg(unix)]
fn block_interrupts() {
    use nix::sys::signal::{SigSet, Signal};

    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    // If it fails, it is interrupted again.
    let _ = signals.thread_block();
}

#[cfg(not(unix))]
fn block_interrupts() {}

/// The most that a server may send before it asks for a name again. A greeting is as long as a
/// name and a few words; [`NAME_BYTES_MAX`](crate::names::NAME_BYTES_MAX) leaves room for a
/// server that takes a long name for many short ones and greets each.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The most bytes that one read takes.
const CHUNK_BYTES: usize = 4096;

/// How long after an interrupt the next one follows, if the first had no effect.
#[cfg(unix)]
const INTERRUPT_AGAIN: Duration = Duration::from_millis(20);
