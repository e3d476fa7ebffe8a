//! Checks the reports of the loop's state that administrators ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use oneloop::inspect::{Inspection, ListenerReport};
use oneloop::{EndReason, Time};

use super::doors::Doors;
use super::plan::Door;
use crate::swarm::oracle::Verdict;
use crate::swarm::watch::SLACK;

/// The walks over the sessions that are under way.
#[derive(Debug, Default)]
pub struct Inspections {
    walks: BTreeMap<u64, Walk>,
    begun: u64,
    /// Sessions that a walk has left out, and the turn of its end. They must be about to end.
    left_out: Vec<(u64, SocketAddr)>,
}

/// A walk over all sessions, in several reports.
#[derive(Debug)]
struct Walk {
    /// When its next report was requested.
    asked_at: Time,
    /// The sessions that were open when it began.
    open: BTreeSet<SocketAddr>,
    seen: BTreeSet<SocketAddr>,
}

impl Inspections {
    /// Begins a walk, and returns its key.
    pub fn begin(&mut self, now: Time, open: BTreeSet<SocketAddr>) -> u64 {
        let key = self.begun;
        self.begun += 1;
        let walk = Walk {
            asked_at: now,
            open,
            seen: BTreeSet::new(),
        };
        self.walks.insert(key, walk);
        key
    }

    /// Checks a report.
    ///
    /// # Errors
    /// If it was not asked for, its numbers are not those of the network, or a walk has a session
    /// twice.
    pub fn reported(
        &mut self,
        (key, report): (u64, &Inspection<'_>),
        (now, turn): (Time, u64),
        doors: &Doors,
    ) -> Verdict {
        let Some(walk) = self.walks.get_mut(&key) else {
            return Err("it was not asked for".into());
        };
        check_counts(report, doors)?;
        walk.asked_at = now;
        for session in report.sessions {
            let address = session.peer.address.socket_addr().expect("an IP address");
            if !walk.seen.insert(address) {
                return Err(format!("{address} comes twice"));
            }
        }
        if report.next.is_some() {
            return Ok(());
        }
        let walk = self.walks.remove(&key).expect("it was there");
        let left_out = walk.open.difference(&walk.seen);
        self.left_out
            .extend(left_out.map(|&address| (turn, address)));
        Ok(())
    }

    /// Checks that sessions that a walk has left out have ended. `is_open` returns true for one that
    /// is open.
    ///
    /// # Errors
    /// If one has not.
    pub fn turn_ends(&mut self, turn: u64, is_open: impl Fn(SocketAddr) -> bool) -> Verdict {
        while let Some(&(since, address)) = self.left_out.last()
            && since + 1 < turn
        {
            self.left_out.pop();
            if is_open(address) {
                return Err(format!("{address} is left out"));
            }
        }
        Ok(())
    }

    /// Checks that no report is overdue.
    ///
    /// # Errors
    /// If one is.
    pub fn check_patience(&self, now: Time) -> Verdict {
        let overdue = |(_, walk): &(&u64, &Walk)| now - walk.asked_at > SLACK;
        match self.walks.iter().find(overdue) {
            Some((key, _)) => Err(format!("the report {key} is overdue")),
            None => Ok(()),
        }
    }
}

/// Checks that the numbers add up, and are those of the network.
fn check_counts(report: &Inspection<'_>, doors: &Doors) -> Verdict {
    let served: usize = report.listeners.iter().map(|listener| listener.open).sum();
    if report.open != served + report.refusing + report.outbound {
        return Err(format!("{} are not all open: {report:?}", report.open));
    }
    for (door, listener) in Door::ALL.into_iter().zip(report.listeners) {
        let (open, admitted) = doors.open(door);
        let counted = listener.accepted() - ended(listener);
        if (counted, listener.open) != (open, admitted) {
            return Err(format!(
                "{door:?} has {open} open and {admitted} served: {listener:?}"
            ));
        }
    }
    Ok(())
}

fn ended(listener: &ListenerReport) -> u64 {
    let all = EndReason::ALL.iter();
    all.map(|&reason| listener.ended(reason)).sum()
}
