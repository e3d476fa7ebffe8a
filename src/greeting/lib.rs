//! The greeting service: asks whoever connects for a name, says hello, asks again.
//!
//! The first user of the seam in [`oneloop::service`], and an example for the next one:
//! [`Greeter`] is a table over (state, event) and knows nothing of sockets.

mod config;
mod framing;
mod name;
mod session;
#[cfg(test)]
mod tests;
mod word;
mod words;

pub use config::Config;
use framing::Ending;
pub use framing::{Framing, UnknownFraming};
use name::{Fault, Name};
pub use session::Session;
use session::{Asked, Closing, Manners, State, Wait};

use oneloop::{
    CloseReason, Context, EndReason, Event, Next, Peer, Service, ServiceContext, SessionId, Time,
};

/// The greeting service.
#[derive(Clone, Debug)]
pub struct Greeter {
    config: Config,
    /// The configured one, in nanoseconds: it is added to the present at each exchange.
    name_timeout: u64,
    too_long: String,
}

/// How much of the input was answered.
#[derive(Clone, Copy)]
enum Greeted {
    None,
    Some,
    All,
}

/// What a reply is followed by, in the same write.
#[derive(Clone, Copy)]
enum Then {
    /// The next question.
    Ask,
    /// Nothing: the question comes later, or never.
    Pause,
}

impl Greeter {
    /// A service that does as `config` says.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let nanos = config.name_timeout.as_nanos();
        Self {
            name_timeout: u64::try_from(nanos).unwrap_or(u64::MAX),
            too_long: words::too_long(config.name_bytes_max),
            config,
        }
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
        log::info!("Accept new connection from {}", peer.address);
        Session::new(self.config.framing.ending())
    }

    #[inline(always)]
    fn step(&mut self, session: &mut Session, event: Event, cx: &mut Context<'_>) -> Next {
        // A part of one row of the table, tried first and apart: plain names from a peer that sends
        // lines are nearly all of a busy server's work. What it leaves, the table sees.
        if let (State::AwaitName(asked), Event::Data) = (&mut session.state, event)
            && asked.manners.ending == Ending::Line
        {
            match self.greet_plain_lines(cx) {
                Greeted::All => {
                    let until = self.name_deadline(cx);
                    (asked.deadline, asked.wait) = (until, Wait::Name);
                    return Next::Read { until };
                }
                Greeted::Some => asked.deadline = self.name_deadline(cx),
                Greeted::None => {}
            }
        }
        self.look_up(session, event, cx)
    }

    fn closed(&mut self, _: Session, peer: Peer, why: EndReason, _: &mut ServiceContext) {
        log::info!("Connection from {} is closed ({why})", peer.address);
    }

    fn refusal_message(&self, _: EndReason) -> &[u8] {
        words::SERVER_FULL
    }
}

impl Greeter {
    /// Greets line by line, as long as the lines are plain names and there is room for replies.
    /// A leaf: what it does not need does not take up its registers.
    #[inline(always)]
    fn greet_plain_lines(&self, cx: &mut Context<'_>) -> Greeted {
        if log::log_enabled!(log::Level::Debug) {
            return Greeted::None;
        }
        let mut greeted = Greeted::None;
        while let Some(line) = framing::plain_line(cx.input(), self.config.name_bytes_max)
            && line.text != words::EXIT
        {
            greet(line.text, Then::Ask, cx);
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

    /// When the answer to a question that is asked now must be there.
    #[inline(always)]
    fn name_deadline(&self, cx: &Context<'_>) -> Time {
        let now = cx.now().as_nanos();
        Time::from_nanos(now.saturating_add(self.name_timeout))
    }

    fn look_up(&mut self, session: &mut Session, event: Event, cx: &mut Context<'_>) -> Next {
        self.turn(session, event, cx).unwrap_or_else(|why| {
            session.enter(State::Closing(Closing::Ended(why)), cx.id());
            Next::Close(why)
        })
    }

    /// The table: what each event means in each state.
    #[inline(never)]
    fn turn(
        &self,
        session: &mut Session,
        event: Event,
        cx: &mut Context<'_>,
    ) -> Result<Next, CloseReason> {
        use {Event as E, State as S};
        let quiet = cx.input().is_empty();
        match (&mut session.state, event) {
            (S::AwaitName(asked), E::Data) => self.hear(asked, cx),
            (S::AwaitName(asked), E::Eof) => self.finish(asked, cx),
            (S::AwaitName(asked), E::Timeout) => match (asked.wait, asked.manners) {
                (Wait::Name, manners) if self.was_quiet_in_time(asked, cx) => {
                    self.reply(session, manners, cx)
                }
                (Wait::Name, _) => last_words(words::TOO_SLOW, CloseReason::Timeout, cx),
                (Wait::Gap, manners) => self.reply(session, manners, cx),
            },
            (&mut S::AwaitName(Asked { manners, .. }), E::Drain) => {
                self.begin_to_drain(session, manners, cx)
            }
            (S::AwaitName(asked), E::Flushed) => Ok(self.allow_anew(asked, cx)),
            (S::AwaitName(asked), _) => Ok(self.listen(asked, cx)),

            (&mut S::Greeting(manners), E::Open) => self.welcome(session, manners, cx),
            (&mut (S::Greeting(manners) | S::Reply(manners)), E::Timeout) => {
                self.ask(session, manners, cx)
            }
            (S::Greeting(_) | S::Reply(_), E::Eof) if quiet => Err(CloseReason::Eof),
            (S::Greeting(_) | S::Reply(_), E::Drain) if quiet => {
                last_words(words::GOOD_BYE, CloseReason::Shutdown, cx)
            }
            (&mut (S::Greeting(manners) | S::Reply(manners)), E::Data | E::Eof | E::Drain) => {
                self.ask_first(session, manners, event, cx)
            }
            (S::Greeting(_) | S::Reply(_), _) => Ok(self.leave_gap(cx)),

            (S::Closing(Closing::Owing(manners)), _) => self.drain(manners, cx),
            (S::Closing(Closing::Ended(why)), _) => Err(*why),
        }
    }

    /// Opens the conversation: the question comes with the welcome or after the quiet gap.
    fn welcome(
        &self,
        session: &mut Session,
        manners: Manners,
        cx: &mut Context<'_>,
    ) -> Result<Next, CloseReason> {
        if manners.ending != Ending::Line {
            cx.write(words::WELCOME);
            return Ok(self.leave_gap(cx));
        }
        cx.write_parts([words::WELCOME, words::QUESTION]);
        Ok(self.await_name(session, manners, cx))
    }

    fn ask(
        &self,
        session: &mut Session,
        manners: Manners,
        cx: &mut Context<'_>,
    ) -> Result<Next, CloseReason> {
        cx.write(words::QUESTION);
        Ok(self.await_name(session, manners, cx))
    }

    /// What comes before its question is taken for the answer to it.
    fn ask_first(
        &self,
        session: &mut Session,
        manners: Manners,
        event: Event,
        cx: &mut Context<'_>,
    ) -> Result<Next, CloseReason> {
        self.ask(session, manners, cx)?;
        self.turn(session, event, cx)
    }

    fn await_name(&self, session: &mut Session, manners: Manners, cx: &Context<'_>) -> Next {
        let asked = Asked {
            deadline: self.name_deadline(cx),
            manners,
            wait: Wait::Name,
        };
        session.enter(State::AwaitName(asked), cx.id());
        let until = asked.deadline;
        Next::Read { until }
    }

    /// Answers what is whole and waits for the rest.
    fn hear(&self, asked: &mut Asked, cx: &mut Context<'_>) -> Result<Next, CloseReason> {
        let before = cx.input().len();
        let all_answered = self.answer_lines(&mut asked.manners, cx)?;
        if cx.input().len() < before {
            asked.deadline = self.name_deadline(cx);
        }
        if !all_answered {
            return Ok(self.listen(asked, cx));
        }
        if framing::is_too_long(cx.input(), self.config.name_bytes_max) {
            return self.refuse_length(cx);
        }
        Ok(self.listen(asked, cx))
    }

    /// Answers the whole lines, as long as there is room. Returns true if none is left; what is
    /// left comes again when the output has left.
    fn answer_lines(
        &self,
        manners: &mut Manners,
        cx: &mut Context<'_>,
    ) -> Result<bool, CloseReason> {
        if manners.ending == Ending::Silence {
            return Ok(true);
        }
        while let Some(line) = framing::first_line(cx.input()) {
            if !cx.has_room() {
                return Ok(false);
            }
            manners.ending = Ending::Line;
            self.answer(line.text, manners, Then::Ask, cx)?;
            cx.consume(line.bytes);
        }
        Ok(true)
    }

    /// Answers one name.
    fn answer(
        &self,
        bytes: &[u8],
        manners: &mut Manners,
        then: Then,
        cx: &mut Context<'_>,
    ) -> Result<(), CloseReason> {
        match bytes {
            words::EXIT => return last_words(words::GOOD_BYE, CloseReason::Completed, cx),
            b"" => cx.write(then.words()),
            _ => match Name::parse(bytes, self.config.name_bytes_max) {
                Ok(name) => greet(name.as_bytes(), then, cx),
                Err(fault) => self.refuse(fault, manners, then, cx)?,
            },
        }
        if log::log_enabled!(log::Level::Debug) {
            log_answer(cx.id(), bytes);
        }
        Ok(())
    }

    #[cold]
    fn refuse(
        &self,
        fault: Fault,
        manners: &mut Manners,
        then: Then,
        cx: &mut Context<'_>,
    ) -> Result<(), CloseReason> {
        let sorry = match fault {
            Fault::TooLong => return self.refuse_length(cx),
            Fault::NotUtf8 => words::NOT_UTF8,
            Fault::ControlCharacter => words::CONTROL_CHARACTER,
        };
        manners.mistakes = manners.mistakes.saturating_add(1);
        if manners.mistakes >= self.config.mistakes_max {
            return last_words(words::TOO_MANY_MISTAKES, CloseReason::ProtocolError, cx);
        }
        cx.write_parts([sorry, then.words()]);
        Ok(())
    }

    #[cold]
    fn refuse_length<T>(&self, cx: &mut Context<'_>) -> Result<T, CloseReason> {
        last_words(self.too_long.as_bytes(), CloseReason::ProtocolError, cx)
    }

    /// Answers all that is unread as one name: nothing follows, or nothing has for a while.
    fn answer_rest(&self, manners: &mut Manners, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        let rest = cx.input();
        self.answer(framing::whole(rest), manners, Then::Pause, cx)?;
        cx.consume(rest.len());
        Ok(())
    }

    /// The quiet gap has ended a name; another one precedes the next question.
    fn reply(
        &self,
        session: &mut Session,
        mut manners: Manners,
        cx: &mut Context<'_>,
    ) -> Result<Next, CloseReason> {
        self.answer_rest(&mut manners, cx)?;
        session.enter(State::Reply(manners), cx.id());
        Ok(self.leave_gap(cx))
    }

    /// The peer has sent all it will: what is unread is owed an answer, and no question.
    fn finish(&self, asked: &mut Asked, cx: &mut Context<'_>) -> Result<Next, CloseReason> {
        if !self.answer_lines(&mut asked.manners, cx)? {
            return Ok(self.listen(asked, cx));
        }
        self.answer_rest(&mut asked.manners, cx)?;
        Err(CloseReason::Eof)
    }

    /// The server stops: no question will be waited for again.
    #[cold]
    fn begin_to_drain(
        &self,
        session: &mut Session,
        manners: Manners,
        cx: &mut Context<'_>,
    ) -> Result<Next, CloseReason> {
        session.enter(State::Closing(Closing::Owing(manners)), cx.id());
        self.turn(session, Event::Drain, cx)
    }

    /// The server stops. The beginning of a line is no name: it was never owed an answer.
    #[cold]
    fn drain(&self, manners: &mut Manners, cx: &mut Context<'_>) -> Result<Next, CloseReason> {
        if !self.answer_lines(manners, cx)? {
            return Ok(Next::Flush);
        }
        if manners.ending != Ending::Line {
            self.answer_rest(manners, cx)?;
        }
        last_words(words::GOOD_BYE, CloseReason::Shutdown, cx)
    }

    /// The question has only just left, so the time for its answer begins now.
    fn allow_anew(&self, asked: &mut Asked, cx: &Context<'_>) -> Next {
        asked.deadline = self.name_deadline(cx);
        self.listen(asked, cx)
    }

    /// Waits for a name, or for the rest of one.
    #[inline]
    fn listen(&self, asked: &mut Asked, cx: &Context<'_>) -> Next {
        asked.wait = Wait::Name;
        let mut until = asked.deadline;
        if asked.manners.ending != Ending::Line && !cx.input().is_empty() {
            let gap = cx.after(self.config.quiet_gap);
            if gap <= until {
                (asked.wait, until) = (Wait::Gap, gap);
            }
        }
        Next::Read { until }
    }

    /// True if the loop was held up beyond the deadline, for so long that what had come by then has
    /// been followed by silence. A line that came in time is answered too.
    fn was_quiet_in_time(&self, asked: &Asked, cx: &Context<'_>) -> bool {
        asked.manners.ending != Ending::Line
            && !cx.input().is_empty()
            && cx.now() >= asked.deadline + self.config.quiet_gap
    }

    fn leave_gap(&self, cx: &Context<'_>) -> Next {
        Next::Read {
            until: cx.after(self.config.quiet_gap),
        }
    }
}

impl Then {
    #[inline]
    const fn words(self) -> &'static [u8] {
        match self {
            Self::Ask => words::QUESTION,
            Self::Pause => b"",
        }
    }
}

#[inline(always)]
fn greet(name: &[u8], then: Then, cx: &mut Context<'_>) {
    let end = match then {
        Then::Ask => words::HELLO_END_AND_QUESTION,
        Then::Pause => words::HELLO_END,
    };
    cx.write_parts([words::HELLO, name, end]);
}

/// Apart, so that what formatting needs stays out of the way of those who do not log names.
#[cold]
fn log_answer(id: SessionId, bytes: &[u8]) {
    log::debug!("{id}: answered \"{}\"", bytes.escape_ascii());
}

fn last_words<T>(words: &[u8], why: CloseReason, cx: &mut Context<'_>) -> Result<T, CloseReason> {
    cx.write(words);
    Err(why)
}
