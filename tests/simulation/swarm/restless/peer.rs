//! Remote ends: programs that check each byte they receive and otherwise act by chance.

use std::io::ErrorKind;
use std::time::Duration;

use oneloop::Time;
use oneloop_sim::{RemotePeer, Rng, Script, Status};

use super::ledger::Shared;
use super::service::HEADER_BYTES;
use super::stream::{Stream, Way};

/// The remote end of a connection made by either side.
#[derive(Debug)]
pub struct FarEnd {
    shared: Shared,
    random: Rng,
    /// `None` until the conversation is known.
    streams: Option<(Stream, Stream)>,
    /// The conversation that it is about to begin.
    begins: Option<u32>,
    reads: Reads,
    /// Number of actions until it closes.
    life: u64,
    acts_at: Time,
    heard: Vec<u8>,
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    All,
    Little,
    Nothing,
}

impl FarEnd {
    /// Returns a peer that connects and names the conversation.
    pub fn caller(shared: Shared, random: Rng, conversation: u32) -> Self {
        Self {
            begins: Some(conversation),
            ..Self::called(shared, random)
        }
    }

    /// Returns a peer that the service connects to.
    pub fn called(shared: Shared, mut random: Rng) -> Self {
        Self {
            shared,
            streams: None,
            begins: None,
            reads: random.choose(&[Reads::All, Reads::All, Reads::Little, Reads::Nothing]),
            life: random.magnitude(1..=40),
            acts_at: Time::START,
            random,
            heard: Vec::new(),
            is_over: false,
        }
    }

    fn hear(&mut self, remote: &mut RemotePeer<'_>) {
        let most = match self.reads {
            Reads::All => usize::MAX,
            Reads::Little => self.random.magnitude(1..=2000) as usize,
            Reads::Nothing => return,
        };
        remote.read(most, &mut self.heard);
        if self.streams.is_none()
            && let Some((header, _)) = self.heard.split_first_chunk::<HEADER_BYTES>()
        {
            let conversation = u32::from_be_bytes(*header);
            let streams = (
                Stream::new(conversation, Way::Up),
                Stream::new(conversation, Way::Down),
            );
            self.streams = Some(streams);
            self.heard.drain(..HEADER_BYTES);
        }
        if let Some((input, _)) = &mut self.streams {
            let right = input.is_next(&self.heard);
            input.take(self.heard.len());
            self.heard.clear();
            let (who, place) = (format!("the peer {}", remote.address()), input.position);
            let verdict = right
                .then_some(())
                .ok_or_else(|| format!("the bytes before {place} are not its own"));
            self.shared.0.borrow_mut().judge(&who, verdict);
        }
    }

    fn begin(&mut self, remote: &mut RemotePeer<'_>) {
        if let Some(conversation) = self.begins.take() {
            remote.send(&conversation.to_be_bytes());
            let streams = (
                Stream::new(conversation, Way::Down),
                Stream::new(conversation, Way::Up),
            );
            self.streams = Some(streams);
        }
    }

    fn act_by_chance(&mut self, remote: &mut RemotePeer<'_>) {
        if self.life == 0 {
            self.is_over = true;
            return remote.close();
        }
        self.life -= 1;
        match self.random.below(40) {
            0 => remote.finish(),
            1 => {
                self.is_over = true;
                remote.close();
            }
            2 => {
                self.is_over = true;
                remote.reset();
            }
            3 => {
                self.is_over = true;
                remote.vanish();
            }
            4..=8 => {
                self.reads = self
                    .random
                    .choose(&[Reads::All, Reads::Little, Reads::Nothing]);
            }
            9..=30 => {
                if let Some((_, output)) = &mut self.streams {
                    let bytes = self.random.magnitude(1..=20_000) as usize;
                    remote.send(&output.take(bytes));
                }
            }
            _ => {}
        }
    }
}

impl Script for FarEnd {
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
        match remote.status() {
            Status::Open if !self.is_over => {}
            Status::Connecting => return None,
            Status::Failed(ErrorKind::ConnectionReset) | Status::Open => return None,
            _ => return None,
        }
        self.begin(remote);
        self.hear(remote);
        if remote.at_end() && self.reads == Reads::All {
            self.is_over = true;
            remote.close();
            return None;
        }
        if remote.now() >= self.acts_at {
            self.act_by_chance(remote);
            let nap = Duration::from_micros(self.random.magnitude(100..=3_000_000));
            self.acts_at = remote.now() + nap;
        }
        (!self.is_over).then_some(self.acts_at)
    }
}
