//! The calls of other threads: each runs once, in the order of its sender, and is answered.

use std::collections::VecDeque;

use oneloop::{CallError, Handle, Reply, ReplyError, Time};

use super::whole::{self, Whole};
use crate::swarm::oracle::Verdict;
use crate::swarm::watch::SLACK;

/// The senders, and their calls under way.
#[derive(Debug, Default)]
pub struct Calls {
    senders: [Sender; SENDERS],
    /// Number of calls, and results of jobs, that came in this turn.
    run: usize,
}

#[derive(Debug, Default)]
struct Sender {
    made: u64,
    /// The calls that the loop has taken, in order, with their times.
    waiting: VecDeque<(u64, Time)>,
    replies: VecDeque<(u64, Reply<u64>)>,
}

impl Calls {
    /// Calls the loop from another thread, at the time `now`. `others` is the number of results of
    /// jobs that may wait, too.
    ///
    /// # Errors
    /// If the loop takes no call although it has room.
    pub fn call(
        &mut self,
        handle: &Handle<Whole>,
        now: Time,
        (sender, calls_max, others): (usize, usize, usize),
    ) -> Verdict {
        let waiting: usize = self.senders.iter().map(|of| of.waiting.len()).sum();
        let this = &mut self.senders[sender];
        let number = this.made;
        let outcome = match number % 3 {
            0 => handle
                .ask(move |whole, cx| whole::called(whole, (sender, number), cx))
                .map(|reply| this.replies.push_back((number, reply))),
            _ => handle.run(move |whole, cx| {
                whole::called(whole, (sender, number), cx);
            }),
        };
        match outcome {
            Ok(()) => {
                this.made += 1;
                this.waiting.push_back((number, now));
                Ok(())
            }
            Err(CallError::Busy) if waiting + others >= calls_max => Ok(()),
            Err(error) => Err(format!("{error}, though only {waiting} wait")),
        }
    }

    /// Notes that a call is carried out.
    ///
    /// # Errors
    /// If it is not the next of its sender.
    pub fn called(&mut self, (sender, number): (usize, u64)) -> Verdict {
        self.run += 1;
        match self.senders[sender].waiting.pop_front() {
            Some((first, _)) if first == number => Ok(()),
            first => Err(format!("{number} of {sender} runs, but {first:?} is next")),
        }
    }

    /// Counts a result of a job, which comes as a call.
    pub fn count_run(&mut self) {
        self.run += 1;
    }

    /// Checks the number of calls in a turn, and takes the answers to those that were carried out.
    ///
    /// # Errors
    /// If there were too many, or an answer is wrong or missing.
    pub fn turn_ends(&mut self, most: usize) -> Verdict {
        let run = std::mem::take(&mut self.run);
        if run > most {
            return Err(format!("{run} in one turn, {most} are allowed"));
        }
        for sender in &mut self.senders {
            let next = sender
                .waiting
                .front()
                .map_or(sender.made, |&(next, _)| next);
            while let Some((number, reply)) = sender.replies.front_mut()
                && *number < next
            {
                match reply.try_take() {
                    Ok(answer) if answer == *number => drop(sender.replies.pop_front()),
                    answer => return Err(format!("{number} is answered {answer:?}")),
                }
            }
        }
        Ok(())
    }

    /// Checks that no call is overdue.
    ///
    /// # Errors
    /// If one is.
    pub fn check_patience(&self, now: Time) -> Verdict {
        let first = self.senders.iter().filter_map(|of| of.waiting.front());
        match first.min_by_key(|(_, at)| *at) {
            Some((number, at)) if now - *at > SLACK => Err(format!("the call {number} is overdue")),
            _ => Ok(()),
        }
    }

    /// Checks that no reply is left without an error, once the loop is gone.
    ///
    /// # Errors
    /// If one is.
    pub fn check_end(&mut self) -> Verdict {
        for (number, mut reply) in self.senders.iter_mut().flat_map(|of| of.replies.drain(..)) {
            match reply.try_take() {
                Err(ReplyError::Abandoned) => {}
                answer => return Err(format!("the call {number} is answered {answer:?}")),
            }
        }
        Ok(())
    }
}

/// Number of other threads.
pub const SENDERS: usize = 3;
