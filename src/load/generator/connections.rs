//! Connections: making them, and counting the names of lost ones.

use std::time::Duration;

use oneloop::{Connect, ServiceContext, Tag, Time};

use super::{Generator, Phase, Session, Socket, State};
use crate::errors::Fault;
use crate::plan::Scenario;
use crate::walk::UNDER_WAY_MAX;

impl Generator {
    /// Connects a slot as soon as the number of connects under way allows it.
    pub(super) fn connect(&mut self, slot: u32, now: Time, cx: &mut ServiceContext) {
        if self.connecting >= UNDER_WAY_MAX {
            return self.waiting.push_back(slot);
        }
        self.note_connect(slot, now);
        cx.connect(self.connection(slot));
    }

    /// Connects the slots that were waiting for it.
    pub(super) fn connect_waiting(&mut self, cx: &mut ServiceContext) {
        while self.connecting < UNDER_WAY_MAX
            && let Some(slot) = self.waiting.pop_front()
        {
            self.connect(slot, self.clock.now(), cx);
        }
    }

    /// Returns the request for the connection of a slot.
    pub(crate) fn connection(&self, slot: u32) -> Connect {
        let connect = Connect::tcp(self.plan.target).tag(Tag::new(slot.into()));
        match self.source(slot) {
            Some(source) => connect.from(source),
            None => connect,
        }
    }

    pub(super) fn note_connect(&mut self, slot: u32, now: Time) {
        self.set_socket(slot, Socket::Connecting);
        self.slots[slot as usize].begun = now;
        if let Scenario::Churn { .. } = self.plan.scenario {
            self.tally.conversations += 1;
        }
    }

    pub(super) fn set_socket(&mut self, slot: u32, socket: Socket) {
        let before = std::mem::replace(&mut self.slots[slot as usize].socket, socket);
        self.connecting += u32::from(socket == Socket::Connecting);
        self.connecting -= u32::from(before == Socket::Connecting);
    }

    /// Returns the local address that a slot connects from.
    pub(super) fn source(&self, slot: u32) -> Option<std::net::IpAddr> {
        let sources = &self.plan.sources;
        let count = sources.len().max(1);
        sources.get(slot as usize % count).copied()
    }

    pub(super) fn retry(&mut self, now: Time, cx: &mut ServiceContext) {
        while let Some(&(at, slot)) = self.retries.front()
            && at <= now
        {
            self.retries.pop_front();
            self.connect(slot, now, cx);
        }
    }

    /// Counts a connection that ended as it should not have, and the answers it owed.
    #[cold]
    pub(super) fn lose(&mut self, session: &mut Session, fault: Fault) {
        if session.client.in_flight() > 0 {
            self.lose_answers(session, fault);
        } else {
            self.recorder.faults.add(fault, 1);
        }
        let was_greeted = session.client.is_greeted();
        if was_greeted {
            self.retire(session);
        }
        session.state = State::Done;
        self.give_up_greeted(session.slot(), was_greeted);
    }

    /// Counts the names in flight of a connection that is lost.
    pub(super) fn lose_answers(&mut self, session: &Session, fault: Fault) {
        let mut answers = u64::from(session.client.in_flight());
        let oldest = session.client.sent() - answers;
        let sent = self.sent_at[self.place(session.slot(), oldest)];
        let age = self.clock.now().since(sent);
        self.tally.in_flight -= answers;
        match fault {
            Fault::Missing => {}
            // The oldest name was answered, if wrongly.
            Fault::Wrong => {
                self.recorder.faults.add(fault, 1);
                answers -= 1;
            }
            _ => self.recorder.faults.add(fault, 1),
        }
        if answers > 0 {
            self.recorder.missing(answers, age);
        }
    }

    /// Ends a greeted connection.
    pub(super) fn retire(&mut self, session: &mut Session) {
        session.state = State::Done;
        self.tally.open -= 1;
        self.set_socket(session.slot(), Socket::None);
        self.slots[session.slot() as usize].sent = session.client.sent();
        self.is_done_with(session.slot());
    }

    pub(super) fn give_up(&mut self, slot: u32) {
        self.give_up_greeted(slot, false);
    }

    /// Leaves a slot without a connection, to be tried again if the scenario is one in which the
    /// slot still has something to do.
    pub(super) fn give_up_greeted(&mut self, slot: u32, was_greeted: bool) {
        self.set_socket(slot, Socket::None);
        self.is_done_with(slot);
        self.ungreeted += u32::from(!was_greeted);
        if let Scenario::Churn { .. } = self.plan.scenario {
            self.tally.conversations -= 1;
        }
        // An idle connection that the server has ended is a finding, not to be covered up.
        let may_retry = slot < self.plan.active() || !was_greeted;
        if may_retry && (self.phase.is_working() || self.phase == Phase::Opening) {
            self.retries
                .push_back((self.clock.now() + RETRY_AFTER, slot));
        }
    }

    /// Ends the wait of the walk for this slot.
    pub(super) fn is_done_with(&mut self, slot: u32) {
        if std::mem::take(&mut self.slots[slot as usize].awaited) {
            self.walk.end();
        }
    }
}

/// The wait before a slot connects again: a server that is down is not to be hammered.
const RETRY_AFTER: Duration = Duration::from_secs(1);
