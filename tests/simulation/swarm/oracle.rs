//! Checks one conversation against the protocol alone. The oracle shares nothing with the server
//! but the words on the wire.
//!
//! The oracle sees each read and write of the server with its time, and checks every message. Where
//! the protocol leaves a choice (did the silence come first, or the rest of the name?), the oracle
//! keeps every reading that is still possible, and complains when none remains.

use std::io::ErrorKind;
use std::time::Duration;

use oneloop::{EndReason, Limits, Time};
use oneloop_greeting::{Config, Framing};

/// One connection's conversation so far.
#[derive(Debug)]
pub struct Oracle {
    /// Every byte the server has read.
    taken: Vec<u8>,
    /// The time of each read, and the number of bytes read in all after it.
    reads: Vec<(Time, usize)>,
    read_end: bool,
    /// Time at which the drain began.
    drained_at: Option<Time>,
    /// Written bytes that do not form a whole message yet.
    unparsed: Vec<u8>,
    readings: Vec<Reading>,
    /// Time of the last progress: input was read, or all pending output was flushed.
    last_progress: Time,
    /// Time at which the last message was flushed.
    last_said: Time,
    /// Time at which it was written; the kernel may have taken it later.
    last_spoken: Time,
    /// Time at which the last message was flushed, if that was at once: the gap before a question
    /// starts here.
    gap_from: Option<Time>,
    owes_since: Option<Time>,
    /// Start of the current write stall, and the bytes that the peer has taken since.
    stalled: (Time, usize),
    finished_at: Option<Time>,
    closed_at: Time,
    broken: bool,
}

/// One possible interpretation of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reading {
    /// Number of input bytes that have been answered.
    at: usize,
    ending: Ending,
    mistakes: u8,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Line,
    Either,
    Silence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has been sent.
    Begin,
    /// Welcomed, or answered after a silence: the question follows after the gap.
    Paused,
    /// Answered a line: the question follows in the same write.
    MustAsk,
    /// The question has been sent.
    Asked,
    /// The last name has been answered; nothing follows.
    Done,
    Over(EndReason),
}

/// The way in which the end of a name was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Line,
    Silence,
    End,
    Drain,
}

/// A name that the server may have taken from the input.
struct Candidate<'a> {
    name: &'a [u8],
    at: usize,
    by: By,
}

/// A whole message of the server.
#[derive(Debug, PartialEq, Eq)]
enum Message<'a> {
    Welcome,
    Question,
    Hello(&'a [u8]),
    NotUtf8,
    ControlCharacter,
    Last(Last),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    GoodBye,
    TooLong,
    TooManyMistakes,
    TooSlow,
    Full,
}

/// The server's settings, and the tolerance.
#[derive(Clone, Debug)]
pub struct Rules {
    pub config: Config,
    pub limits: Limits,
    /// Tolerance for every deadline.
    pub slack: Duration,
}

pub type Verdict = Result<(), String>;

impl Oracle {
    pub fn new(rules: &Rules, now: Time) -> Self {
        let ending = match rules.config.framing {
            Framing::Auto => Ending::Either,
            Framing::Line => Ending::Line,
            Framing::Silence => Ending::Silence,
        };
        let first = Reading {
            at: 0,
            ending,
            mistakes: 0,
            stage: Stage::Begin,
        };
        Self {
            taken: Vec::new(),
            reads: Vec::new(),
            read_end: false,
            drained_at: None,
            unparsed: Vec::new(),
            readings: vec![first],
            last_progress: now,
            last_said: now,
            last_spoken: now,
            gap_from: None,
            owes_since: None,
            stalled: (now, 0),
            finished_at: None,
            closed_at: Time::UNBOUNDED,
            broken: false,
        }
    }

    pub fn read(&mut self, now: Time, bytes: &[u8]) {
        if self.finished_at.is_some() {
            return; // discarded
        }
        self.taken.extend_from_slice(bytes);
        self.reads.push((now, self.taken.len()));
        self.last_progress = now;
    }

    pub fn read_end(&mut self, now: Time) {
        self.read_end = true;
        self.last_progress = now;
    }

    pub fn failed(&mut self, now: Time, kind: ErrorKind, offered_output: bool) {
        match kind {
            ErrorKind::WouldBlock | ErrorKind::Interrupted if offered_output => {
                self.owes(now);
            }
            ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
            _ => self.broken = true,
        }
    }

    /// Notes that the server drains since `since`.
    pub fn draining(&mut self, since: Time) {
        self.drained_at = Some(since);
    }

    pub fn finished(&mut self, now: Time) {
        self.finished_at = Some(now);
    }

    pub fn socket_closed(&mut self, now: Time) {
        self.closed_at = now;
    }

    /// Checks a write of `bytes`; `whole` if no output is pending after it.
    pub fn wrote(&mut self, rules: &Rules, now: Time, bytes: &[u8], whole: bool) -> Verdict {
        let at_once = whole && self.owes_since.is_none();
        // While output is pending, the server adds nothing to it: all of it was written at one
        // time.
        let said = self.owes_since.unwrap_or(now);
        let mut unparsed = std::mem::take(&mut self.unparsed);
        unparsed.extend_from_slice(bytes);
        let mut rest = &unparsed[..];
        while let Some((message, bytes)) = next_message(rest, rules)? {
            self.check(rules, said, &message)?;
            rest = &rest[bytes..];
        }
        self.unparsed = rest.to_vec();
        self.gap_from = at_once.then_some(now);
        if self.owes_since.is_some() {
            self.stalled.1 += bytes.len();
            if self.stalled.1 >= rules.limits.write_progress_bytes {
                self.stalled = (now, 0);
            }
        }
        if whole {
            self.last_spoken = self.owes_since.take().unwrap_or(now);
            self.last_progress = now;
            self.last_said = now;
        } else {
            self.owes(now);
        }
        Ok(())
    }

    /// Notes that output is pending.
    fn owes(&mut self, now: Time) {
        if self.owes_since.is_none() {
            self.owes_since = Some(now);
            self.stalled = (now, 0);
        }
    }

    /// Checks the reason for which the server closed the connection.
    pub fn closed(&self, rules: &Rules, why: EndReason) -> Verdict {
        let explained = match why {
            EndReason::Reset => self.broken,
            EndReason::WriteTimeout => self.has_not_read_for_long(rules),
            EndReason::DrainTimeout => self.had_the_whole_drain(rules),
            EndReason::Eof => self.read_end && self.is_all_answered(rules),
            EndReason::Completed
            | EndReason::ProtocolError
            | EndReason::Timeout
            | EndReason::Shutdown
            | EndReason::ServerFull
            | EndReason::AddressLimit => self.is_over(why),
            EndReason::InputOverflow
            | EndReason::Panicked
            | EndReason::RegisterFailed
            | EndReason::ConnectFailed => false,
            _ => false,
        };
        let whole = self.unparsed.is_empty() || self.broken;
        let told = matches!(
            why,
            EndReason::Reset | EndReason::WriteTimeout | EndReason::DrainTimeout
        );
        if explained && (whole || told) {
            return Ok(());
        }
        Err(format!(
            "ended as \"{why}\" without reason: {}",
            self.picture()
        ))
    }

    /// Checks the end of a connection that never had a session.
    pub fn turned_away(&self) -> Verdict {
        let told = self.is_over(EndReason::ServerFull);
        let cut_short = self.readings.iter().all(|r| r.stage == Stage::Begin);
        if told || cut_short {
            Ok(())
        } else {
            Err(format!("turned away in the midst: {}", self.picture()))
        }
    }

    /// Checks that no wait of this connection is overdue.
    pub fn check_patience(&self, rules: &Rules, now: Time) -> Verdict {
        let Some((wait, since, limit)) = self.wait(rules) else {
            return Ok(());
        };
        let waited = now - since;
        if waited <= limit + rules.slack {
            return Ok(());
        }
        Err(format!(
            "waits for {wait} for {waited:?}, allowed are {limit:?}: {}",
            self.picture()
        ))
    }

    /// Returns the current wait, its start and its longest duration.
    fn wait(&self, rules: &Rules) -> Option<(&'static str, Time, Duration)> {
        let (limits, config) = (&rules.limits, &rules.config);
        if self.broken {
            return None;
        }
        if self.owes_since.is_some() {
            return Some(("its output to leave", self.stalled.0, limits.write_timeout));
        }
        if let Some(since) = self.finished_at {
            return Some(("the peer's end", since, limits.linger_timeout));
        }
        let quiet = |r: &Reading| r.stage == Stage::Asked && !self.owes_answer(r);
        if self.readings.iter().any(quiet) {
            return Some(("a name", self.last_said, config.name_timeout));
        }
        let since = self.last_progress;
        Some(("its answer or question", since, config.quiet_gap))
    }

    /// Returns true if the peer had its time to take the output. That time is shorter if the server
    /// is nearly full.
    fn has_not_read_for_long(&self, rules: &Rules) -> bool {
        let least = rules
            .limits
            .write_timeout
            .min(rules.limits.timeout_min_under_load);
        self.owes_since.is_some() && self.closed_at - self.stalled.0 >= least
    }

    /// Returns true if the connection was closed after the whole time of the drain.
    fn had_the_whole_drain(&self, rules: &Rules) -> bool {
        self.drained_at
            .is_some_and(|since| self.closed_at - since >= rules.limits.drain_timeout)
    }

    /// Returns true if a name is unanswered that is whole, or will be after a silence.
    fn owes_answer(&self, reading: &Reading) -> bool {
        let rest = &self.taken[reading.at..];
        match reading.ending {
            Ending::Line => rest.contains(&b'\n') || self.read_end,
            Ending::Either | Ending::Silence => !rest.is_empty() || self.read_end,
        }
    }

    fn check(&mut self, rules: &Rules, now: Time, message: &Message<'_>) -> Verdict {
        let mut next = Vec::new();
        for reading in &self.readings {
            let mut after = Vec::new();
            self.follow(rules, now, reading, message, &mut after);
            // Many paths may lead to the same state; kept apart, they would multiply at every name.
            after.retain(|reading| !next.contains(reading));
            next.append(&mut after);
        }
        if next.is_empty() {
            return Err(format!("{message:?} is no answer to {}", self.picture()));
        }
        self.readings = next;
        Ok(())
    }

    /// Adds every state to which `message` can lead from the state `reading`.
    fn follow(
        &self,
        rules: &Rules,
        now: Time,
        reading: &Reading,
        message: &Message<'_>,
        next: &mut Vec<Reading>,
    ) {
        let mut go = |stage| {
            let mut reading = reading.clone();
            reading.stage = stage;
            next.push(reading);
        };
        match (reading.stage, message) {
            (Stage::Begin, Message::Welcome) => go(Stage::Paused),
            (Stage::Begin, Message::Last(Last::Full)) => go(Stage::Over(EndReason::ServerFull)),
            (Stage::MustAsk, Message::Question) => go(Stage::Asked),
            (Stage::Paused, Message::Question) if self.may_ask(rules, now, reading) => {
                go(Stage::Asked);
            }
            (Stage::Paused, Message::Last(Last::GoodBye))
                if self.drained_at.is_some() && reading.at == self.taken.len() =>
            {
                go(Stage::Over(EndReason::Shutdown));
            }
            (Stage::Asked, message) => self.follow_asked(rules, now, reading, message, next),
            _ => {}
        }
    }

    fn follow_asked(
        &self,
        rules: &Rules,
        now: Time,
        reading: &Reading,
        message: &Message<'_>,
        next: &mut Vec<Reading>,
    ) {
        let over = |why| Reading {
            stage: Stage::Over(why),
            ..reading.clone()
        };
        match message {
            Message::Last(Last::TooSlow) if self.is_too_slow(rules, now, reading) => {
                next.push(over(EndReason::Timeout));
            }
            Message::Last(Last::TooLong) if self.is_too_long(rules, reading) => {
                next.push(over(EndReason::ProtocolError));
            }
            Message::Last(Last::GoodBye) if self.drained_at.is_some() && self.is_quiet(reading) => {
                next.push(over(EndReason::Shutdown));
            }
            _ => {}
        }
        for candidate in self.candidates(rules, now, reading) {
            let answer = answer(rules, reading.mistakes, candidate.name);
            if let Some(reading) = apply(reading, &candidate, &answer, message) {
                next.push(reading);
            }
        }
    }

    /// Returns every name that the server may answer next.
    fn candidates(&self, rules: &Rules, now: Time, reading: &Reading) -> Vec<Candidate<'_>> {
        let rest = &self.taken[reading.at..];
        let feed = match reading.ending {
            Ending::Silence => None,
            Ending::Line | Ending::Either => rest.iter().position(|&byte| byte == b'\n'),
        };
        let mut candidates = Vec::new();
        if let Some(feed) = feed {
            candidates.push(Candidate {
                name: strip_cr(&rest[..feed]),
                at: reading.at + feed + 1,
                by: By::Line,
            });
        }
        if reading.ending != Ending::Line {
            let most = feed.map_or(self.taken.len(), |feed| reading.at + feed);
            self.silences(rules, now, (reading.at, most), &mut candidates);
        }
        let everything = |by| Candidate {
            name: strip_line_ending(rest),
            at: self.taken.len(),
            by,
        };
        if feed.is_none() && self.read_end {
            candidates.push(everything(By::End));
        }
        if feed.is_none() && self.drained_at.is_some() && reading.ending != Ending::Line {
            candidates.push(everything(By::Drain));
        }
        // A server that was held up for a quiet gap beyond the deadline takes the bytes that came
        // meanwhile for a name: it cannot know when they came.
        let (name, gap) = (rules.config.name_timeout, rules.config.quiet_gap);
        let held_up = now >= self.last_spoken + name + gap;
        if feed.is_none() && held_up && reading.ending != Ending::Line && !rest.is_empty() {
            candidates.push(everything(By::Silence));
        }
        candidates
    }

    /// Adds the names that a silence has ended, up to `most` bytes of the input.
    fn silences<'a>(
        &'a self,
        rules: &Rules,
        now: Time,
        (from, most): (usize, usize),
        candidates: &mut Vec<Candidate<'a>>,
    ) {
        let first = self.reads.partition_point(|&(_, end)| end <= from);
        for (number, &(read, end)) in self.reads.iter().enumerate().skip(first) {
            if end > most {
                return;
            }
            let until = self.reads.get(number + 1).map_or(now, |&(next, _)| next);
            if until >= read + rules.config.quiet_gap {
                candidates.push(Candidate {
                    name: strip_line_ending(&self.taken[from..end]),
                    at: end,
                    by: By::Silence,
                });
            }
        }
    }

    /// Returns true if the peer had its time, which is shorter if the server is nearly full. A name
    /// that has been whole for long is not too late: the server overlooked it.
    fn is_too_slow(&self, rules: &Rules, now: Time, reading: &Reading) -> bool {
        let least = rules
            .config
            .name_timeout
            .min(rules.limits.timeout_min_under_load);
        let overdue = rules.config.quiet_gap + rules.slack;
        let overlooked = self.owes_answer(reading) && now - self.last_progress > overdue;
        now - self.last_spoken >= least && !overlooked
    }

    /// Returns true if the server may send the question now. It waits for the gap after the last
    /// message, unless the peer sends lines or has sent something since.
    fn may_ask(&self, rules: &Rules, now: Time, reading: &Reading) -> bool {
        let hurried = reading.ending == Ending::Line || self.read_end || self.drained_at.is_some();
        let Some(from) = self.gap_from else {
            return true;
        };
        let spoken = self.reads.last().is_some_and(|&(read, _)| read >= from);
        hurried || spoken || now - from >= rules.config.quiet_gap
    }

    /// Returns true if the next name exceeds the limit, however it ends.
    fn is_too_long(&self, rules: &Rules, reading: &Reading) -> bool {
        let rest = &self.taken[reading.at..];
        let line = match reading.ending {
            Ending::Silence => strip_line_ending(rest),
            Ending::Line | Ending::Either => {
                strip_cr(rest.split(|&byte| byte == b'\n').next().unwrap_or(rest))
            }
        };
        line.len() > rules.config.name_bytes_max
    }

    /// Returns true if a draining server owes this peer no further answer.
    fn is_quiet(&self, reading: &Reading) -> bool {
        let rest = &self.taken[reading.at..];
        match reading.ending {
            Ending::Line => !rest.contains(&b'\n'),
            Ending::Either | Ending::Silence => strip_line_ending(rest).is_empty(),
        }
    }

    fn is_all_answered(&self, rules: &Rules) -> bool {
        self.readings.iter().any(|reading| match reading.stage {
            Stage::Done => true,
            Stage::Asked | Stage::Paused => {
                let rest = strip_line_ending(&self.taken[reading.at..]);
                rest.is_empty() && rules.config.name_bytes_max > 0
            }
            _ => false,
        })
    }

    fn is_over(&self, why: EndReason) -> bool {
        let why = match why {
            EndReason::AddressLimit => EndReason::ServerFull,
            why => why,
        };
        self.readings.iter().any(|r| r.stage == Stage::Over(why))
    }

    /// Describes the state for a complaint.
    fn picture(&self) -> String {
        let readings: Vec<_> = self
            .readings
            .iter()
            .map(|reading| {
                let rest = &self.taken[reading.at..];
                let rest = &rest[..rest.len().min(80)];
                let text = rest.escape_ascii();
                format!(
                    "{:?}/{:?} with \"{text}\" unanswered",
                    reading.stage, reading.ending
                )
            })
            .collect();
        let unparsed = self.unparsed.escape_ascii();
        format!(
            "[{}] after {} bytes in, end read: {}, draining: {}, half a message: \"{unparsed}\"",
            readings.join(" or "),
            self.taken.len(),
            self.read_end,
            self.drained_at.is_some()
        )
    }
}

/// Returns the answer that the protocol requires to a name, before any question.
fn answer<'a>(rules: &Rules, mistakes: u8, name: &'a [u8]) -> Option<Message<'a>> {
    let mistake = |message| {
        if mistakes + 1 >= rules.config.mistakes_max {
            Message::Last(Last::TooManyMistakes)
        } else {
            message
        }
    };
    if name == b"exit" {
        return Some(Message::Last(Last::GoodBye));
    }
    if name.is_empty() {
        return None;
    }
    if name.len() > rules.config.name_bytes_max {
        return Some(Message::Last(Last::TooLong));
    }
    Some(match std::str::from_utf8(name) {
        Err(_) => mistake(Message::NotUtf8),
        Ok(text) if text.contains(char::is_control) => mistake(Message::ControlCharacter),
        Ok(_) => Message::Hello(name),
    })
}

/// Returns the state after `message`, if that is the required answer to the name.
fn apply(
    before: &Reading,
    candidate: &Candidate<'_>,
    answer: &Option<Message<'_>>,
    message: &Message<'_>,
) -> Option<Reading> {
    let mut after = before.clone();
    after.at = candidate.at;
    if candidate.by == By::Line && after.ending == Ending::Either {
        after.ending = Ending::Line;
    }
    match answer {
        // An empty name: only the question is sent again.
        None if *message == Message::Question && candidate.by != By::End => {
            after.stage = Stage::Asked;
        }
        None => return None,
        Some(answer) if answer != message => return None,
        Some(Message::Last(last)) => {
            after.stage = Stage::Over(match last {
                Last::GoodBye => EndReason::Completed,
                _ => EndReason::ProtocolError,
            });
        }
        Some(answer) => {
            if !matches!(answer, Message::Hello(_)) {
                after.mistakes += 1;
            }
            after.stage = match candidate.by {
                By::Line => Stage::MustAsk,
                By::Silence | By::Drain => Stage::Paused,
                By::End => Stage::Done,
            };
        }
    }
    Some(after)
}

/// Returns the first whole message of `bytes` and its length, if there is one.
fn next_message<'a>(
    bytes: &'a [u8],
    rules: &Rules,
) -> Result<Option<(Message<'a>, usize)>, String> {
    if let Some(rest) = QUESTION.strip_prefix(bytes)
        && !rest.is_empty()
    {
        return Ok(None);
    }
    if bytes.starts_with(QUESTION) {
        return Ok(Some((Message::Question, QUESTION.len())));
    }
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
        return Ok(None);
    };
    let too_long = format!(
        "Sorry, that name is longer than {} bytes. Good bye!",
        rules.config.name_bytes_max
    );
    let line = &bytes[..end];
    let message =
        match line {
            b"Welcome!" => Message::Welcome,
            b"Sorry, that name is not valid UTF-8." => Message::NotUtf8,
            b"Sorry, a name has no control characters." => Message::ControlCharacter,
            b"Good bye!" => Message::Last(Last::GoodBye),
            b"You took too long. Good bye!" => Message::Last(Last::TooSlow),
            b"Too many mistakes. Good bye!" => Message::Last(Last::TooManyMistakes),
            b"Sorry, the server is full. Please try again later." => Message::Last(Last::Full),
            line if line == too_long.as_bytes() => Message::Last(Last::TooLong),
            line => {
                let name = line.strip_prefix(b"Hello ");
                let name = name.and_then(|name| name.strip_suffix(b"!"));
                Message::Hello(name.ok_or_else(|| {
                    format!("unknown message {:?}", line.escape_ascii().to_string())
                })?)
            }
        };
    Ok(Some((message, end + 1)))
}

fn strip_line_ending(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\n").map_or(bytes, strip_cr)
}

fn strip_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

const QUESTION: &[u8] = b"What's your name?";
