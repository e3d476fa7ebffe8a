//! The calls of the loop to the network, as the ledger notes them.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use oneloop::Time;
use oneloop_sim::{Observer, Syscall};

use super::super::model::Role;
use super::super::plan::Door;
use super::{Ledger, Shared, role_of};

impl Ledger {
    fn left(&mut self, now: Time, peer: SocketAddr) {
        if self.shed.take() == Some(peer) {
            return;
        }
        let verdict = self.doors.closed(now, peer);
        self.judge("the doors", verdict);
    }

    /// Notes a failure of the network on a connection.
    fn broken(&mut self, peer: SocketAddr, kind: ErrorKind) {
        if matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted) {
            return;
        }
        if let Some(model) = self.model_at(peer) {
            model.broken = true;
        }
        if let Role::End(number, end) = role_of(peer) {
            self.excuse(
                number,
                &format!("the network failed at its end {end}: {kind:?}"),
            );
        }
    }
}

impl Observer for Shared {
    fn observe(&mut self, now: Time, peer: SocketAddr, what: Syscall<'_>) {
        let ledger = &mut *self.0.borrow_mut();
        ledger.now = now;
        match what {
            Syscall::Registered => ledger.doors.registered(peer),
            Syscall::Shed => ledger.shed = Some(peer),
            Syscall::Closed => ledger.left(now, peer),
            Syscall::ReadFailed(kind) | Syscall::Broken(kind) => ledger.broken(peer, kind),
            Syscall::Wrote { bytes, offered } => {
                if let Some(model) = ledger.model_at(peer) {
                    model.wrote(now, bytes.len() == offered);
                }
            }
            Syscall::WriteFailed(kind) => {
                if let Some(model) = ledger.model_at(peer) {
                    model.wrote(now, false);
                }
                ledger.broken(peer, kind);
            }
            Syscall::Reset => {
                if let Some(model) = ledger.model_at(peer) {
                    model.was_reset = true;
                }
            }
            _ => {}
        }
    }

    fn observe_accept(
        &mut self,
        now: Time,
        address: SocketAddr,
        result: Result<SocketAddr, &Error>,
    ) {
        let ledger = &mut *self.0.borrow_mut();
        ledger.now = now;
        let Some(door) = Door::at(address) else {
            return;
        };
        let verdict = ledger.doors.asked(door);
        ledger.judge("the doors", verdict);
        if let Ok(peer) = result {
            ledger.doors.accepted(door, peer);
        }
    }
}
