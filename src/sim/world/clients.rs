//! The clients, and the scripts that act for them.

use std::net::SocketAddr;
use std::time::Duration;

use super::{NetEvent, World};
use crate::client::{RemotePeer, Script, Status};
use crate::connection::{EndpointId, TcpState};

/// A client of the simulated network.
pub(super) struct ClientState {
    at: EndpointId,
    script: Option<Box<dyn Script>>,
    inbox: Vec<u8>,
    reads: bool,
    /// The number of the current timer; earlier ones are void.
    pub(super) timer: u64,
}

impl World {
    pub(crate) fn client_sends(&mut self, client: usize, bytes: &[u8]) {
        let at = self.clients[client].at;
        let open = matches!(self.end(at).state, TcpState::Open | TcpState::Connecting);
        if !open || self.end(at).outgoing.is_finishing() {
            return;
        }
        self.trace
            .note(self.now, "client sends", at.connection, bytes.len() as u64);
        self.end_mut(at).outgoing.push_all(bytes);
        self.schedule_transmit(at);
    }

    pub(crate) fn client_reads(
        &mut self,
        client: usize,
        most: usize,
        buffer: &mut Vec<u8>,
    ) -> usize {
        let at = self.clients[client].at;
        let bytes = self.incoming(at).arrived().min(most);
        let start = buffer.len();
        buffer.resize(start + bytes, 0);
        self.incoming(at).read(&mut buffer[start..]);
        if bytes > 0 {
            self.trace
                .note(self.now, "client reads", at.connection, bytes as u64);
            self.schedule_transmit(at.other());
        }
        bytes
    }

    pub(crate) fn client_finishes(&mut self, client: usize) {
        let at = self.clients[client].at;
        self.trace
            .note(self.now, "client finishes", at.connection, 0);
        self.end_mut(at).outgoing.finish();
        self.schedule_transmit(at);
    }

    pub(crate) fn client_closes(&mut self, client: usize) {
        let at = self.clients[client].at;
        self.trace.note(self.now, "client closes", at.connection, 0);
        self.close(at);
    }

    pub(crate) fn client_resets(&mut self, client: usize) {
        let at = self.clients[client].at;
        self.trace.note(self.now, "client resets", at.connection, 0);
        self.abort(at);
    }

    pub(crate) fn client_vanishes(&mut self, client: usize) {
        let at = self.clients[client].at;
        self.trace
            .note(self.now, "client vanishes", at.connection, 0);
        self.end_mut(at).state = match self.end(at).state {
            TcpState::Open => TcpState::Unreachable {
                retransmitting: false,
            },
            _ => TcpState::Closed,
        };
        self.end_mut(at).outgoing.drop_unsent();
    }

    pub(crate) fn set_reading(&mut self, client: usize, reads: bool) {
        self.clients[client].reads = reads;
        self.runnable.push_back(client);
    }

    pub(crate) fn take_inbox(&mut self, client: usize) -> Vec<u8> {
        std::mem::take(&mut self.clients[client].inbox)
    }

    pub(crate) fn client_status(&self, client: usize) -> Status {
        match self.end(self.clients[client].at).state {
            TcpState::Connecting => Status::Connecting,
            TcpState::Open => Status::Open,
            TcpState::Broken { error, .. } => Status::Failed(error),
            TcpState::Closed | TcpState::Unreachable { .. } => Status::Closed,
        }
    }

    pub(crate) fn client_at_end(&self, client: usize) -> bool {
        let incoming = &self.end(self.clients[client].at.other()).outgoing;
        incoming.has_finished() && incoming.arrived() == 0
    }

    pub(crate) fn client_readable(&self, client: usize) -> usize {
        self.end(self.clients[client].at.other()).outgoing.arrived()
    }

    pub(crate) fn client_unsent(&self, client: usize) -> usize {
        self.end(self.clients[client].at).outgoing.unsent()
    }

    pub(crate) fn client_address(&self, client: usize) -> SocketAddr {
        self.end(self.clients[client].at).address
    }

    pub(super) fn add_client(&mut self, at: EndpointId, script: Option<Box<dyn Script>>) {
        self.clients.push(ClientState {
            at,
            script,
            inbox: Vec::new(),
            reads: true,
            timer: 0,
        });
    }

    pub(super) fn run_clients(&mut self) {
        while let Some(client) = self.runnable.pop_front() {
            match self.clients[client].script.take() {
                Some(script) => self.run_script(client, script),
                None => self.fill_inbox(client),
            }
        }
    }

    fn run_script(&mut self, client: usize, mut script: Box<dyn Script>) {
        let again = script.run(&mut RemotePeer::new(self, client));
        let state = &mut self.clients[client];
        state.script = Some(script);
        state.timer += 1;
        let timer = state.timer;
        if let Some(when) = again {
            let when = when.max(self.now + SCRIPT_DELAY_MIN);
            self.schedule(when, NetEvent::RunScript { client, timer });
        }
    }

    fn fill_inbox(&mut self, client: usize) {
        if !self.clients[client].reads {
            return;
        }
        let mut inbox = std::mem::take(&mut self.clients[client].inbox);
        self.client_reads(client, usize::MAX, &mut inbox);
        self.clients[client].inbox = inbox;
    }
}

/// The minimum delay of a script's next call, so that time advances.
const SCRIPT_DELAY_MIN: Duration = Duration::from_micros(1);
