//! The two streams of a conversation: what each end has sent, and what has arrived at the other.

use super::plan::{Conversation, Door, Manners, Reads, Server};
use crate::swarm::oracle::Verdict;

/// A conversation so far.
#[derive(Debug)]
pub struct Streams {
    pub door: Door,
    pub duplex: bool,
    pub server: Server,
    /// The client's side and its server's.
    pub sides: [Side; 2],
    /// The first reason for which it need not be complete.
    excuse: Option<String>,
    /// An end may have seen an orderly end of a stream that was cut.
    is_cut_orderly: bool,
}

/// One end, as it sees the conversation.
#[derive(Debug)]
pub struct Side {
    pub manners: Manners,
    /// The relay has a session for it.
    pub is_connected: bool,
    pub sent: usize,
    /// It has finished behind the bytes sent.
    pub has_finished: bool,
    pub received: usize,
    /// The other stream has ended in an orderly way.
    pub at_end: bool,
}

impl Streams {
    pub fn new(conversation: &Conversation) -> Self {
        let side = |manners| Side {
            manners,
            is_connected: false,
            sent: 0,
            has_finished: false,
            received: 0,
            at_end: false,
        };
        Self {
            door: conversation.door,
            duplex: conversation.duplex,
            server: conversation.server,
            sides: conversation.manners.map(side),
            excuse: None,
            is_cut_orderly: false,
        }
    }

    /// Notes why it need not be complete.
    pub fn excuse(&mut self, why: &str) {
        self.excuse.get_or_insert_with(|| why.into());
    }

    /// Notes that the relay closes an end in an orderly way although its stream is cut.
    pub fn cut_orderly(&mut self) {
        self.is_cut_orderly = true;
    }

    /// Returns true if one of the ends may make no progress.
    pub fn dawdles(&self) -> bool {
        self.sides
            .iter()
            .any(|side| side.manners.dawdles().is_some())
    }

    /// Checks it when nothing is under way any more.
    ///
    /// # Errors
    /// If a byte or an end is missing without an excuse, or an end came before the last byte.
    pub fn check(&self) -> Verdict {
        for this in 0..2 {
            let (reader, writer) = (&self.sides[this], &self.sides[1 - this]);
            let is_whole = writer.has_finished && reader.received == writer.sent;
            if reader.at_end && reader.is_connected && !is_whole && !self.is_cut_orderly {
                return Err(format!("the end {this} saw an end too early: {self:?}"));
            }
            let is_complete = is_whole && reader.at_end;
            let reads = reader.manners.reads != Reads::Nothing;
            let is_due = self.sides[0].is_connected && self.excuse.is_none() && reads;
            if is_due && !is_complete {
                return Err(format!(
                    "the stream to the end {this} is not whole: {self:?}"
                ));
            }
        }
        Ok(())
    }
}
