//! Both ends of a conversation: programs that check each byte they receive, and leave as they like.

use std::time::Duration;

use oneloop::Time;
use oneloop_sim::{RemotePeer, Rng, Script, Status};

use super::ledger::{Ledger, Shared};
use super::plan::{Conversation, Door, Leaves, Manners, Reads};
use crate::swarm::cipher::{self, Frame, KEY_BYTES};
use crate::swarm::oracle::Verdict;
use crate::swarm::restless::stream::{Stream, Way};

/// A client, or its server.
#[derive(Debug)]
pub struct FarEnd {
    shared: Shared,
    number: usize,
    /// 0 for the client, 1 for its server.
    end: usize,
    door: Door,
    manners: Manners,
    random: Rng,
    sends: Stream,
    receives: Stream,
    unsent: usize,
    cipher: Option<Ciphered>,
    /// Bytes that have arrived and are not deciphered yet.
    heard: Vec<u8>,
    sends_at: Time,
    reads_at: Time,
    sending: Sending,
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    New,
    Open,
    Finished,
}

/// One end of a ciphered connection.
#[derive(Debug)]
struct Ciphered {
    sending: cipher::Stream,
    receiving: Option<cipher::Stream>,
    frame_bytes_max: usize,
    has_ended: bool,
}

impl FarEnd {
    pub fn new(
        shared: Shared,
        (number, end): (usize, usize),
        conversation: &Conversation,
        frame_bytes_max: usize,
    ) -> Self {
        let mut random = conversation.random.clone();
        if end == 1 {
            random = random.fork();
        }
        let manners = conversation.manners[end];
        let stream = |way| Stream::new(number as u32, way);
        let (up, down) = (stream(Way::Up), stream(Way::Down));
        let (sends, receives) = if end == 0 { (up, down) } else { (down, up) };
        let cipher = (conversation.door == Door::Sealed).then(|| Ciphered {
            sending: cipher::Stream::new(random.bits() as u32),
            receiving: None,
            frame_bytes_max,
            has_ended: false,
        });
        Self {
            shared,
            number,
            end,
            door: conversation.door,
            manners,
            random,
            sends,
            receives,
            unsent: manners.bytes,
            cipher,
            heard: Vec::new(),
            sends_at: Time::START,
            reads_at: Time::START,
            sending: Sending::New,
            is_over: false,
        }
    }

    fn ledger(&self) -> std::cell::RefMut<'_, Ledger> {
        self.shared.0.borrow_mut()
    }

    /// Reads, and checks what it reads. Returns true if the stream has ended in an orderly way.
    fn read(&mut self, remote: &mut RemotePeer<'_>) -> bool {
        let is_ready = match self.manners.reads {
            Reads::All => true,
            Reads::Slowly => self.reads_at <= remote.now(),
            Reads::AfterSending => self.unsent == 0 && remote.unsent() == 0,
            Reads::Nothing => false,
        };
        if !is_ready {
            return false;
        }
        let most = match self.manners.reads {
            Reads::Slowly => self.random.magnitude(1..=5000) as usize,
            _ => usize::MAX,
        };
        let bytes = remote.read(most, &mut self.heard);
        if self.manners.reads == Reads::Slowly && bytes > 0 {
            self.reads_at = remote.now() + self.random.duration_up_to(REST_MAX);
        }
        if bytes > 0 {
            let verdict = self.check();
            let (number, end) = (self.number, self.end);
            let subject = format_args!("the end {end} of conversation {number}");
            self.ledger().judge(subject, verdict);
        }
        let has_ended = self.cipher.as_ref().is_none_or(|cipher| cipher.has_ended);
        remote.at_end() && has_ended
    }

    /// Checks the bytes that have arrived.
    fn check(&mut self) -> Verdict {
        let (number, end) = (self.number, self.end);
        let is_connected = self.ledger().streams(number).sides[end].is_connected;
        if !is_connected {
            return self.check_refusal();
        }
        let plain = match &mut self.cipher {
            None => std::mem::take(&mut self.heard),
            Some(cipher) => cipher.decipher(&mut self.heard)?,
        };
        let right = self.receives.is_next(&plain);
        self.receives.position += plain.len() as u64;
        let place = self.receives.position;
        self.ledger().streams(number).sides[end].received += plain.len();
        match right {
            true => Ok(()),
            false => Err(format!("the bytes before {place} are not its own")),
        }
    }

    fn check_refusal(&self) -> Verdict {
        let message = self.door.refusal();
        match self.end == 0 && message.starts_with(&self.heard) {
            true => Ok(()),
            false => Err(format!(
                "it is refused with {:?}",
                self.heard.escape_ascii()
            )),
        }
    }

    /// Sends a piece, if it is time.
    fn send(&mut self, remote: &mut RemotePeer<'_>) {
        if self.sending == Sending::New {
            self.sending = Sending::Open;
            if let Some(cipher) = &self.cipher {
                remote.send(&cipher.sending.hello());
            }
        }
        let is_time = self.sends_at <= remote.now() && remote.unsent() < UNSENT_MAX;
        if self.unsent == 0 || !is_time {
            return;
        }
        let bytes = self.random.magnitude(1..=self.unsent as u64) as usize;
        let plain = self.sends.take(bytes);
        self.unsent -= bytes;
        match &mut self.cipher {
            None => remote.send(&plain),
            Some(cipher) => remote.send(&cipher.encipher(&plain, &mut self.random)),
        }
        self.sends_at = remote.now() + self.random.duration_up_to(PAUSE_MAX);
        let (number, end) = (self.number, self.end);
        self.ledger().streams(number).sides[end].sent += bytes;
    }

    /// Finishes its stream, once.
    fn finish(&mut self, remote: &mut RemotePeer<'_>) {
        if self.sending == Sending::Finished {
            return;
        }
        self.sending = Sending::Finished;
        if let Some(cipher) = &mut self.cipher {
            let mut end = Vec::new();
            cipher.sending.seal(&[], &mut end);
            remote.send(&end);
        }
        remote.finish();
        self.note_finished();
    }

    fn note_finished(&mut self) {
        let (number, end) = (self.number, self.end);
        self.ledger().streams(number).sides[end].has_finished = true;
    }

    /// Leaves in its way, if it is time. Returns true if it is gone.
    fn leave(&mut self, remote: &mut RemotePeer<'_>, at_end: bool) -> bool {
        let is_left = |bytes| self.unsent <= bytes;
        let why = match self.manners.leaves {
            Leaves::Politely if self.unsent == 0 => {
                self.finish(remote);
                return false;
            }
            Leaves::Last if self.unsent == 0 && at_end => {
                self.finish(remote);
                return false;
            }
            Leaves::ByReset(bytes) if is_left(bytes) => {
                remote.reset();
                "it resets"
            }
            Leaves::ByClosing(bytes) if is_left(bytes) => {
                if self.cipher.is_none() {
                    self.note_finished();
                }
                remote.close();
                "it closes early"
            }
            Leaves::Vanishes(bytes) if is_left(bytes) => {
                remote.vanish();
                "it vanishes"
            }
            Leaves::Never(bytes) if is_left(bytes) => {
                self.unsent = 0;
                return false;
            }
            _ => return false,
        };
        let number = self.number;
        self.ledger().excuse(number, why);
        true
    }
}

impl Script for FarEnd {
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
        if self.is_over || remote.status() != Status::Open {
            return None;
        }
        self.send(remote);
        let at_end = self.read(remote);
        if self.leave(remote, at_end) {
            self.is_over = true;
            return None;
        }
        if at_end {
            let (number, end) = (self.number, self.end);
            self.ledger().streams(number).sides[end].at_end = true;
            if self.sending == Sending::Finished {
                self.is_over = true;
                remote.close();
                return None;
            }
        }
        let now = remote.now();
        let sends_at = (self.unsent > 0).then_some(self.sends_at);
        let reads_at = (self.manners.reads == Reads::Slowly).then_some(self.reads_at);
        let due = [sends_at, reads_at].into_iter().flatten();
        due.filter(|&when| when > now).min()
    }
}

impl Ciphered {
    /// Deciphers the whole frames among the bytes that have arrived.
    fn decipher(&mut self, heard: &mut Vec<u8>) -> Result<Vec<u8>, String> {
        let (mut plain, mut at) = (Vec::new(), 0);
        if self.receiving.is_none()
            && let Some(key) = heard.first_chunk::<KEY_BYTES>()
        {
            self.receiving = Some(cipher::Stream::new(u32::from_be_bytes(*key)));
            at = KEY_BYTES;
        }
        while let Some(receiving) = &mut self.receiving {
            match receiving.open(&heard[at..], &mut plain) {
                Frame::Incomplete => break,
                Frame::Whole { wire_bytes } if !self.has_ended => at += wire_bytes,
                Frame::End { wire_bytes } if !self.has_ended => {
                    at += wire_bytes;
                    self.has_ended = true;
                }
                frame => return Err(format!("{frame:?}, ended: {}", self.has_ended)),
            }
        }
        heard.drain(..at);
        Ok(plain)
    }

    /// Enciphers bytes in frames of different lengths.
    fn encipher(&mut self, mut plain: &[u8], random: &mut Rng) -> Vec<u8> {
        let mut wire = Vec::new();
        while !plain.is_empty() {
            let most = self.frame_bytes_max.min(plain.len()) as u64;
            let (frame, rest) = plain.split_at(random.magnitude(most.div_ceil(8)..=most) as usize);
            self.sending.seal(frame, &mut wire);
            plain = rest;
        }
        wire
    }
}

/// The most bytes that an end keeps for the network.
const UNSENT_MAX: usize = 50_000;
/// The longest pause between two pieces.
const PAUSE_MAX: Duration = Duration::from_millis(300);
/// The longest time for which a slow reader does not read.
const REST_MAX: Duration = Duration::from_millis(500);
