//! Reports of the loop's state to its service.

use super::Reactor;
use super::connection::{Connection, Flags, Origin, Phase};
use crate::net::Net;
use crate::service::inspect::{
    Cursor, Description, Inspect, Inspection, ListenerReport, SessionPhase, SessionReport, Walk,
};
use crate::service::{Service, Time};

impl<S: Service, N: Net> Reactor<S, N> {
    /// Reports to the service, within the budget of a turn. Requests for which none is left wait
    /// for the next turn.
    #[cold]
    pub(crate) fn report(&mut self, requests: Vec<Inspect>) {
        let listeners = self.listener_reports();
        for request in requests {
            match request.sessions {
                Some(_) if self.walks_left == 0 => {
                    self.core.scratch.service.requests.inspect.push(request);
                }
                Some(walk) => {
                    let (sessions, next) = self.walk(walk);
                    self.report_to(request, &listeners, &sessions, next);
                }
                None => self.report_to(request, &listeners, &[], None),
            }
        }
    }

    fn report_to(
        &mut self,
        request: Inspect,
        listeners: &[ListenerReport],
        sessions: &[SessionReport],
        next: Option<Cursor>,
    ) {
        let counters = self.core.counters.clone();
        let report = Inspection {
            counters: &counters,
            listeners,
            open: self.slots.len(),
            refusing: self.admission.refused,
            outbound: self.admission.outbound,
            connections_max: self.core.limits.connections_max,
            times: self.watching.as_deref().map(|watching| &watching.times),
            sessions,
            next,
        };
        self.core.scratch.service.due = request.part;
        self.core.call("inspected", |service, cx| {
            service.inspected(request.key, &report, cx);
        });
    }

    fn listener_reports(&self) -> Vec<ListenerReport> {
        let listeners = self.core.listeners.iter().enumerate();
        listeners
            .map(|(index, info)| ListenerReport {
                id: info.id,
                open: self.admission.admitted_by(index),
                connections_max: self.admission.max_of(index),
                counts: info.counts,
            })
            .collect()
    }

    /// Walks over the slots from a cursor on, until so many sessions are found or the budget of the
    /// turn is spent. Returns the sessions and where the walk goes on.
    fn walk(&mut self, walk: Walk) -> (Vec<SessionReport>, Option<Cursor>) {
        let (mut found, end) = (Vec::new(), self.slots.occupied_end());
        for index in walk.from.0..end {
            if found.len() == walk.most || self.walks_left == 0 {
                return (found, Some(Cursor(index)));
            }
            self.walks_left -= 1;
            if self.slots.get_mut(index).is_some() {
                found.extend(self.session_report(index));
            }
        }
        (found, None)
    }

    fn session_report(&mut self, index: u32) -> Option<SessionReport> {
        let (id, connection) = (self.slots.id(index), &self.slots[index]);
        let phase = phase(connection)?;
        let description = match &connection.session {
            None => None,
            Some(session) => self.core.call("describe", |service, _| {
                let mut description = Description::default();
                service.describe(session, &mut description);
                description
            }),
        };
        Some(SessionReport {
            peer: self.core.peer(connection, id),
            phase,
            due: (connection.deadline != Time::NEVER).then_some(connection.deadline),
            held_bytes: connection.buffered_bytes(),
            pending_bytes: connection.pending_output(),
            description: description.unwrap_or_default(),
        })
    }
}

/// Returns the phase of a connection; `None` if it has ended.
fn phase<Stream, Session>(connection: &Connection<Stream, Session>) -> Option<SessionPhase> {
    Some(match connection.phase {
        Phase::Dead => return None,
        _ if connection.origin == Origin::Refused => SessionPhase::Refusing,
        Phase::Connecting => SessionPhase::Connecting,
        Phase::Live if connection.has_pending_output() => SessionPhase::Sending,
        Phase::Live if connection.flags.has(Flags::PAUSED) => SessionPhase::Paused,
        Phase::Live => SessionPhase::Reading,
        Phase::Flushing => SessionPhase::Closing,
        Phase::Lingering { .. } => SessionPhase::Lingering,
    })
}

/// The most slots visited in one turn: some 100 µs.
pub(crate) const WALKS_PER_TURN: usize = 1024;
