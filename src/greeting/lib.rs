//! The greeting service: requests a name from each peer, greets it and repeats.
//!
//! [`Greeter`] is an example of a [`Service`]: a table over states and events, without I/O.

mod config;
mod control;
mod framing;
mod name;
mod session;
mod swar;
#[cfg(test)]
mod tests;
mod wire;

use std::cell::Cell;

pub use config::Config;
pub use control::Control;
use framing::Delimiter;
pub use framing::{Framing, UnknownFraming};
use name::{InvalidName, Name};
pub use session::Session;
use session::{Closing, PeerState, Prompt, State, Timer};

use oneloop::inspect::Description;
use oneloop::{
    CloseReason, Context, EndReason, Event, ListenerId, Next, Peer, Service, ServiceContext,
    SessionId, Time,
};

/// The greeting service.
#[derive(Clone, Debug)]
pub struct Greeter {
    config: Config,
    /// The configured timeout in nanoseconds, added to the present at each exchange.
    name_timeout: u64,
    too_long: String,
    /// Names greeted so far, in all sessions.
    greeted: Cell<u64>,
    /// The way to change the configuration, if it was asked for.
    control: Option<Control>,
}

/// The part of the input that was answered.
#[derive(Clone, Copy)]
enum Greeted {
    None,
    Some,
    All,
}

/// Where the prompt that follows a reply goes.
#[derive(Clone, Copy)]
enum Prompting {
    /// Into the same write.
    Now,
    /// After the quiet gap, or nowhere.
    Later,
}

impl Greeter {
    /// Creates a service with the given configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let nanos = config.name_timeout.as_nanos();
        Self {
            name_timeout: u64::try_from(nanos).unwrap_or(u64::MAX),
            too_long: wire::too_long(config.name_bytes_max),
            config,
            greeted: Cell::new(0),
            control: None,
        }
    }

    /// Returns a handle that changes the configuration while a loop has the service.
    pub fn control(&mut self) -> Control {
        self.control.get_or_insert_default().clone()
    }

    /// Takes over a configuration that was set from outside.
    fn configure(&mut self, config: Config) {
        let (greeted, control) = (self.greeted.get(), self.control.take());
        *self = Self::new(config);
        (self.greeted, self.control) = (Cell::new(greeted), control);
    }

    /// Returns how many names were greeted so far, in all sessions.
    #[inline]
    #[must_use]
    pub fn greeted(&self) -> u64 {
        self.greeted.get()
    }
}

impl Default for Greeter {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl Service for Greeter {
    type Session = Session;

    fn open(&mut self, peer: Peer, _: &mut ServiceContext) -> Session {
        log_open(&peer);
        if let Some(config) = self.control.as_ref().and_then(Control::take) {
            self.configure(config);
        }
        Session::new(self.config.framing.delimiter())
    }

    #[inline(always)]
    fn step(&mut self, session: &mut Session, event: Event, cx: &mut Context<'_>) -> Next {
        // Handles plain names from a peer that sends lines, nearly all the work of a busy server.
        // The table handles the remaining input.
        if let (State::AwaitName(prompt), Event::Data) = (&mut session.state, event)
            && prompt.peer.delimiter == Delimiter::Line
        {
            match self.fast_path(cx) {
                Greeted::All => {
                    let until = self.name_deadline(cx);
                    (prompt.deadline, prompt.timer) = (until, Timer::Name);
                    return Next::Read { until };
                }
                Greeted::Some => prompt.deadline = self.name_deadline(cx),
                Greeted::None => {}
            }
        }
        self.dispatch(session, event, cx)
    }

    fn closed(&mut self, _: Session, peer: Peer, reason: EndReason, _: &mut ServiceContext) {
        let level = level(&peer);
        log::log!(
            level,
            "Connection from {} is closed ({reason})",
            peer.address
        );
    }

    fn describe(&self, session: &Session, description: &mut Description) {
        description.state = Some(session.state.as_str());
    }

    fn refusal_message(&self, _: ListenerId, _: EndReason) -> &[u8] {
        wire::SERVER_FULL
    }
}

impl Greeter {
    /// Answers lines while they are plain names and replies have room.
    ///
    /// A leaf function: it keeps the registers that it does not need free.
    #[inline(always)]
    fn fast_path(&self, cx: &mut Context<'_>) -> Greeted {
        if log::log_enabled!(log::Level::Debug) {
            return Greeted::None;
        }
        let mut greeted = Greeted::None;
        while let Some(line) = framing::plain_line(cx.input(), self.config.name_bytes_max)
            && line.text != wire::EXIT
        {
            self.greet(line.text, Prompting::Now, cx);
            cx.consume(line.bytes);
            if cx.input().is_empty() {
                return Greeted::All;
            }
            greeted = Greeted::Some;
            if !cx.has_room() {
                break;
            }
        }
        greeted
    }

    /// Returns the deadline for the answer to a question sent now.
    #[inline(always)]
    fn name_deadline(&self, cx: &Context<'_>) -> Time {
        let now = cx.now().as_nanos();
        Time::from_nanos(now.saturating_add(self.name_timeout))
    }

    fn dispatch(&mut self, session: &mut Session, event: Event, cx: &mut Context<'_>) -> Next {
        self.transition(session, event, cx)
            .unwrap_or_else(|reason| {
                session.enter(State::Closing(Closing::Closed(reason)), cx.id());
                Next::Close(reason)
            })
    }

    /// Maps a state and an event to the next state and wait.
    #[inline(never)]
    fn transition(
        &self,
        session: &mut Session,
        event: Event,
        cx: &mut Context<'_>,
    ) -> Result<Next, CloseReason> {
        use {Event as E, State as S};
        let no_input = cx.input().is_empty();
        match (&mut session.state, event) {
            (S::AwaitName(prompt), E::Data) => self.on_data(prompt, cx),
            (S::AwaitName(prompt), E::Eof) => self.on_eof(prompt, cx),
            (S::AwaitName(prompt), E::Timeout) => match (prompt.timer, prompt.peer) {
                (Timer::Name, peer) if self.was_quiet_before_deadline(prompt, cx) => {
                    self.on_quiet_gap(session, peer, cx)
                }
                (Timer::Name, _) => close_with(wire::TOO_SLOW, CloseReason::Timeout, cx),
                (Timer::QuietGap, peer) => self.on_quiet_gap(session, peer, cx),
            },
            (&mut S::AwaitName(Prompt { peer, .. }), E::Drain) => {
                self.begin_drain(session, peer, cx)
            }
            (S::AwaitName(prompt), E::Flushed) => Ok(self.restart_name_timer(prompt, cx)),
            (S::AwaitName(prompt), _) => Ok(self.await_name_input(prompt, cx)),

            (&mut S::Greeting(peer), E::Open) => self.welcome(session, peer, cx),
            (&mut (S::Greeting(peer) | S::Reply(peer)), E::Timeout) => self.ask(session, peer, cx),
            (S::Greeting(_) | S::Reply(_), E::Eof) if no_input => Err(CloseReason::Eof),
            (S::Greeting(_) | S::Reply(_), E::Drain) if no_input => {
                close_with(wire::GOOD_BYE, CloseReason::Shutdown, cx)
            }
            (&mut (S::Greeting(peer) | S::Reply(peer)), E::Data | E::Eof | E::Drain) => {
                self.ask_then_retry(session, peer, event, cx)
            }
            (S::Greeting(_) | S::Reply(_), _) => Ok(self.await_quiet_gap(cx)),

            (S::Closing(Closing::Draining(peer)), _) => self.drain(peer, cx),
            (S::Closing(Closing::Closed(reason)), _) => Err(*reason),
        }
    }

    /// Sends the welcome, with the question at once or after the quiet gap.
    fn welcome(
        &self,
        session: &mut Session,
        peer: PeerState,
        cx: &mut Context<'_>,
    ) -> Result<Next, CloseReason> {
        if peer.delimiter != Delimiter::Line {
            cx.write(wire::WELCOME);
            return Ok(self.await_quiet_gap(cx));
        }
        cx.write_parts([wire::WELCOME, wire::QUESTION]);
        Ok(self.await_name(session, peer, cx))
    }

    fn ask(
        &self,
        session: &mut Session,
        peer: PeerState,
        cx: &mut Context<'_>,
    ) -> Result<Next, CloseReason> {
        cx.write(wire::QUESTION);
        Ok(self.await_name(session, peer, cx))
    }

    /// Sends the question, then handles earlier input as its answer.
    fn ask_then_retry(
        &self,
        session: &mut Session,
        peer: PeerState,
        event: Event,
        cx: &mut Context<'_>,
    ) -> Result<Next, CloseReason> {
        self.ask(session, peer, cx)?;
        self.transition(session, event, cx)
    }

    fn await_name(&self, session: &mut Session, peer: PeerState, cx: &Context<'_>) -> Next {
        let prompt = Prompt {
            deadline: self.name_deadline(cx),
            peer,
            timer: Timer::Name,
        };
        session.enter(State::AwaitName(prompt), cx.id());
        let until = prompt.deadline;
        Next::Read { until }
    }

    /// Answers complete names and waits for the rest.
    fn on_data(&self, prompt: &mut Prompt, cx: &mut Context<'_>) -> Result<Next, CloseReason> {
        let before = cx.input().len();
        let all_answered = self.answer_lines(&mut prompt.peer, cx)?;
        if cx.input().len() < before {
            prompt.deadline = self.name_deadline(cx);
        }
        if !all_answered {
            return Ok(self.await_name_input(prompt, cx));
        }
        if framing::is_too_long(cx.input(), self.config.name_bytes_max) {
            return self.reject_length(cx);
        }
        Ok(self.await_name_input(prompt, cx))
    }

    /// Answers complete lines while replies have room. Returns true if none remains; the others are
    /// delivered again after a flush.
    fn answer_lines(
        &self,
        peer: &mut PeerState,
        cx: &mut Context<'_>,
    ) -> Result<bool, CloseReason> {
        if peer.delimiter == Delimiter::Silence {
            return Ok(true);
        }
        while let Some(line) = framing::first_line(cx.input()) {
            if !cx.has_room() {
                return Ok(false);
            }
            peer.delimiter = Delimiter::Line;
            self.answer(line.text, peer, Prompting::Now, cx)?;
            cx.consume(line.bytes);
        }
        Ok(true)
    }

    /// Answers one name.
    fn answer(
        &self,
        bytes: &[u8],
        peer: &mut PeerState,
        prompting: Prompting,
        cx: &mut Context<'_>,
    ) -> Result<(), CloseReason> {
        match bytes {
            wire::EXIT => return close_with(wire::GOOD_BYE, CloseReason::Completed, cx),
            b"" => cx.write(prompting.suffix()),
            _ => match Name::parse(bytes, self.config.name_bytes_max) {
                Ok(name) => {
                    self.greet(name.as_bytes(), prompting, cx);
                    if log::log_enabled!(log::Level::Debug) {
                        log_name(cx.id(), "answered", bytes);
                    }
                }
                Err(invalid) => self.reject(invalid, bytes, peer, prompting, cx)?,
            },
        }
        Ok(())
    }

    #[inline(always)]
    fn greet(&self, name: &[u8], prompting: Prompting, cx: &mut Context<'_>) {
        let end = match prompting {
            Prompting::Now => wire::HELLO_END_AND_QUESTION,
            Prompting::Later => wire::HELLO_END,
        };
        cx.write_parts([wire::HELLO, name, end]);
        self.greeted.set(self.greeted.get() + 1);
    }

    #[cold]
    fn reject(
        &self,
        invalid: InvalidName,
        bytes: &[u8],
        peer: &mut PeerState,
        prompting: Prompting,
        cx: &mut Context<'_>,
    ) -> Result<(), CloseReason> {
        log_name(cx.id(), "refused", bytes);
        let sorry = match invalid {
            InvalidName::TooLong => return self.reject_length(cx),
            InvalidName::NotUtf8 => wire::NOT_UTF8,
            InvalidName::ControlCharacter => wire::CONTROL_CHARACTER,
        };
        peer.mistakes = peer.mistakes.saturating_add(1);
        if peer.mistakes >= self.config.mistakes_max {
            return close_with(wire::TOO_MANY_MISTAKES, CloseReason::ProtocolError, cx);
        }
        cx.write_parts([sorry, prompting.suffix()]);
        Ok(())
    }

    #[cold]
    fn reject_length<T>(&self, cx: &mut Context<'_>) -> Result<T, CloseReason> {
        close_with(self.too_long.as_bytes(), CloseReason::ProtocolError, cx)
    }

    /// Answers all unread input as one name: the stream has ended or was quiet.
    fn answer_rest(&self, peer: &mut PeerState, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        let rest = cx.input();
        self.answer(framing::trim_line_ending(rest), peer, Prompting::Later, cx)?;
        cx.consume(rest.len());
        Ok(())
    }

    /// Answers the name that the quiet gap ended. Another gap precedes the next question.
    fn on_quiet_gap(
        &self,
        session: &mut Session,
        mut peer: PeerState,
        cx: &mut Context<'_>,
    ) -> Result<Next, CloseReason> {
        self.answer_rest(&mut peer, cx)?;
        session.enter(State::Reply(peer), cx.id());
        Ok(self.await_quiet_gap(cx))
    }

    /// Answers the unread input after the end of the stream, without a question.
    fn on_eof(&self, prompt: &mut Prompt, cx: &mut Context<'_>) -> Result<Next, CloseReason> {
        if !self.answer_lines(&mut prompt.peer, cx)? {
            return Ok(self.await_name_input(prompt, cx));
        }
        self.answer_rest(&mut prompt.peer, cx)?;
        Err(CloseReason::Eof)
    }

    /// Begins the drain of a session that awaits a name.
    #[cold]
    fn begin_drain(
        &self,
        session: &mut Session,
        peer: PeerState,
        cx: &mut Context<'_>,
    ) -> Result<Next, CloseReason> {
        session.enter(State::Closing(Closing::Draining(peer)), cx.id());
        self.transition(session, Event::Drain, cx)
    }

    /// Answers complete names, then closes. A partial line gets no answer.
    #[cold]
    fn drain(&self, peer: &mut PeerState, cx: &mut Context<'_>) -> Result<Next, CloseReason> {
        if !self.answer_lines(peer, cx)? {
            return Ok(Next::Flush);
        }
        if peer.delimiter != Delimiter::Line {
            self.answer_rest(peer, cx)?;
        }
        close_with(wire::GOOD_BYE, CloseReason::Shutdown, cx)
    }

    /// Restarts the timeout, because the question has only now been sent.
    fn restart_name_timer(&self, prompt: &mut Prompt, cx: &Context<'_>) -> Next {
        prompt.deadline = self.name_deadline(cx);
        self.await_name_input(prompt, cx)
    }

    /// Waits for a name, or for its end.
    #[inline]
    fn await_name_input(&self, prompt: &mut Prompt, cx: &Context<'_>) -> Next {
        prompt.timer = Timer::Name;
        let mut until = prompt.deadline;
        if prompt.peer.delimiter != Delimiter::Line && !cx.input().is_empty() {
            let gap = cx.after(self.config.quiet_gap);
            if gap <= until {
                (prompt.timer, until) = (Timer::QuietGap, gap);
            }
        }
        Next::Read { until }
    }

    /// Returns true if the peer was quiet for the gap before the deadline.
    ///
    /// A late timer must not cost the peer its name. A complete line is answered too.
    fn was_quiet_before_deadline(&self, prompt: &Prompt, cx: &Context<'_>) -> bool {
        prompt.peer.delimiter != Delimiter::Line
            && !cx.input().is_empty()
            && cx.now() >= prompt.deadline + self.config.quiet_gap
    }

    fn await_quiet_gap(&self, cx: &Context<'_>) -> Next {
        Next::Read {
            until: cx.after(self.config.quiet_gap),
        }
    }
}

impl Prompting {
    #[inline]
    const fn suffix(self) -> &'static [u8] {
        match self {
            Self::Now => wire::QUESTION,
            Self::Later => b"",
        }
    }
}

/// Logs the start of a session.
fn log_open(peer: &Peer) {
    let (level, session, address) = (level(peer), peer.id.number(), peer.address);
    match peer.via() {
        Some(via) => log::log!(level, session, via:%; "Accept new connection from {address}"),
        None => log::log!(level, session; "Accept new connection from {address}"),
    }
}

/// Returns the level of lines about a connection. A proxy makes one of its own every second, to
/// check the server.
const fn level(peer: &Peer) -> log::Level {
    match peer.is_probe() {
        true => log::Level::Debug,
        false => log::Level::Info,
    }
}

/// Logs a name, out of line because formatting needs registers.
#[cold]
fn log_name(id: SessionId, outcome: &str, bytes: &[u8]) {
    log::debug!("{id}: {outcome} \"{}\"", bytes.escape_ascii());
}

fn close_with<T>(
    words: &[u8],
    reason: CloseReason,
    cx: &mut Context<'_>,
) -> Result<T, CloseReason> {
    cx.write(words);
    Err(reason)
}
